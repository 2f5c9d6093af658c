"""Products with trained matrices: the one place where a model multiplies by its weights."""

from clearhead.products.choosing import Choice, choices, choices_file
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
    "choices_file",
    "compensated",
    "dense",
    "fits",
    "product",
    "quantised",
    "split",
]
