"""Writes the findings of ``clearhead lab`` into docs/note.md and docs/note.zh-CN.md, with their pictures.

    clearhead lab --all --out lab                          measure, on an idle machine
    clearhead lab --all --out lab-zh --language zh
    python tools/write_note.py lab lab-zh                  keep these findings in docs/lab/, and write the pages
    python tools/write_note.py                             write the pages again from docs/lab/

The prose of the pages is written by hand. Between "<!-- lab: NAME -->" and "<!-- end -->" stand the verdict, a picture
and the tables, which follow from docs/lab/LANGUAGE/NAME.json alone; tests/contract/test_docs.py checks that.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from clearhead.drawing.languages import phrases
from clearhead.drawing.report import Report, Table, draw_report
from clearhead.files import replacing, write_text
from clearhead.lab.note import EXPERIMENTS, Finding, read
from clearhead.language import speaking, spoken

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {"en": DOCS / "note.md", "zh": DOCS / "note.zh-CN.md"}
FINDINGS = {language: DOCS / "lab" / language for language in PAGES}
WORDS = "report_words.json"

MARKED = re.compile(r"(<!-- lab: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

MEASURED = {
    "en": "Measured on {machine}, in {minutes:.0f} minutes with training.",
    "zh": "测于 {machine}，连同训练用时 {minutes:.0f} 分钟。",
}


def picture(name: str, language: str) -> str:
    """The path of a picture, from docs/."""
    return f"pictures/note-{name}{'' if language == 'en' else f'.{language}'}.png"


def section(finding: Finding, language: str) -> str:
    """The verdict, the picture and the tables of a finding as Markdown."""
    report, says = finding.report(language), phrases(WORDS, language)
    with speaking(language):
        machine = spoken(finding.machine)
    measured = MEASURED[language].format(machine=machine, minutes=finding.seconds / 60)
    parts = [
        f"**{says[report.holds]}** {_escaped(report.verdict)}",
        f"![{report.title}]({picture(finding.experiment, language)})",
        *_tables(report),
        measured,
    ]
    return "\n\n".join(parts) + "\n\n"


def _tables(report: Report) -> list[str]:
    made: list[str] = []
    for table in report.blocks:
        if isinstance(table, Table):
            rows = [table.header, tuple("---" for _ in table.header), *table.rows]
            lines = [f"| {' | '.join(map(_escaped, row))} |" for row in rows]
            made += [f"*{_escaped(table.title)}*", "\n".join(lines), *([_escaped(table.note)] if table.note else [])]
    return made


def _escaped(text: str) -> str:
    return re.sub(r"([|*_<\\`])", r"\\\1", text)


def page(language: str) -> str:
    """The page with its marked parts written again from docs/lab/."""
    folder = FINDINGS[language]

    def filled(marked: re.Match[str]) -> str:
        return f"{marked[1]}{section(read(folder, marked[2]), language)}{marked[3]}"

    return MARKED.sub(filled, PAGES[language].read_text(encoding="utf-8"))


def main(arguments: list[str]) -> None:
    """Takes over the findings of sessions, if given, and writes both pages and their pictures."""
    for given in map(Path, arguments):
        for name in EXPERIMENTS:
            language = "zh" if read(given, name).setting.corpus.endswith("zh") else "en"
            FINDINGS[language].mkdir(parents=True, exist_ok=True)
            with replacing(FINDINGS[language] / f"{name}.json") as file:
                file.write((given / f"{name}.json").read_bytes())
    for language, path in PAGES.items():
        write_text(path, page(language))
        for name in EXPERIMENTS:
            with speaking(language):
                draw_report(read(FINDINGS[language], name).report(language), DOCS / picture(name, language))


if __name__ == "__main__":
    main(sys.argv[1:])
