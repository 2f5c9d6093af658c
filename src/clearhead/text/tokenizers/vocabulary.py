"""What the ids of a tokenizer are: how many, the text of each, and their roles."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers

from clearhead.errors import OptionError, TextError, many
from clearhead.text.tokenizers.labels import labels
from clearhead.text.tokenizers.languages import languages
from clearhead.text.tokenizers.learned import SEPARATOR, plain_config, state_of
from clearhead.text.tokenizers.recognising import recognise
from clearhead.text.tokenizers.refusals import row_of_ids
from clearhead.text.tokenizers.special import edges, role_tokens, unknown_id
from clearhead.text.tokenizers.words import Bools, parts_of, word_edges

Ids = npt.NDArray[np.unsignedinteger[Any]]  # uint16 or uint32

log = logging.getLogger(__name__)


class Vocabulary:
    """The ids of a tokenizer; ``Tokenizer``, which goes from text to ids and back, describes its attributes."""

    def __init__(
        self,
        library: tokenizers.Tokenizer,
        config: Mapping[str, Any] | None,
        *,
        start: int | None,
        ends: Collection[int],
    ) -> None:
        self._library = library
        state = state_of(library)
        self.kind, self.cuts = recognise(state)
        ids = np.fromiter(library.get_vocab(with_added_tokens=True).values(), dtype=np.int64)
        self.vocab_size = int(ids.max()) + 1
        used = np.zeros(self.vocab_size, dtype=np.bool_)
        used[ids] = True
        self.gaps: list[int] = np.flatnonzero(~used).tolist()
        marker: int | None = library.token_to_id(SEPARATOR)
        if self.kind == "file" or marker is None:
            self.front, self.back = edges(state["post_processor"])
        else:
            self.front, self.back = (marker,), ()
        self.separator = self.front[0] if len(self.front) == 1 else None
        self._start = start
        self.target_start = self.separator if start is None else start
        self.document_end = self.back
        # the smallest type for the ids: half the disk and memory for vocabularies up to 65,536
        self.dtype = np.dtype(np.uint16 if self.vocab_size <= 1 << 16 else np.uint32)
        self._config = dict(config) if config is not None else plain_config(marker is not None)
        self.roles = role_tokens(self._config)
        # Ignores ordinary tokens: a default of some config class, meant for another vocabulary.
        self._ends = frozenset(ends) & library.get_added_tokens_decoder().keys()
        # whether the text of ids is that of their joined bytes
        self._bytewise = (state["decoder"] or {}).get("type") == "ByteLevel"
        self._joins = self._bytewise or self.kind in ("characters", "character-bpe", "unigram")
        self._byte_fallback = bool(state["model"].get("byte_fallback"))
        self._prefix: str | None = state["model"].get("continuing_subword_prefix") or None  # WordPiece's ##
        found = None if self._bytewise or self._byte_fallback else unknown_id(library, state["model"])
        self.unknown = None if found in self.front else found  # GPT-2's files name <|endoftext|>

    @cached_property
    def ordinary(self) -> Bools:
        """Which ids stand for text, [V]: all but special tokens and gaps."""
        found = np.ones(self.vocab_size, dtype=np.bool_)
        added = self._library.get_added_tokens_decoder()
        special = [number for number, token in added.items() if token.special]
        roles = [token for name in self.roles if (token := self.role(name)) is not None]
        found[[*self.gaps, *special, *roles, *self.front, *self.document_end]] = False
        return found

    @cached_property
    def sentinels(self) -> list[int]:
        """The ids of <extra_id_0>, <extra_id_1>, ..., which stand for missing spans (T5); empty if it has none."""
        found: list[int] = []
        while (token := self._library.token_to_id(f"<extra_id_{len(found)}>")) is not None:
            found.append(token)
        return found

    @cached_property
    def languages(self) -> dict[str, int]:
        """The ids of the tokens for languages, by code ("en_XX"); empty if it has none (languages.py)."""
        return languages(self._library)

    def language(self, code: str) -> int:
        """The id of a language's token. Raises OptionError, with the codes there are, for one that it does not know."""
        if not self.languages:
            raise OptionError(
                f"language {code!r}: this model's tokenizer has no tokens for languages; leave it out, or say it "
                'in the text as the model was trained (T5: "translate English to German: ...", OPUS-MT: ">>deu<< ...")'
            )
        if code not in self.languages:
            raise OptionError(f"there is no language {code!r}; this model knows {', '.join(self.languages)}")
        return self.languages[code]

    def is_language(self, token: int | None) -> bool:
        """Whether the id is a language's; in mBART's first models it begins a translation."""
        return token in self.languages.values()

    @property
    def around_source(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """The ids before and after a text to translate if one of them names its language, else None."""
        named = not {*self.front, *self.back}.isdisjoint(self.languages.values())
        return (self.front, self.back) if named else None

    @cached_property
    def word_edges(self) -> tuple[Bools, Bools]:
        """Which ids can continue the word before them, and which can be continued, [V] each (words.py)."""
        return word_edges(self._parts, self.vocab_size, self._prefix)

    def role(self, name: str) -> int | None:
        """The id of the token with a role (special.ROLES); None if there is none, or it is not in the vocabulary."""
        token = self.roles.get(name)
        return None if token is None else self._library.token_to_id(token)

    @cached_property
    def needed(self) -> int:
        """Ids that a model must have: all but trailing added tokens that go around no text (Gemma 3's for images)."""
        ids = self._library.get_vocab(with_added_tokens=False).values()
        return max([*ids, *self.front, *self.back]) + 1

    @property
    def end(self) -> int | None:
        """The id that ends a text: <|endoftext|> if it is the separator, else the role eos; None if unknown.

        If the model's config names ends, the first of the two that is among them, or the lowest of them.
        """
        marker = self._library.token_to_id(SEPARATOR)
        known = [marker if marker == self.separator else None, self.role("eos")]
        fitting = [token for token in known if token is not None and (not self._ends or token in self._ends)]
        return fitting[0] if fitting else min(self._ends, default=None)

    @property
    def begin_only(self) -> tuple[int, ...]:
        """Ids in front that never end a text. If no end is known, a separator marks both."""
        ends = self._ends if self.end is None else {self.end, *self._ends}
        if not ends and self.separator is not None:
            return ()
        return tuple(token for token in self.front if token not in ends)

    @property
    def counted(self) -> str:
        """A clause for errors: which special tokens a number of tokens includes."""
        if self.end is not None and self.end == self.separator:
            return " with the separator in front"
        return " with the special tokens around it" if self.front or self.back else ""

    def byte_lengths(self) -> npt.NDArray[np.int32]:
        """Bytes of UTF-8 that each id stands for, [V], 0 for those around a document. Exact only if ``cuts`` is set."""
        around = (*self.front, *self.document_end)
        lengths = np.zeros(self.vocab_size, dtype=np.int32)
        for token, part in self._parts.items():
            lengths[token] = len(part) if token not in around else 0
        return lengths

    def note_unknown(self, ids: Sequence[int] | Ids) -> None:
        """Logs how many of the ids are unknown, if any: the model does not see that text."""
        count = 0 if self.unknown is None else int(np.count_nonzero(np.asarray(ids) == self.unknown))
        if count:
            one, more = "%s of %s is unknown to this tokenizer", "%s of %s are unknown to this tokenizer"
            log.info(one if count == 1 else more, f"{count:,}", many(len(ids), "token"))

    def labels(self, ids: Iterable[int]) -> list[str]:
        """One display string per id; fragments of a character show the whole character (labels.py).

        Raises TextError for an id outside the vocabulary.
        """
        return labels([self._part(token) for token in row_of_ids(ids)])

    def _part(self, token: int) -> bytes:
        try:
            return self._parts[token]
        except KeyError as unknown:
            raise TextError(f"id {token} is not in the vocabulary (0 to {self.vocab_size - 1})") from unknown

    @cached_property
    def _parts(self) -> dict[int, bytes]:
        """What each id adds to the text: exact if ids are joined as bytes, else for display."""
        vocabulary = self._library.get_vocab(with_added_tokens=True)
        return parts_of(vocabulary, bytewise=self._bytewise, fallback=self._byte_fallback, joins=self._joins)
