"""Which tokens are text, and which begin one: derived from the mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clearhead.attend import Mask
from clearhead.attend.mask import Causal, Documents, Padding
from clearhead.errors import RequestError


def is_text(mask: Mask, batch: int, places: int, device: torch.device) -> Tensor:
    """text_BT: False for padding, which cannot see even itself."""
    return _sees(mask, batch, torch.arange(places, device=device), back=0)


def spans_of(mask: Mask, batch: int, places: int, device: torch.device) -> Tensor:
    """spans_B2: the first cell of each row's text, and the one after its last."""
    return torch.tensor(mask.spans(batch, places), device=device)


def goes_on(mask: Mask, batch: int, start: int, places: int, device: torch.device) -> Tensor:
    """on_BT: True where a token sees the one before it; False for the first of a text or of a packed document.

    The ``places`` tokens follow ``start`` tokens that were read before.
    """
    place_T = torch.arange(start, start + places, device=device)
    return _sees(mask, batch, place_T, back=1) & (place_T > 0)


def begins(mask: Mask, batch: int, start: int, places: int, device: torch.device) -> Tensor:
    """begins_BT: True for the first token of a text or of a packed document; False for padding.

    The ``places`` tokens follow ``start`` tokens that were read before.
    """
    place_T = torch.arange(start, start + places, device=device)
    return _sees(mask, batch, place_T, back=0) & ~goes_on(mask, batch, start, places, device)


def taps(mask: Mask, batch: int, start: int, places: int, backs: Sequence[int], device: torch.device) -> Tensor:
    """seen_BTJ: whether a token sees the one ``backs[J]`` places before it; ``start`` as in ``begins``."""
    place_T = torch.arange(start, start + places, device=device)
    seen = [_sees(mask, batch, place_T, back) & (place_T >= back) for back in backs]
    return torch.stack(seen, dim=2)


def reach_of(places_BT: Tensor, ids_BT: Tensor, context: int) -> int:
    """One more than the largest place. Raises RequestError if places do not fit the ids or the context length."""
    if places_BT.dim() != 2 or places_BT.shape[1] != ids_BT.shape[1] or places_BT.shape[0] not in (1, len(ids_BT)):
        raise RequestError(
            f"model: places of shape {tuple(places_BT.shape)} for ids of shape {tuple(ids_BT.shape)}; "
            "give one row per batch row, or one row for all"
        )
    if torch.compiler.is_compiling():
        return context
    first, last = (int(place) for place in places_BT.aminmax())
    if first < 0 or last >= context:
        raise RequestError(
            f"model: places from {first} to {last}; they must be at least 0 and below the context, {context}"
        )
    return last + 1


def check_no_types(types_BT: Tensor | None) -> None:
    """Raises RequestError if a model without token types is given some."""
    if types_BT is not None:
        raise RequestError("model: token types were given, but this model has none; leave them out")


def check_padding(mask: Mask, kind: str) -> None:
    """Raises RequestError if the mask hides more than padding."""
    for part in mask.parts:
        if not isinstance(part, Padding):
            raise RequestError(
                f"model: the mask has a {type(part).__name__}, but models of kind {kind!r} can only hide padding; "
                "leave it out"
            )


def check_texts(mask: Mask, kind: str) -> None:
    """Raises RequestError if the mask hides more than padding, other documents and later places."""
    for part in mask.parts:
        if not isinstance(part, Padding | Documents | Causal):
            raise RequestError(
                f"model: the mask has a {type(part).__name__}, but models of kind {kind!r} can only hide padding, "
                "other documents and later places; leave it out"
            )


def _sees(mask: Mask, batch: int, place_T: Tensor, back: int) -> Tensor:
    b = torch.arange(batch, device=place_T.device).view(-1, 1, 1, 1)
    q = place_T.view(1, 1, -1, 1)
    seen_B1T1 = mask.visible(b, torch.zeros_like(q[:, :, :1]), q, (q - back).clamp(min=0))
    return seen_B1T1.expand(batch, 1, len(place_T), 1)[:, 0, :, 0]
