"""What a self-contained page is put together from: files of page_files, inert JSON, and hashes for its policy."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from clearhead.drawing.legible import legible
from clearhead.language import chosen


def inert_json(value: Any) -> str:
    """JSON that is inert inside a script element: nothing in it can look like markup."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


# The switch of a page that has languages.css and languages.js.
SWITCH = (
    '<nav id="languages"><button type="button" data-language="en">English</button>'
    '<button type="button" data-language="zh">中文</button></nav>'
)


def around(
    template: str, *, scripts: Sequence[str], styles: Sequence[str], model: str | None, text: str
) -> tuple[str, str]:
    """What comes before and after the data of a page that renders itself from one block of ``inert_json``.

    The page is in the language that was chosen, or else the reader's own.

    template, scripts, styles: files of page_files, the template from inside the body; the page can be switched between
        languages
    model, text: the title, the same in both languages; any text
    """
    script = "\n".join(map(page_file, ("languages.js", *scripts)))
    style = "\n".join(map(page_file, ("languages.css", *styles)))
    before, after = (page_file("head.html") + page_file(template)).split("{{data}}")
    title = f"{model}: {text[:80]}" if model else text[:80]
    # The title last: it is untrusted text that may contain such a name.
    for name, value in (
        ("policy", policy(script=script, style=style)),
        ("style", style),
        ("chosen", chosen() or ""),
        ("switch", SWITCH),
        ("title", html.escape(legible(title))),
    ):
        before = before.replace("{{" + name + "}}", value)
    return before, after.replace("{{script}}", script)


def both(english: str, chinese: str) -> str:
    """Markup for a text in two languages, on a page that has languages.css and, at its end, languages.js."""
    return f'<span lang="en">{html.escape(english)}</span><span lang="zh">{html.escape(chinese)}</span>'


def policy(*, style: str, script: str | None = None) -> str:
    """A content security policy that allows this style and this script, by hash, and nothing else."""
    scripts = "" if script is None else f"script-src '{_hash(script)}'; "
    return f"default-src 'none'; {scripts}style-src '{_hash(style)}'; base-uri 'none'"


def _hash(code: str) -> str:
    """The hash by which a content security policy knows an inline block."""
    return "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()


@cache
def page_file(name: str) -> str:
    """The text of a file in page_files."""
    return (resources.files("clearhead.drawing") / "page_files" / name).read_text(encoding="utf-8")
