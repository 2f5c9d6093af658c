"""A conversation with a model: messages in, streamed answers out, all of it within the context length."""

from __future__ import annotations

import re
from collections.abc import Generator

from clearhead.errors import TextError
from clearhead.generation.completion import Chunk, Finish, stream_ids
from clearhead.generation.decoding import Memory
from clearhead.generation.defaults import defaults
from clearhead.generation.draft import Draft
from clearhead.generation.sampling import Sampling
from clearhead.language_model import LanguageModel
from clearhead.model import needs
from clearhead.text.chat.templates import Message

CHANNEL = "<|channel|>"
# One part of a GPT-OSS answer. OpenAI's Harmony format has separate channels for reasoning and for the reply.
PART = re.compile(r"<\|channel\|>(\w+).*?<\|message\|>(.*?)(?=<\|(?:end|start|channel)\|>|\Z)", re.DOTALL)


class Conversation:
    """The messages so far, and the ids of the last answer together with its prompt.

    The prompt for each answer is the whole conversation, laid out by the model's chat template; the KV cache is reused
    for the part that has not changed. Nothing is dropped to make it fit. ``system`` is the system message, ``draft`` a
    model that guesses ahead (``generate``). Raises TextError if the model has no chat template, OptionError for an
    encoder or a draft with other tokens.
    """

    def __init__(self, model: LanguageModel, *, system: str | None = None, draft: LanguageModel | None = None) -> None:
        needs(model, "next tokens", "chat")
        if "default" not in model.tokenizer.templates:
            model.tokenizer.chat([])  # raises TextError with the way out
        self._model, self._ends = model, defaults(model).ends
        self._first: list[Message] = [] if system is None else [{"role": "system", "content": system}]
        self.messages = list(self._first)
        self.ids: list[int] = []
        self.answer = 0  # where the last answer begins in ``ids``
        self._memory = Memory()
        self._draft = None if draft is None else Draft(draft, model)
        self.finish: Finish | None = None  # why the last answer ended; None if it was interrupted

    def clear(self) -> None:
        """Starts over with only the system message."""
        self.messages, self.ids, self.answer, self._memory = list(self._first), [], 0, Memory()
        self.finish = None

    def forget(self) -> None:
        """Empties the KV cache but keeps the messages: for when the model will answer differently, as under edits."""
        self._memory = Memory()

    def ask(self, text: str, sampling: Sampling) -> Generator[Chunk]:
        """Streams the answer to one more message. An interrupted answer stays in the conversation as far as it got.

        Raises TextError, leaving the conversation unchanged, if the message does not fit in the context or the chat
        template rejects it.
        """
        messages = [*self.messages, {"role": "user", "content": text}]
        tokenizer, context = self._model.tokenizer, self._model.config.context
        ids = tokenizer.encode(tokenizer.chat(messages))
        if not ids:
            raise TextError(
                "chat template: it renders this conversation as an empty text; fix the template, or use another"
            )
        if len(ids) >= context:
            raise TextError(
                f"the conversation no longer fits: with this message it has {len(ids):,} tokens, and the model's "
                f"context length is {context:,}; nothing was dropped; start over, or send a shorter message"
            )
        return self._answer(messages, ids, sampling)

    def _answer(self, messages: list[Message], ids: list[int], sampling: Sampling) -> Generator[Chunk]:
        written: list[str] = []
        chosen: list[int] = []
        self.finish = None
        try:
            for chunk in stream_ids(self._model, [ids], sampling, draft=self._draft, memory=self._memory):
                written.append(chunk.text)
                if chunk.id not in self._ends:
                    chosen.append(chunk.id)
                self.finish = chunk.finish
                yield chunk
        finally:
            if written:
                answer = _message("".join(written), self._model.tokenizer.templates["default"])
                self.messages = [*messages, answer]
                self.ids, self.answer = [*ids, *chosen], len(ids)


def _message(text: str, template: str) -> Message:
    """An answer as the chat template expects it: with channels, the reasoning is kept apart from the reply."""
    parts: list[tuple[str, str]] = PART.findall(text) if CHANNEL in template else []
    if not parts:
        return {"role": "assistant", "content": text}
    thoughts = "".join(part for channel, part in parts if channel == "analysis")
    said = "".join(part for channel, part in parts if channel != "analysis")
    return {"role": "assistant", "content": said, **({"thinking": thoughts} if thoughts else {})}
