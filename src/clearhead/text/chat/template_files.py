"""Where a folder keeps its chat templates: in files of their own, or in tokenizer_config.json."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from clearhead.errors import FolderError
from clearhead.files import reading
from clearhead.text.chat.templates import LARGEST_TEMPLATE

TEMPLATE = "chat_template.jinja"
TEMPLATES = "additional_chat_templates"


def templates_beside(folder: Path) -> dict[str, str]:
    """Chat templates in files of their own, which override those in tokenizer_config.json.

    Raises FolderError for a file that cannot be read or is not UTF-8.
    """
    files = {"default": folder / TEMPLATE}
    files |= {path.stem: path for path in sorted((folder / TEMPLATES).glob("*.jinja"))}
    found: dict[str, str] = {}
    for name, path in files.items():
        try:
            if path.exists():
                with reading(path) as file, io.TextIOWrapper(file, encoding="utf-8") as text:
                    found[name] = text.read(LARGEST_TEMPLATE + 1)
        except OSError as fault:
            raise FolderError(
                f"{path}: cannot be read: {fault.strerror}; check its permissions and the disk"
            ) from fault
        except UnicodeDecodeError as fault:
            raise FolderError(f"{path}: is not UTF-8: {fault}; copy it again") from fault
    return found


def templates_in(config: Mapping[str, Any]) -> dict[str, str]:
    """Chat templates in tokenizer_config.json: a string, or a list of named ones. Raises FolderError otherwise."""
    value = config.get("chat_template")
    if value is None:
        return {}
    if isinstance(value, str):
        return {"default": value}
    named = cast(list[Any], value) if isinstance(value, list) else [value]
    try:
        found = {entry["name"]: entry["template"] for entry in named}
    except (TypeError, KeyError):
        found = {None: None}
    if not all(isinstance(name, str) and isinstance(text, str) for name, text in found.items()):
        raise FolderError(
            "tokenizer_config.json: chat_template is neither a string nor a list of named ones; copy it again"
        )
    return cast(dict[str, str], found)
