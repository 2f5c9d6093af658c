"""A language model: a network, the tokenizer that speaks to it, and the metadata that stood beside both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import OptionError, TextError, many, shown
from clearhead.model import ModelConfig, Network, State, evaluating
from clearhead.model.parts.pooling import Pooling
from clearhead.tap import Site
from clearhead.text import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a folder says beside the numbers, to be written again with them.

    family: whose layout the folder has; None for a model made here, which takes the first that fits
    ids: the entries of config.json that name special tokens
    idle: entries of config.json that change no number
    generation: the content of generation_config.json
    pooling: how hidden states become sentence vectors
    unpooled: why the folder's own way to sentence vectors cannot be followed here
    prompts: the content of config_sentence_transformers.json
    """

    family: str | None = None
    ids: Mapping[str, Any] = field(default_factory=dict)
    idle: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    pooling: Pooling | None = None
    unpooled: str | None = None
    prompts: Mapping[str, Any] = field(default_factory=dict)


class LanguageModel:
    """What every room above the network takes: ``clearhead.load`` makes one of a folder.

    network: ids -> logits
    metadata: what the folder says beside the numbers
    folder: where it came from; None for a model that was not saved yet
    name: what ``load`` was given, the folder or a name on the hub
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
        """logits_BTV of ids, or logits_1TV of a text; ``options`` are those of the network's ``forward``.

        Raises OptionError for anything else.
        """
        if isinstance(ids_BT, str):
            ids_BT = self.ids(ids_BT)
        if not isinstance(ids_BT, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError(
                f"model: {shown(ids_BT)} was given; it takes one text or a tensor ids_BT. Texts of different lengths "
                "fit no common tensor: take [model.logits(text) for text in texts]"
            )
        return self.network(ids_BT, **options)

    @property
    def config(self) -> ModelConfig:
        """The network's config."""
        return self.network.config

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' dtype."""
        return self.network.dtype

    @property
    def has_tokenizer(self) -> bool:
        """False for a folder of weights alone, which takes ids and gives logits."""
        return self._tokenizer is not None

    @property
    def tokenizer(self) -> Tokenizer:
        """Raises TextError when the folder has none."""
        if self._tokenizer is None:
            raise no_tokenizer(self.name or "this model")
        return self._tokenizer

    def sites(self) -> dict[Site, int]:
        """Every site with its number of query heads, 0 where it has none; so ``watch`` takes this object."""
        return self.network.sites()

    def state(self, batch: int, capacity: int) -> State:
        """What the network keeps while it writes; see ``Network.state``."""
        return self.network.state(batch, capacity)

    def encode(self, text: str, what: str = "the text") -> list[int]:
        """The ids of a text with what the tokenizer puts around it, as in training.

        An empty text around which nothing stands is the token with the role bos, as in transformers. Raises TextError,
        which calls the text ``what``, as ``check`` does and for a character that the tokenizer does not have.
        """
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError(f"{what}: {shown(text)} was given; it must be one text, a str")
        ids = self.tokenizer.encode_document(text)
        start = self.tokenizer.role("bos")
        if not ids and start is not None:
            ids = [start]
        self.check(ids, what)
        return ids

    def check(self, ids: Sequence[int], what: str = "the text") -> None:
        """Raises TextError for ids that the network cannot read: none, too many for its context, or unknown to it."""
        context, vocabulary = self.config.context, self.config.vocabulary
        if not ids:
            raise TextError(f"{what} is empty, and nothing stands around a text of this model to start from; give some")
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
        """logits_TV of a text, without gradients and without dropout; row t is read after token t."""
        with torch.no_grad(), evaluating(self.network):
            return self.network(self.ids(text))[0]

    def labels(self, ids: Sequence[int]) -> list[str]:
        """One display string per id; without a tokenizer the ids themselves."""
        return [str(token) for token in ids] if self._tokenizer is None else self._tokenizer.labels(ids)


def as_texts(given: str | Sequence[str], what: str) -> list[str]:
    """One text or several, as a list. Raises OptionError for anything else."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(f"{what}: {shown(given)} was given; it takes one text or a list of texts")
    return list(texts)


def no_tokenizer(name: str) -> TextError:
    """What a text raises where only ids are understood."""
    return TextError(
        f"{name}: there is no tokenizer beside the weights, so it takes ids and no text; copy the files of the "
        "tokenizer it was trained with into its folder (tokenizer.json, or vocab.json and merges.txt, or vocab.txt), "
        "or give ids from Python: clearhead.load(...)(ids_BT)"
    )
