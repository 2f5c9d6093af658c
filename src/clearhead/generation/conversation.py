"""A conversation with a model: messages in, answers out as they come, the whole of it within the context."""

from __future__ import annotations

import re
from collections.abc import Generator

from clearhead.errors import TextError
from clearhead.generation.completion import Finish, Piece, stream_ids
from clearhead.generation.decoding import Memory
from clearhead.generation.defaults import defaults
from clearhead.generation.sampling import Sampling
from clearhead.language_model import LanguageModel
from clearhead.model import needs
from clearhead.text.chat.templates import Message

CHANNEL = "<|channel|>"
# A part of an answer by GPT-OSS (OpenAI's Harmony format): thoughts and words for the reader have a channel each.
PART = re.compile(r"<\|channel\|>(\w+).*?<\|message\|>(.*?)(?=<\|(?:end|start|channel)\|>|\Z)", re.DOTALL)


class Conversation:
    """Messages so far, and the ids of the last answer with all that was read for it.

    Every answer is written after the whole conversation, as the model's chat template lays it out; what stands there as
    it did before is not read again. Nothing is left out to make it fit. ``system`` is a first message that tells the
    model how to answer. Raises TextError when the model has no chat template, OptionError for an encoder.
    """

    def __init__(self, model: LanguageModel, *, system: str | None = None) -> None:
        needs(model.network, "next tokens", "chat")
        if "default" not in model.tokenizer.templates:
            model.tokenizer.chat([])  # says so, and what to do
        self._model, self._ends = model, defaults(model).ends
        self._first: list[Message] = [] if system is None else [{"role": "system", "content": system}]
        self.messages = list(self._first)
        self.ids: list[int] = []
        self.answer = 0  # the place in ``ids`` where the last answer begins
        self._memory = Memory()
        self.finish: Finish | None = None  # why it ended; None: it was stopped

    def clear(self) -> None:
        """Begins anew, with the system message alone."""
        self.messages, self.ids, self.answer, self._memory = list(self._first), [], 0, Memory()

    def ask(self, text: str, sampling: Sampling) -> Generator[Piece]:
        """The answer to one more message, in pieces; what has come stays in the conversation, also when it is stopped.

        Raises TextError, and leaves the conversation as it was, when it no longer fits the context with this message or
        the template refuses it.
        """
        messages = [*self.messages, {"role": "user", "content": text}]
        tokenizer, context = self._model.tokenizer, self._model.config.context
        ids = tokenizer.encode(tokenizer.chat(messages))
        if not ids:
            raise TextError("chat template: it makes no text of the conversation")
        if len(ids) >= context:
            raise TextError(
                f"the conversation no longer fits: with this message it has {len(ids):,} tokens, and the model's "
                f"context is {context:,}; nothing was dropped; begin anew, or send a shorter message"
            )
        return self._answer(messages, ids, sampling)

    def _answer(self, messages: list[Message], ids: list[int], sampling: Sampling) -> Generator[Piece]:
        written: list[str] = []
        chosen: list[int] = []
        self.finish = None
        try:
            for piece in stream_ids(self._model, [ids], sampling, memory=self._memory):
                written.append(piece.text)
                if piece.id not in self._ends:
                    chosen.append(piece.id)
                self.finish = piece.finish
                yield piece
        finally:
            if written:
                answer = _message("".join(written), self._model.tokenizer.templates["default"])
                self.messages = [*messages, answer]
                self.ids, self.answer = [*ids, *chosen], len(ids)


def _message(text: str, template: str) -> Message:
    """An answer as its chat template takes it back: where that has channels, thoughts apart from what is said."""
    parts: list[tuple[str, str]] = PART.findall(text) if CHANNEL in template else []
    if not parts:
        return {"role": "assistant", "content": text}
    thoughts = "".join(part for channel, part in parts if channel == "analysis")
    said = "".join(part for channel, part in parts if channel != "analysis")
    return {"role": "assistant", "content": said, **({"thinking": thoughts} if thoughts else {})}
