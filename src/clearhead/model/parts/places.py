"""Which tokens are text, and which continue the token before: derived from the mask."""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead.attend import Mask


def is_text(mask: Mask, batch: int, places: int, device: torch.device) -> Tensor:
    """text_BT: False for padding, which cannot see even itself."""
    return _sees(mask, batch, torch.arange(places, device=device), back=0)


def goes_on(mask: Mask, batch: int, start: int, places: int, device: torch.device) -> Tensor:
    """on_BT: True where a token sees the one before it; False for the first of a text or of a packed document.

    ``places`` tokens come after ``start`` that were read before.
    """
    place_T = torch.arange(start, start + places, device=device)
    return _sees(mask, batch, place_T, back=1) & (place_T > 0)


def _sees(mask: Mask, batch: int, place_T: Tensor, back: int) -> Tensor:
    b = torch.arange(batch, device=place_T.device).view(-1, 1, 1, 1)
    q = place_T.view(1, 1, -1, 1)
    seen_B1T1 = mask.visible(b, torch.zeros_like(q[:, :, :1]), q, (q - back).clamp(min=0))
    return seen_B1T1.expand(batch, 1, len(place_T), 1)[:, 0, :, 0]
