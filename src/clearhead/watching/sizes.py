"""The sizes of projected values: how much a key can add to the residual stream, besides its weight."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clearhead.attend.request import wide
from clearhead.errors import WatchError
from clearhead.watching.passes import Segment


def factors(weight_EF: Tensor, heads: int) -> Tensor:
    """factors_HRD of an output projection W_O, of shape (E, heads x D): ||R v|| = ||W_O v|| for a head's values.

    R is that of W_O = QR for the head's columns of W_O: D x D numbers instead of E x D, since Q keeps lengths. Computed
    at once, so that training the model later changes no record.
    """
    weight_EHD = weight_EF.detach().to(wide(weight_EF.dtype)).unflatten(1, (heads, -1))
    with torch.inference_mode(mode=False), torch.no_grad():
        return torch.linalg.qr(weight_EHD.transpose(0, 1).clone(), mode="r").R


def sizes(segments: Sequence[Segment], factors_HRD: Tensor | None) -> Tensor:
    """sizes_HK: ||W_O v|| of each head and key place, without the weight.

    Raises WatchError if the values were not kept, or the model does not say how it projects them.
    """
    call, last = segments[-1].call, segments[-1]
    if call.v_BGKD is None:
        raise WatchError(f"record: no values were kept at {call.site}; ask for them, watch(model, keep='values')")
    if factors_HRD is None:
        raise WatchError(
            f"record: the model does not say how it projects the values of {call.site}, so they have no size"
        )
    heads = call.q_BHQD.shape[1]
    v_GKD = call.v_BGKD[last.row, :, last.start : last.start + last.keys].to(factors_HRD)
    with torch.inference_mode(mode=False), torch.no_grad():
        group = heads // v_GKD.shape[0]
        return torch.stack([(v_GKD[head // group] @ factors_HRD[head].T).norm(dim=1) for head in range(heads)])
