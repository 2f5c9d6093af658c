"""Opens and uses a tokenizer.json, in a worker process (child.py).

With a hostile one the library may abort, take gigabytes or never return, which cannot be caught. Each part is first
tried alone, with a small vocabulary, so that the error can name it; then the whole. The request has text (the file's
content). Each note names the part being tried. The answer says what is wrong, or is null.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import tokenizers

PARTS = ("normalizer", "pre_tokenizer", "decoder")
RUN = 4096  # characters of a run, long enough that a pattern of cubic time does not finish
STRINGS = 200  # strings of the file to try, and as many single characters
GROWTH = 32  # times as long as the text; NFKD makes 18 characters out of one


def answer(request: dict[str, Any], note: Callable[[Any], None]) -> str | None:
    """What is wrong with a tokenizer, or None."""
    state = json.loads(request["text"])
    texts = _texts(state)
    for name in (name for name in PARTS if state.get(name) is not None):
        note(name)
        fault = _fault(lambda name=name: _alone(name, state[name], texts), refused=False)
        if fault is not None:
            return f"{name}: {fault}"
    note("model")
    fault = _fault(lambda: _whole(request["text"], texts), refused=True)
    return None if fault is None else f"as a whole: {fault}"


def _fault(work: Callable[[], str | None], *, refused: bool) -> str | None:
    try:
        return work()
    except Exception as error:  # the library raises Exception itself; refusing a text is not a fault
        return None if refused else str(error)[:200]
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # pyo3's; it cannot be imported
            raise
        return str(error)[:200]


def _texts(state: dict[str, Any]) -> list[str]:
    """Texts the parts may react to: every string in them, and long runs of each of their characters."""
    model = {name: value for name, value in state.get("model", {}).items() if name not in ("vocab", "merges")}
    found = list(dict.fromkeys(text[:1000] for text in _strings([{**state, "model": model}])))[:STRINGS]
    characters = list(dict.fromkeys("".join([" a1.\n\té▁你", *found])))[:STRINGS]
    runs = [character * RUN + end for character in characters for end in ("", "!")]
    return ["", "The 1st text, 你好!\n", *characters, *found, *(text * 64 + "!" for text in found), *runs]


def _strings(values: list[Any]) -> Iterator[str]:
    while values:
        value = values.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            values += value.values() if isinstance(value, dict) else value


def _alone(name: str, part: Any, texts: list[str]) -> str | None:
    words = {word: n for n, word in enumerate(dict.fromkeys(["?", *texts]))}
    empty = {"version": "1.0", "added_tokens": [], "model": {"type": "WordLevel", "vocab": words, "unk_token": "?"}}
    made = tokenizers.Tokenizer.from_str(json.dumps({**empty, name: part}))
    for text in texts:
        if name == "decoder":
            result = len(made.decode([words[text]], skip_special_tokens=False))
        elif name == "normalizer" and made.normalizer is not None:
            result = len(made.normalizer.normalize_str(text))
        else:
            result = len(made.encode(text).ids)
        if result > GROWTH * (len(text) + 1):
            return f"it turns {len(text):,} characters into {result:,}"
    return None


def _whole(text: str, texts: list[str]) -> str | None:
    made = tokenizers.Tokenizer.from_str(text)
    made.no_truncation()
    made.no_padding()
    json.loads(made.to_str())
    for each in texts:
        try:
            ids = made.encode(each, add_special_tokens=False).ids
        except Exception:  # no token for unknown text: encoding reports that later
            continue
        if len(ids) > GROWTH * (len(each.encode()) + 1):
            return f"it turns {len(each):,} characters into {len(ids):,} tokens"
        made.decode(ids, skip_special_tokens=False)
    for token in list(made.get_vocab(with_added_tokens=True).values())[:RUN]:
        made.decode([token], skip_special_tokens=False)
    return None
