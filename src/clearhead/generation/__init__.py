"""Text generation: sampling, the decoding engine, and completions, whole or streamed."""

from clearhead.generation.completion import (
    TOGETHER,
    Chunk,
    Completion,
    Finish,
    complete,
    generate,
    stream,
    stream_ids,
)
from clearhead.generation.conversation import Conversation
from clearhead.generation.defaults import Defaults, defaults, resolved
from clearhead.generation.sampling import Sampling

__all__ = [
    "TOGETHER",
    "Chunk",
    "Completion",
    "Conversation",
    "Defaults",
    "Finish",
    "Sampling",
    "complete",
    "defaults",
    "generate",
    "resolved",
    "stream",
    "stream_ids",
]
