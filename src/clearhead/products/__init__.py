"""Products with trained matrices: the one place where a model multiplies by its weights."""

from clearhead.products.choosing import Choice, choices, place
from clearhead.products.compensating import compensated
from clearhead.products.few_bits import BITS, BYTES, GROUP, Codes, Quantised, dense, fits, quantised, split
from clearhead.products.multiply import FEW, product

__all__ = [
    "BITS",
    "BYTES",
    "FEW",
    "GROUP",
    "Choice",
    "Codes",
    "Quantised",
    "choices",
    "compensated",
    "dense",
    "fits",
    "place",
    "product",
    "quantised",
    "split",
]
