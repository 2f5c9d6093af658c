"""Text from a model: how tokens are chosen, the decoding engine, completions whole or as they come."""

from clearhead.generation.completion import TOGETHER, Completion, Finish, Piece, complete, encode, generate, stream
from clearhead.generation.sampling import Sampling

__all__ = ["TOGETHER", "Completion", "Finish", "Piece", "Sampling", "complete", "encode", "generate", "stream"]
