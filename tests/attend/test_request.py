"""An inconsistent request is refused once, with the site, the values and the rule."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from clearhead.attend import (
    Mask,
    Score,
    attend,
    band,
    causal,
    documents,
    knockout,
    left_padding,
    padding,
    window,
)
from clearhead.errors import RequestError
from clearhead.tap import Site
from definition import tensors

Q, K, V = tensors(6, 3, 5)  # (2, 6, 5, 7), (2, 3, 11, 7), (2, 3, 11, 7)
META = torch.device("meta")
LENGTHS = torch.tensor([3, 4])


def refused(q: torch.Tensor = Q, k: torch.Tensor = K, v: torch.Tensor = V, **options: object) -> str:
    options = {"mask": Mask(), "site": Site(2, "cross", "encoder"), **options}
    with pytest.raises(RequestError) as caught:
        attend(q, k, v, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith("encoder.2.cross: ")
    return message.removeprefix("encoder.2.cross: ")


@pytest.mark.parametrize(
    ("tensors_given", "message"),
    [
        (
            {"q": Q[0]},
            "q, k and v have 3, 4 and 4 axes; each must have 4: batch, head, place, width",
        ),
        (
            {"v": V[:, :, :0], "k": K[:, :, :0]},
            "q is (2, 6, 5, 7), k (2, 3, 0, 7) and v (2, 3, 0, 7); no axis may be empty",
        ),
        ({"q": Q[:0]}, "q is (0, 6, 5, 7), k (2, 3, 11, 7) and v (2, 3, 11, 7); no axis may be empty"),
        ({"k": K[:, :0]}, "q is (2, 6, 5, 7), k (2, 0, 11, 7) and v (2, 3, 11, 7); no axis may be empty"),
        ({"k": K[:1]}, "q, k and v have 2, 1 and 2 batch rows; the batch must be the same"),
        ({"v": V[:1]}, "q, k and v have 2, 2 and 1 batch rows; the batch must be the same"),
        ({"q": Q[..., :5]}, "q is 5 wide and k 7; heads of queries and keys must be equally wide"),
        ({"v": V[:, :1]}, "k has 3 heads at 11 places, v 1 at 11; every key needs one value"),
        ({"v": V[:, :, :9]}, "k has 3 heads at 11 places, v 3 at 9; every key needs one value"),
        ({"q": Q[:, :5]}, "q has 5 heads, k has 3; query heads must be a multiple of key heads"),
        ({"q": Q[:, :2]}, "q has 2 heads, k has 3; query heads must be a multiple of key heads"),
        (
            {"k": K.float()},
            "q, k and v are torch.float64, torch.float32 and torch.float64; the dtype must be the same",
        ),
        (
            {"q": Q.long(), "k": K.long(), "v": V.long()},
            "q is torch.int64; attention needs a floating-point dtype",
        ),
        ({"k": K.to(META)}, "q, k and v are on cpu, meta and cpu; the device must be the same"),
    ],
)
def test_tensors(tensors_given: dict[str, torch.Tensor], message: str) -> None:
    assert refused(**tensors_given) == message


@pytest.mark.parametrize("mask", [causal(), window(3), knockout([(1, 0)]), padding(LENGTHS) & causal(), None])
def test_more_queries_than_keys_under_a_rule_of_places(mask: Mask | None) -> None:
    given = {"score": Score(bias_HN=torch.zeros(6, 3))} if mask is None else {"mask": mask}
    message = refused(k=K[:, :, :4], v=V[:, :, :4], **given)
    assert message == (
        "5 queries and 4 keys under a rule that needs the queries' places; query row i sits at key place K - Q + i, "
        "which is negative: use padding or no mask between two texts"
    )


def test_one_sink_per_query_head() -> None:
    message = "sinks have shape (3,); they must be (6,), one per query head"
    assert refused(score=Score(sinks_H=torch.ones(3))) == message
    message = "sinks are on meta, q on cpu; the device must be the same"
    assert refused(score=Score(sinks_H=torch.ones(6, device=META))) == message


def test_one_bias_per_query_head_and_distance() -> None:
    for shape in ((3, 5), (6, 4), (5,)):
        message = f"the bias has shape {shape}; it must be (6, 2R + 1): per head, the distances -R to R"
        assert refused(score=Score(bias_HN=torch.ones(shape))) == message
    message = "the bias is on meta, q on cpu; the device must be the same"
    assert refused(score=Score(bias_HN=torch.ones(6, 5, device=META))) == message


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (window(0), "the window is 0 keys; it must be at least 1"),
        (
            padding(torch.tensor([3])),
            "padding has starts and stops of shape (1,) and (1,); both must be (2,), one per batch row",
        ),
        (
            left_padding(torch.tensor([[3], [4]])),
            "padding has starts and stops of shape (2, 1) and (2, 1); both must be (2,), one per batch row",
        ),
        (padding(LENGTHS.to(META)), "padding is on meta, q on cpu; the device must be the same"),
        (
            documents(torch.zeros(2, 5, dtype=torch.long)),
            "document numbers have shape (2, 5); they must be (2, 11), one per key",
        ),
        (
            documents(torch.zeros(2, 11, dtype=torch.long, device=META)),
            "document numbers are on meta, q on cpu; the device must be the same",
        ),
        (knockout([(3, 1), (-1, 2)]), "knocked-out pairs are ((3, 1), (-1, 2)); places count from 0"),
        (knockout([(3, 1)], head=6), "knock-out in head 6; there are 6 heads, counted from 0"),
        (causal() & window(-3), "the window is -3 keys; it must be at least 1"),
    ],
)
def test_masks(mask: Mask, message: str) -> None:
    assert refused(mask=mask) == message


@pytest.mark.parametrize("softcap", [0.0, -5.0, math.inf, math.nan])
def test_a_soft_cap_checks_itself(softcap: float) -> None:
    message = f"score: softcap is {softcap}; it must be a number above 0 and finite, or None for no cap"
    with pytest.raises(RequestError, match=re.escape(message)):
        Score(softcap=softcap)


@pytest.mark.parametrize("scale", [0.0, -0.5, math.inf, math.nan, "1", torch.tensor(2.0)])
def test_a_scale_checks_itself(scale: float) -> None:
    """NaN would give zeros, 0 and infinity NaN, in one kernel or the other."""
    message = f"score: scale is {scale!r}; it must be a number above 0 and finite, or None for 1/sqrt(D)"
    with pytest.raises(RequestError, match=re.escape(message)):
        Score(scale=scale)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: window(2.5), "window: 2.5 was given; places and sizes are whole numbers"),
        (lambda: band(math.nan), "band: nan was given; places and sizes are whole numbers"),
        (lambda: knockout([(2.7, 1)]), "knockout: 2.7 was given; places and sizes are whole numbers"),
        (lambda: knockout([(2, 1)], head=0.5), "knockout: 0.5 was given; places and sizes are whole numbers"),
        (
            lambda: documents(torch.zeros(2, 11)),
            "documents: a tensor of torch.float32 was given; places and numbers are whole: int64",
        ),
        (
            lambda: padding(LENGTHS == 3),
            "padding: a tensor of torch.bool was given; places and numbers are whole: int64",
        ),
        (
            lambda: left_padding(torch.tensor([1.0])),
            "left_padding: a tensor of torch.float32 was given; places and numbers are whole: int64",
        ),
        (lambda: padding([3, 4]), "padding: [3, 4] was given; it takes a tensor of whole numbers"),
    ],
)
def test_places_that_are_not_whole_numbers(made: Callable[[], Mask], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        made()
    assert str(caught.value) == message


def test_whole_numbers_of_other_kinds_are_taken() -> None:
    assert window(np.int64(3)) == window(3)
    assert knockout([(np.int64(2), torch.tensor(1))]) == knockout([(2, 1)])
    q, k, v = tensors(6, 3, 1, keys=300)
    narrow = left_padding(torch.tensor([3, 4], dtype=torch.uint8))  # 255, its largest number, is a place of the text
    o = attend(q, k, v, mask=narrow, site=Site(0))
    assert torch.equal(o, attend(q, k, v, mask=left_padding(LENGTHS), site=Site(0)))
