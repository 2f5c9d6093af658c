"""What encoders are for: masked tokens are filled, texts become vectors."""

from clearhead.encoding.filling import Filling, Guess, fill
from clearhead.encoding.vectors import vectors

__all__ = ["Filling", "Guess", "fill", "vectors"]
