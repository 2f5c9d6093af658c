"""Parses the pages a newcomer reads: fenced blocks, commands, tables."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README, GUIDE = ROOT / "README.md", ROOT / "docs" / "guide.md"
CHINESE = {README: ROOT / "README.zh-CN.md", GUIDE: ROOT / "docs" / "guide.zh-CN.md"}

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """The contents of the page's fenced blocks in a language."""
    return [body for name, body in _FENCED.findall(page.read_text(encoding="utf-8")) if name == language]


def commands(page: Path) -> list[str]:
    """The shell commands of a page in their order, without comments."""
    lines = (line.partition("#")[0].strip() for block in blocks(page, "sh") for line in block.splitlines())
    return [line for line in lines if line]


def section(page: Path, heading: str) -> str:
    """The text below a heading, up to the next one of its level."""
    parts = re.split(r"^## (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[heading]


def first_cells(text: str) -> list[str]:
    """The first cell of each row of each table in a text, without headings and rules."""
    rows = [line.strip().strip("|").split(" | ")[0].strip() for line in text.splitlines() if line.startswith("|")]
    rules = [n for n, cell in enumerate(rows) if re.fullmatch(r"[-|]+", cell)]
    return [cell for n, cell in enumerate(rows) if n not in rules and n + 1 not in rules]
