"""The sizes of projected values: how much a key can add to the residual stream, besides its weight."""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead.attend.request import wide


def factors(weight_EF: Tensor, heads: int) -> Tensor:
    """factors_HRD of an output projection W_O, of shape (E, heads x D): ||R v|| = ||W_O v|| for a head's values.

    R is that of W_O = QR for the head's columns of W_O: D x D numbers instead of E x D, since Q keeps lengths. Computed
    at once, so that training the model later changes no record.
    """
    weight_EHD = weight_EF.detach().to(wide(weight_EF.dtype)).unflatten(1, (heads, -1))
    with torch.inference_mode(mode=False), torch.no_grad():
        return torch.linalg.qr(weight_EHD.transpose(0, 1).clone(), mode="r").R


def sizes(v_GKD: Tensor, factors_HRD: Tensor) -> Tensor:
    """sizes_HK: ||W_O v|| of each head and key place, without the weight."""
    heads = len(factors_HRD)
    group = heads // len(v_GKD)
    with torch.inference_mode(mode=False), torch.no_grad():
        v_GKD = v_GKD.to(factors_HRD)
        return torch.stack([(v_GKD[head // group] @ factors_HRD[head].T).norm(dim=1) for head in range(heads)])
