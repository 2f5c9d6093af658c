"""A language model: a network, its tokenizer, and the metadata from their folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import FolderError, OptionError, TextError, many, shown
from clearhead.model import ModelConfig, Network, State, evaluating
from clearhead.model.parts.pooling import Pooling
from clearhead.tap import Site, own_stack
from clearhead.text import Tokenizer, row_of_ids


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a model folder holds besides weights and tokenizer, kept for saving it again.

    family: the model family of the folder's layout; None for a new model, which uses the first that fits
    ids: entries of config.json that name special tokens
    idle: entries of config.json that do not affect the model
    generation: content of generation_config.json
    pooling: how hidden states become sentence vectors
    unpooled: why the folder's own pooling is not supported
    prompts: content of config_sentence_transformers.json
    """

    family: str | None = None
    ids: Mapping[str, Any] = field(default_factory=dict)
    idle: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    pooling: Pooling | None = None
    unpooled: str | None = None
    prompts: Mapping[str, Any] = field(default_factory=dict)


class LanguageModel:
    """A network with its tokenizer; what ``clearhead.load`` returns and most functions take.

    network: ids -> logits
    metadata: from the folder
    folder: where it was loaded from; None if never saved
    name: the folder or hub name given to ``load``
    """

    def __init__(
        self,
        network: Network,
        tokenizer: Tokenizer | None,
        *,
        metadata: Metadata | None = None,
        folder: Path | None = None,
        name: str = "",
    ) -> None:
        self.network = network
        self._tokenizer = tokenizer
        self.metadata = Metadata() if metadata is None else metadata
        self.folder = folder
        self.name = name

    def __repr__(self) -> str:
        named = f"{self.name!r}, " if self.name else ""
        return f"LanguageModel({named}{self.config.parameters():,} weights)"

    def __call__(self, ids_BT: Tensor | str, **options: Any) -> Tensor:
        """logits_BTV of ids, or logits_1TV of a text. ``options`` go to the network's ``forward``.

        Raises OptionError for anything else.
        """
        if isinstance(ids_BT, str):
            ids_BT = self.ids(ids_BT)
        if not isinstance(ids_BT, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError(
                f"model: {shown(ids_BT)} was given; it takes one text or a tensor ids_BT. For several texts "
                "take [model.logits(text) for text in texts]"
            )
        return self.network(ids_BT, **options)

    @property
    def config(self) -> ModelConfig:
        """The network's config."""
        return self.network.config

    @property
    def abilities(self) -> frozenset[str]:
        """The network's abilities, without "pairs" if the tokenizer has nothing to put between two texts."""
        pairs = self._tokenizer is not None and self._tokenizer.parts_pairs
        return self.network.abilities if pairs else self.network.abilities - {"pairs"}

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.network.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        return self.network.dtype

    @property
    def has_tokenizer(self) -> bool:
        """False if the folder has only weights, so that the model takes ids but no text."""
        return self._tokenizer is not None

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer. Raises TextError if there is none."""
        if self._tokenizer is None:
            raise no_tokenizer(self.name or "this model")
        return self._tokenizer

    @property
    def target_edges(self) -> tuple[int, int]:
        """The id before a translation, and the one after it and after its source.

        Raises FolderError if the folder names none and the tokenizer has no separator.
        """
        named, tokenizer = {**self.metadata.ids, **self.metadata.generation}, self.tokenizer
        start, end = named.get("decoder_start_token_id", tokenizer.target_start), tokenizer.end
        if not isinstance(start, int) or end is None:
            raise FolderError(
                f"{self.name or 'this model'}: config.json does not name the token that a translation starts with, or "
                "the tokenizer none that ends it; add decoder_start_token_id and eos_token"
            )
        return start, end

    @property
    def languages(self) -> dict[str, int]:
        """The ids of the language tokens by code, in a model that translates between many languages; else empty."""
        return {} if self._tokenizer is None else self._tokenizer.languages

    def with_languages(self, *, source: str | None = None, target: str | None = None) -> LanguageModel:
        """The same model, set to translate from and into the languages of these codes; None = what its folder says.

        Saving it keeps the setting. Raises OptionError, listing the known codes, for an unknown one.
        """
        if source is None and target is None:
            return self
        tokenizer, metadata = self.tokenizer, self.metadata
        if source is not None:
            tokenizer = tokenizer.with_source(source)
        if target is not None:
            language = tokenizer.language(target)
            named = {**metadata.ids, **metadata.generation}
            start = named.get("decoder_start_token_id", tokenizer.target_start)
            first = start is None or tokenizer.is_language(start)
            said = {"decoder_start_token_id" if first else "forced_bos_token_id": language}
            if metadata.generation:
                metadata = replace(metadata, generation={**metadata.generation, **said})
            else:
                metadata = replace(metadata, ids={**metadata.ids, **said})
        return LanguageModel(self.network, tokenizer, metadata=metadata, folder=self.folder, name=self.name)

    @property
    def source_edges(self) -> tuple[Sequence[int], Sequence[int]]:
        """The ids before and after a text to translate. Raises FolderError as ``target_edges``."""
        return self.tokenizer.source.around_source or ((), (self.target_edges[1],))

    @property
    def tokenless(self) -> Tensor:
        """ids_N of the model that the tokenizer has no token for: gaps, and rows that pad the output layer.

        Empty without a tokenizer.
        """
        return self._without_token(self._tokenizer, self.config.vocabulary)

    @property
    def source_tokenless(self) -> Tensor:
        """``tokenless`` for the texts that a translator reads."""
        tokenizer = None if self._tokenizer is None else self._tokenizer.source
        return self._without_token(tokenizer, len(self.network.source_embedding.weight))

    def _without_token(self, tokenizer: Tokenizer | None, size: int) -> Tensor:
        known = size if tokenizer is None else tokenizer.vocab_size
        gaps = [] if tokenizer is None else [token for token in tokenizer.gaps if token < min(known, size)]
        return torch.tensor([*gaps, *range(known, size)], dtype=torch.long, device=self.device)

    @property
    def stack(self) -> str:
        """The stack whose text is the model's own: the decoder, or else the encoder."""
        return own_stack(site.stack for site in self.network.sites())

    def sites(self) -> dict[Site, int]:
        """Every site with its number of query heads, or 0. Lets ``watch`` take this object."""
        return self.network.sites()

    def projections(self) -> dict[Site, Tensor]:
        """weight_EF of each attention's output projection. Lets ``watch`` keep values."""
        return self.network.projections()

    def state(self, batch: int, capacity: int) -> State:
        """A new generation state; see ``Network.state``."""
        return self.network.state(batch, capacity)

    def encode(self, text: str, what: str = "the text") -> list[int]:
        """The ids of a text, with the tokenizer's special tokens around it, as in training.

        An empty text without special tokens becomes the bos token, as in transformers. Raises TextError, naming the
        text ``what``, as ``check`` does and for characters the tokenizer lacks.
        """
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError(f"{what}: {shown(text)} was given; it must be one text, a str")
        ids = self.tokenizer.encode_document(text)
        start = self.tokenizer.role("bos")
        if not ids and start is not None:
            ids = [start]
        self.check(ids, what)
        return ids

    def check(self, ids: Iterable[int], what: str = "the text") -> None:
        """Raises TextError if there are no ids, more than the context length, or ids outside the vocabulary."""
        ids, context, vocabulary = row_of_ids(ids), self.config.context, self.config.vocabulary
        if not ids:
            raise TextError(f"{what} is empty, and this model adds no special token to start from; give some")
        if len(ids) > context:
            counted = "" if self._tokenizer is None else self._tokenizer.counted
            raise TextError(
                f"{what} has {many(len(ids), 'token')}{counted}; the model's context is {context:,}; shorten it"
            )
        least, most = min(ids), max(ids)
        if least < 0 or most >= vocabulary:
            wrong = least if least < 0 else most
            known = self._tokenizer is not None and 0 <= wrong < self._tokenizer.vocab_size
            which = f" ({self.tokenizer.decode([wrong])!r})" if known else ""
            raise TextError(
                f"{what} has the id {wrong}{which}; the model has ids 0 to {vocabulary - 1}; leave it out, or use the "
                "tokenizer that the model was trained with"
            )

    def ids(self, text: str) -> Tensor:
        """ids_1T of a text, int64 on the model's device; see ``encode``."""
        return torch.tensor([self.encode(text)], device=self.device)

    def logits(self, text: str) -> Tensor:
        """logits_TV of a text, without gradients or dropout. Row t predicts the token after token t."""
        with torch.no_grad(), evaluating(self.network):
            return self.network(self.ids(text))[0]

    def labels(self, ids: Iterable[int], *, source: bool = False) -> list[str]:
        """A display string for each id; without a tokenizer, the id itself. ``source``: of a text to translate."""
        if self._tokenizer is None:
            return list(map(str, row_of_ids(ids)))
        return (self._tokenizer.source if source else self._tokenizer).labels(ids)

    def pieces(self, ids: Iterable[int], *, source: bool = False) -> list[str]:
        """The characters each id completes, "" for special tokens at the ends. ``source``: of a text to translate."""
        ids, tokenizer = row_of_ids(ids), self.tokenizer.source if source else self.tokenizer
        front, back = len(tokenizer.front), len(tokenizer.back)
        front = front if tuple(ids[:front]) == tokenizer.front else 0
        back = back if back and tuple(ids[-back:]) == tokenizer.back else 0
        stream = tokenizer.stream()
        pieces = [stream.push(token) for token in ids[front : len(ids) - back]]
        if pieces:
            pieces[-1] += stream.finish()
        return [""] * front + pieces + [""] * back


def check_model(given: object, what: str) -> None:
    """Raises OptionError unless a language model was given."""
    if not isinstance(given, LanguageModel):
        named = "a bare network" if isinstance(given, Network) else shown(given)
        raise OptionError(
            f"{what}: {named} was given; it takes a language model: clearhead.load(folder), or "
            "clearhead.LanguageModel(network, tokenizer) of your own"
        )


def as_texts(given: str | Sequence[str], what: str) -> list[str]:
    """One text or several, as a list. Raises OptionError for anything else."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(f"{what}: {shown(given)} was given; it takes one text or a list of texts")
    return list(texts)


def no_tokenizer(name: str) -> TextError:
    """The error for text given to a model without a tokenizer."""
    return TextError(
        f"{name}: the folder has no tokenizer, so the model takes ids, not text; copy the files of the "
        "tokenizer it was trained with into the folder (tokenizer.json, vocab.json and merges.txt, vocab.txt, "
        "spiece.model, or source.spm, target.spm and vocab.json), or give ids from Python: "
        "clearhead.load(...)(ids_BT), clearhead.observe_ids(model, ids)"
    )
