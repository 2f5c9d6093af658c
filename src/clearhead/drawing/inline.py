"""What a self-contained page is put together from: files of page_files, inert JSON, and hashes for its policy."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from functools import cache
from importlib import resources
from typing import Any


def inert_json(value: Any) -> str:
    """JSON that is inert inside a script element: nothing in it can look like markup."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


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
