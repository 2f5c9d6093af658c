"""Products with trained matrices: the one place where a model multiplies by its weights."""

from clearhead.products.few_bits import BITS, BYTES, Quantised, dense, fits, quantised, split
from clearhead.products.multiply import FEW, product

__all__ = ["BITS", "BYTES", "FEW", "Quantised", "dense", "fits", "product", "quantised", "split"]
