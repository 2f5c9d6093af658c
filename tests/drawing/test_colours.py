"""Colours: ends, order, and a hidden cell that no weight can look like."""

import numpy as np

from clearhead.drawing.colours import DARK, HIDDEN, HIDDEN_DARK, HIDDEN_LIGHT, LIGHT, paint


def brightness(colour: np.ndarray) -> np.ndarray:
    return colour.astype(float) @ [0.299, 0.587, 0.114]


def test_the_ends_and_the_hidden_colour():
    assert paint(np.array([0.0, 1.0, HIDDEN])).tolist() == [
        [255, 255, 255],
        [int(LIGHT[-1][at : at + 2], 16) for at in (1, 3, 5)],
        [int(HIDDEN_LIGHT[at : at + 2], 16) for at in (1, 3, 5)],
    ]


def test_larger_weights_are_darker():
    assert (np.diff(brightness(paint(np.linspace(0, 1, 200)))) < 0).all()


def test_the_scale_follows_the_root():
    fifths = np.array([0.2, 0.4, 0.6, 0.8]) ** 2
    assert ["#{:02x}{:02x}{:02x}".format(*colour) for colour in paint(fifths)] == list(LIGHT[1:5])


def test_hidden_is_far_from_every_weight():
    for scale, hidden in ((LIGHT, HIDDEN_LIGHT), (DARK, HIDDEN_DARK)):
        stops = np.array([[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in (*scale, hidden)], float)
        along = np.stack([np.interp(np.linspace(0, 5, 500), np.arange(6), stops[:6, n]) for n in range(3)], -1)
        assert np.abs(along - stops[6]).sum(-1).min() > 60
