"""Tokens that every translation of a released model has in fixed places, by its generation_config.json."""

from __future__ import annotations

from dataclasses import dataclass

from clearhead.errors import FolderError, OptionError
from clearhead.generation.defaults import CONFIG, FILE, ids_in
from clearhead.language_model import LanguageModel


@dataclass(frozen=True, kw_only=True)
class Forced:
    """Forced tokens, which count as certain: their log-probability is 0. None = any token.

    first: the id that a translation starts with (forced_bos_token_id)
    last: the last id of a translation that reaches the limit of tokens (forced_eos_token_id)
    """

    first: int | None = None
    last: int | None = None

    def at(self, length: int, limit: int) -> int | None:
        """The id forced as token number ``length``, counted from 1; None if any may come."""
        if length == limit and self.last is not None:
            return self.last
        return self.first if length == 1 else None


def forced(model: LanguageModel) -> Forced:
    """What the model's generation_config.json forces or, as in transformers, its config.json if it has no such file.

    Raises FolderError for a value that is not one token id of the model, OptionError if it translates into several
    languages and none is chosen.
    """
    named, name = (model.metadata.generation, FILE) if model.metadata.generation else (model.metadata.ids, CONFIG)
    file = name if model.folder is None else f"{model.folder / name}"

    def one(entry: str) -> int | None:
        ids = sorted(ids_in(named.get(entry), file, entry))
        if len(ids) > 1 or (ids and ids[0] >= model.config.vocabulary):
            raise FolderError(
                f"{file}: {entry} is {ids}; it must be one id below the model's {model.config.vocabulary:,}; fix the "
                "value, or download it again"
            )
        return ids[0] if ids else None

    first, tokenizer = one("forced_bos_token_id"), model.tokenizer
    start = {**model.metadata.ids, **model.metadata.generation}.get("decoder_start_token_id")
    if first is None and tokenizer.around_source is not None and not tokenizer.is_language(start):
        raise OptionError(
            "the language to translate into is missing; name it with --to or, in Python, "
            f"model.with_languages(target=...); this model knows {', '.join(tokenizer.languages)}"
        )
    return Forced(first=first, last=one("forced_eos_token_id"))
