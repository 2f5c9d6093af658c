"""What encoders are for: filling masks, and turning texts into vectors."""

from clearhead.encoding.filling import Filling, Guess, fill
from clearhead.encoding.vectors import vectors

__all__ = ["Filling", "Guess", "fill", "vectors"]
