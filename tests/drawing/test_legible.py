"""Labels and numbers for pictures and terminals."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from clearhead.drawing.legible import UNSEEN, legible, scientific, short, shortened, spelled


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("·server", "·server"),
        ("你₁", "你₁"),
        ("a\nb\tc", "a⏎b⇥c"),
        ("\x1b[31m", "<U+001B>[31m"),
        ("\u202eabc", "<U+202E>abc"),
        ("\u2028\u200b", "<U+2028><U+200B>"),
        ("␛␀␡", "<0x1B><0x00><0x7F>"),
        ("\ue000\udc80", "<U+E000><U+DC80>"),
        ("❤\ufe0f", "❤<U+FE0F>"),
        ("", ""),
    ],
)
def test_by_hand(text: str, shown: str):
    assert legible(text) == shown


def test_given_characters_are_spelled_out():
    assert spelled("a龘\U00020000龘", {"龘", "\U00020000"}) == "a<U+9F98><U+20000><U+9F98>"


@settings(deadline=None)
@given(st.text())
def test_nothing_invisible_is_left(text: str):
    assert not any(unicodedata.category(char) in UNSEEN for char in legible(text))


@pytest.mark.parametrize(
    ("text", "cells", "cut"),
    [
        ("server", 6, "server"),
        ("servers", 6, "serve…"),
        ("服务员", 6, "服务员"),
        ("服务员的", 6, "服务…"),
        ("服务", 4, "服务"),
    ],
)
def test_cut_to_cells(text: str, cells: int, cut: str):
    assert shortened(text, cells) == cut
    assert cell_len(cut) <= cells


@pytest.mark.parametrize(
    ("weight", "digits", "text"),
    [
        (0.4149, 2, "0.41"),
        (0.0049, 2, "<.01"),
        (0.0051, 2, "0.01"),
        (0.0, 2, "0.00"),
        (1.0, 2, "1.00"),
        (4e-4, 3, "<.001"),
    ],
)
def test_weights_never_read_as_zero_when_they_are_not(weight: float, digits: int, text: str):
    assert short(weight, digits) == text


def test_powers_of_ten():
    assert [scientific(value) for value in (0.0, 2.4e-7, 9.6e-7, 0.3, 1e-12)] == ["0", "2e-7", "1e-6", "3e-1", "1e-12"]
