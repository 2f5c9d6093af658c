"""Tokenizers made to crash, hang or exhaust memory when opened: one error within seconds that names the part."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from clearhead.errors import FolderError, TextError
from clearhead.text import Tokenizer
from clearhead.text.tokenizers import opening
from clearhead.text.tokenizers.shapes import in_use
from clearhead.text.tokenizers.waiting import left_on_interrupt
from little_tokenizers import llama3_like, llama_like

PLAIN: dict[str, Any] = {
    "version": "1.0",
    "added_tokens": [],
    "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "<unk>": 2, " ": 3}, "unk_token": "<unk>"},
}


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def replace(old: str, new: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


def nested(step: dict[str, Any], depth: int) -> dict[str, Any]:
    """Sequences of eight Sequences each."""
    for _ in range(depth):
        step = {"type": "Sequence", "normalizers": [step] * 8}
    return step


def charsmap(trie: bytes) -> str:
    return base64.b64encode(struct.pack("<I", len(trie)) + trie + b"abc\0").decode()


HOSTILE = {
    "a charsmap of three bytes": ("normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
    "a charsmap of ones": ("normalizer", {"type": "Precompiled", "precompiled_charsmap": charsmap(b"\xff" * 64)}),
    "doubled thirty times": ("normalizer", {"type": "Sequence", "normalizers": [replace("a", "aa")] * 30}),
    "doubled in decoding": ("decoder", {"type": "Sequence", "decoders": [replace("q", "qq")] * 30}),
    "a pattern without end": ("pre_tokenizer", split("(a+)+$")),
    "a pattern without end, of its own letter": ("pre_tokenizer", split("(ξ+)+$")),
    "an invalid pattern": ("pre_tokenizer", split("(a")),
    "pieces of no length": ("pre_tokenizer", {"type": "FixedLength", "length": 0}),
    "more stripped than there is": ("decoder", {"type": "Strip", "content": " ", "start": 0, "stop": 5}),
    "an unknown type": ("normalizer", {"type": "Shell", "command": "ls"}),
    "a known step 30,000 times": ("normalizer", nested({"type": "Prepend", "prepend": "▁"}, 5)),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_tokenizer_is_one_error_that_names_the_part(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    part, value = HOSTILE[name]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**PLAIN, part: value}))
    began = time.monotonic()
    with pytest.raises(FolderError, match=rf"^{path}: the tokenizer failed a trial, {part}: ") as caught:
        Tokenizer.load(path)
    assert time.monotonic() - began < 10
    assert len(str(caught.value)) < 600
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.parametrize("content", ["[]", "3", '"x"', "null"])
def test_a_file_that_is_no_table_is_told_in_plain_words(content: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    value = repr(json.loads(content))
    with pytest.raises(FolderError, match=rf"^{path}: holds {re.escape(value)}; a tokenizer.json is a table; copy it"):
        Tokenizer.load(path)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        *(("model", value, "a table") for value in ([], 3, "x", True, None)),
        *(
            (part, value, "a table, or null")
            for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation", "padding")
            for value in ([], 3, "x")
        ),
        *(("added_tokens", value, "a list of tables") for value in ({}, 3, None, [1])),
        *(("version", value, "a text") for value in (1, [], None)),
    ],
)
def test_an_entry_of_the_wrong_type_is_told_in_plain_words(name: str, value: Any, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**PLAIN, name: value}))
    said = re.escape(f"{path}: altered: {name} is {value!r}; it must be {rule}; copy it again")
    with pytest.raises(FolderError, match=f"^{said}"):
        Tokenizer.load(path)


@pytest.mark.parametrize(
    ("value", "reason"),
    [("9" * 5_000, "a number has more than 4,300 digits"), ("[" * 5_000, "its brackets are nested too deeply")],
    ids=["digits", "brackets"],
)
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_limits_of_python_are_told_in_plain_words(name: str, value: str, reason: str, tmp_path: Path) -> None:
    Tokenizer.bytes().save(tmp_path)
    (tmp_path / name).write_text(f'{{"version": {value}')
    with pytest.raises(FolderError, match=rf"^{tmp_path / name}: truncated.*: {reason}; copy it again"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("twice", ['"normalizer": null, "normalizer": null', '"version": "1.0", "version": "1.0"'])
def test_a_repeated_entry_is_an_error(twice: str, tmp_path: Path) -> None:
    """The library might use another one than the one that was checked."""
    (tmp_path / "tokenizer.json").write_text(json.dumps(PLAIN)[:-1] + f", {twice}}}")
    with pytest.raises(FolderError, match=r"not a tokenizer.json: an entry appears twice"):
        Tokenizer.load(tmp_path)


def test_a_harmless_tokenizer_of_unknown_shape_opens_unchanged(tmp_path: Path) -> None:
    state = {**PLAIN, "normalizer": {"type": "Prepend", "prepend": ""}, "pre_tokenizer": split("b")}
    assert not in_use(state)
    (tmp_path / "tokenizer.json").write_text(json.dumps(state))
    assert Tokenizer.load(tmp_path).encode("aba") == [0, 1, 0]


def test_a_panic_while_decoding_is_an_error() -> None:
    library = llama_like()
    state = {**json.loads(library.to_str()), "decoder": HOSTILE["more stripped than there is"][1]}
    state["decoder"] = {**state["decoder"], "content": "▁"}
    made = Tokenizer(type(library).from_str(json.dumps(state)))
    with pytest.raises(TextError, match="the tokenizers library panicked"):
        made.decode([library.token_to_id("▁")])


@pytest.mark.parametrize("backtrace", ["0", "1"])
def test_too_little_memory_is_told_with_and_without_backtraces(
    backtrace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUST_BACKTRACE", backtrace)
    monkeypatch.setattr(opening, "TRIAL_SECONDS", 60)  # a slow processor needs more than 4 to fill the memory
    part, value = HOSTILE["doubled thirty times"]
    (tmp_path / "tokenizer.json").write_text(json.dumps({**PLAIN, part: value}))
    with pytest.raises(FolderError, match=r"normalizer: it takes more than [0-9,]+ MB"):
        Tokenizer.load(tmp_path)


def test_shapes_in_use_open_without_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "ask", None)
    for made in (llama_like(), llama3_like()):
        made.save(str(tmp_path / "tokenizer.json"))
        Tokenizer.load(tmp_path)
    for own in (Tokenizer.bytes(), Tokenizer.characters(["ab"]), Tokenizer.train_bpe(["a b"])):
        own.save(tmp_path)
        Tokenizer.load(tmp_path)


def test_ctrl_c_interrupts_the_library() -> None:
    """The main thread waits in Python, not in the library."""
    main = threading.get_ident()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # parallel test runners ignore it
    timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            left_on_interrupt(lambda: threading.Event().wait(30))
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 10
    with pytest.raises(ZeroDivisionError):
        left_on_interrupt(lambda: 1 // 0)
    assert left_on_interrupt(lambda: threading.get_ident() != main)
