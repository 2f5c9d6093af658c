"""What encoders are for: filling masks, and turning texts into vectors."""

from clearhead.encoding.filling import Filling, Guess, fill, refill
from clearhead.encoding.vectors import vectors

__all__ = ["Filling", "Guess", "fill", "refill", "vectors"]
