"""Mutations of a file: bytes changed, JSON changed, something else in its place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[Any], Any]

ODD = st.one_of(
    st.sampled_from([None, True, False, "", " ", "\ud800", "\0", "\x1b[31m", [], {}, [[]], 0, -1, 0.5, 1e308, 5e-324]),
    st.sampled_from([2**15, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 10**30, "x" * 70_000, float("nan"), float("inf")]),
    st.integers(-3, 70),
    st.text(max_size=8),
    st.lists(st.integers(0, 40), max_size=4),
)
RAW = ["9" * 5000, "[" * 3000, "1e999", "-0", "NaN", '"\\ud800"', "{}{}", '{"a": 1, "a": 2}']
PARTS = [
    {"type": "Prepend", "prepend": ""},
    {"type": "FixedLength", "length": 0},
    {"type": "Strip", "content": " ", "start": 0, "stop": 5},
    {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
    {"type": "Precompiled", "precompiled_charsmap": "////AAAA"},
    {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"Regex": ""}, "behavior": "MergedWithNext", "invert": True},
    {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"},
    {"type": "Replace", "pattern": {"Regex": ""}, "content": "a"},
    {"type": "Metaspace", "replacement": "x", "prepend_scheme": "first", "split": True},
    {"type": "CTC", "pad_token": "", "word_delimiter_token": "", "cleanup": True},
    {"type": "Unigram", "unk_id": 5, "vocab": [["a", 0.0]], "byte_fallback": False},
    {"type": "WordPiece", "prefix": "", "cleanup": True},
    {"type": "BPEDecoder", "suffix": ""},
    {"type": "Truncate"},
]

# The parts of a tokenizer.json that can be Sequences, and what a Sequence of each calls its steps.
SEQUENCES = {
    "normalizer": "normalizers",
    "pre_tokenizer": "pretokenizers",
    "post_processor": "processors",
    "decoder": "decoders",
}


def flipped(draw: Draw, content: bytes) -> bytes:
    place = draw(st.integers(0, len(content) - 1))
    return content[:place] + bytes([content[place] ^ draw(st.integers(1, 255))]) + content[place + 1 :]


def cut_off(draw: Draw, content: bytes) -> bytes:
    return content[: draw(st.integers(0, len(content) - 1))]


def cut_out(draw: Draw, content: bytes) -> bytes:
    start = draw(st.integers(0, len(content) - 1))
    return content[:start] + content[start + draw(st.integers(1, 40)) :]


def put_in(draw: Draw, content: bytes) -> bytes:
    place = draw(st.integers(0, len(content)))
    return content[:place] + draw(st.binary(min_size=1, max_size=20)) + content[place:]


def a_digit(draw: Draw, content: bytes) -> bytes:
    places = [place for place, byte in enumerate(content[:20_000]) if chr(byte).isdigit()]
    if not places:
        return content[:-1]
    place = draw(st.sampled_from(places))
    return content[:place] + str(draw(st.integers(0, 10**20))).encode() + content[place + 1 :]


BYTES = st.sampled_from([flipped, cut_off, cut_out, put_in, a_digit])


def damaged(draw: Draw, content: bytes) -> bytes:
    return draw(BYTES)(draw, content) if content else draw(st.binary(max_size=20))


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a JSON value, at most 40 of each table or list."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [at] if at else []
    for key, held in list(items)[:40]:
        found += places(held, (*at, key))
    return found


def nested(draw: Draw, name: str, own: Any) -> Any:
    """Sequences in Sequences in Sequences, of the file's own part and hostile ones."""
    steps = st.sampled_from([own, own, None, *PARTS])
    part = draw(steps)
    for _ in range(draw(st.integers(1, 4))):
        part = {
            "type": "Sequence",
            SEQUENCES[name]: [part] * draw(st.integers(0, 6)) + draw(st.lists(steps, max_size=2)),
        }
    return part


def altered(draw: Draw, content: bytes) -> bytes:
    """JSON, mostly valid, with one value removed, or replaced by an odd value or by one or many hostile parts.

    In a tokenizer.json a part often becomes nested Sequences.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # an earlier mutation broke it
        return damaged(draw, content)
    found = places(value)
    if not found:
        return damaged(draw, content)
    # Nested twice, a part could have a million steps, which would only fill this process's own memory.
    small = len(content) < 100_000
    if small and isinstance(value, dict) and value.keys() >= SEQUENCES.keys() and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(SEQUENCES)))
        return json.dumps({**value, name: nested(draw, name, value[name])}).encode()
    *way, last = draw(st.sampled_from(found))
    inner = value
    for key in way:
        inner = inner[key]
    what = draw(st.sampled_from(["odd", "odd", "part", "gone", "raw", "many"]))
    if what == "gone":
        del inner[last]
    elif what == "many":
        part = draw(st.sampled_from(PARTS))
        inner[last] = {
            "type": "Sequence",
            draw(st.sampled_from(sorted(SEQUENCES.values()))): [part] * draw(st.integers(1, 40)),
        }
    elif what == "raw":
        inner[last] = "RAW VALUE"
        return json.dumps(value).replace('"RAW VALUE"', draw(st.sampled_from(RAW))).encode()
    else:
        inner[last] = draw(st.sampled_from(PARTS)) if what == "part" else draw(ODD)
    return json.dumps(value).encode()


def replaced(draw: Draw, path: Path, outside: Path) -> str:
    """Removes a file or puts something else in its place. Links lead only to the fuzzer's own files."""
    what = draw(
        st.sampled_from(["missing", "empty", "folder", "pipe", "link", "link to a folder", "hard link", "loop"])
    )
    path.unlink()
    if what == "empty":
        path.write_bytes(b"")
    elif what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to(outside / draw(st.sampled_from(["letter.txt", "new.txt", "000000007.safetensors"])))
    elif what == "link to a folder":
        path.symlink_to(outside)
    elif what == "hard link":
        path.hardlink_to(outside / "letter.txt")
    elif what == "loop":
        path.symlink_to(path.name)
    return what
