"""Labels: one for each id, whole characters, nothing invisible."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import LEARNED, sentence_pieces, word_pieces

from clearhead.errors import TextError
from clearhead.text import SEPARATOR
from clearhead.text.tokenizers.labels import labels


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        ([b"\xe4", b"\xbd", b"\xa0"], ["你₁", "你₂", "你₃"]),
        ([b"\xe4\xbd", b"\xa0"], ["你₁", "你₂"]),
        ([b"a\xe4", b"\xbd\xa0 b"], ["a你₁", "你₂·b"]),
        ([b"\xa0\xe4\xbd", b"\xa0\xe5\xa5", b"\xbd"], ["<0xA0>你₁", "你₂好₁", "好₂"]),
        ([b"\xf0", b"\x9f", b"\x99", b"\x82"], ["🙂₁", "🙂₂", "🙂₃", "🙂₄"]),
        ([b"\xe4", b"", b"\xbd\xa0"], ["你₁", "", "你₂"]),
        ([b"\xe4", b"\xbd"], ["<0xE4>", "<0xBD>"]),
        (
            [b" the", b"  ", b"\n\n", b"\t\r", b"\0\x7f", "\u3000\u00a0".encode()],
            ["·the", "··", "⏎⏎", "⇥␍", "␀␡", "␣␣"],
        ),
        ([], []),
    ],
)
def test_labels_by_hand(parts: list[bytes], shown: list[str]):
    assert labels(parts) == shown


@given(st.lists(st.binary(max_size=6)))
def test_every_id_has_a_label_and_no_label_is_invisible(parts: list[bytes]):
    shown = labels(parts)
    assert len(shown) == len(parts)
    assert all(bool(label) == bool(part) for label, part in zip(shown, parts, strict=True))
    assert not any(character.isspace() for label in shown for character in label)


@given(st.text())
def test_labels_of_whole_text_hold_its_letters(text: str):
    letters = "".join(c for c in text if c.isalpha())
    assert "".join(c for c in "".join(labels([c.encode() for c in text])) if c.isalpha()) == letters


def test_rows_of_tensors_and_arrays_are_ids_as_well():
    tokenizer = LEARNED["bytes"]
    for ids in (torch.tensor([97, 256]), torch.tensor([[97, 256]]), np.array([97, 256], dtype=np.uint16), (97, 256)):
        assert tokenizer.labels(ids) == ["a", SEPARATOR]
        assert tokenizer.decode(ids) == "a" + SEPARATOR


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.tensor([[97], [98]]), r"ids: Tensor of shape \(2, 1\) and torch.int64 was given; it must be one row of"),
        (torch.tensor([97.0]), r"ids: Tensor of shape \(1,\) and torch.float32 was given"),
        ([[97]], r"ids: \[\[97\]\] was given; it must be one row of whole numbers, such as ids_BT\[0\]"),
        ("ab", "ids: 'ab' was given"),
        (97, "ids: 97 was given"),
        ([257], r"id 257 is not in the vocabulary \(0 to 256\)"),
        ([-1], "id -1 is not in the vocabulary"),
    ],
)
def test_what_is_no_row_of_ids_is_refused(ids: Any, message: str):
    for read in (LEARNED["bytes"].labels, LEARNED["bytes"].decode):
        with pytest.raises(TextError, match=message):
            read(ids)


def test_labels_of_each_kind():
    assert LEARNED["bytes"].labels([*"é".encode(), 256]) == ["é₁", "é₂", SEPARATOR]
    assert LEARNED["characters"].labels(LEARNED["characters"].encode("你 x\n")) == ["你", "·", "x", "⏎"]
    assert LEARNED["bpe"].labels(LEARNED["bpe"].encode(" world")) == ["·world"]
    assert word_pieces().labels([2, 3]) == ["caf", "##e"]
    assert sentence_pieces().labels(sentence_pieces().encode("a 你b")) == ["·a", "·", "你₁", "你₂", "你₃", "b"]
