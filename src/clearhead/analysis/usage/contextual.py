"""The vectors of words in their sentences: the residual stream at their tokens, layer by layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.analysis.usage.placing import Placed, place, word_places
from clearhead.analysis.usage.uses import Labelled
from clearhead.attend import FULL, padding
from clearhead.errors import OptionError, shown
from clearhead.language_model import LanguageModel
from clearhead.model import evaluating, needs
from clearhead.tap import Site
from clearhead.watching import watch

TOGETHER = 32  # texts in a pass


@dataclass(frozen=True, kw_only=True, eq=False)
class Contextual:
    """The vectors of N uses of words, float32 or wider, on the CPU. Of several tokens, the mean of their vectors.

    levels: where they were read, in order: the stream before the first layer and after each
    x_LNE: the vectors there
    static_NE: the word's rows of the input table
    around_NE: mean of the input table's rows of the other tokens of the text that the word's place sees; 0 if none
    first: whether no letter or digit of the text comes before the word
    tokens: the tokens of each use
    causal: whether a place sees only the places before it
    """

    levels: tuple[Site, ...]
    x_LNE: Tensor
    static_NE: Tensor
    around_NE: Tensor
    first: tuple[bool, ...]
    tokens: tuple[tuple[str, ...], ...]
    causal: bool


def contextual(model: LanguageModel, uses: Sequence[Labelled]) -> Contextual:
    """Reads every text once, watched, 32 of similar length at a time.

    The stream is taken before the final norm. Queries and keys would not do: they are rotated by their place.
    Raises OptionError for a model that translates or has no residual stream, TextError if a text cannot be encoded or
    is longer than the context.
    """
    needs(model, "vectors", "senses")
    levels = tuple(site for site in model.sites() if site.kind in ("embedding", "residual"))
    if not levels:
        raise OptionError("senses: this model has no residual stream, so its words have no vectors at each layer")
    if not uses:
        raise OptionError("senses: no uses were given; give sentences with the word")
    placed = {text: place(model, text) for text in dict.fromkeys(use.text for use in uses)}
    model.tokenizer.note_unknown([token for each in placed.values() for token in each.ids])
    places = [
        word_places(placed[use.text], use.start, use.end, f"senses: {use.word!r} in {shown(use.text)}") for use in uses
    ]
    found = _streams(model, levels, uses, placed, places)
    table_VE = model.network.embedding.matrix.detach().to(found.dtype).cpu()
    causal = "next tokens" in model.network.abilities
    static = [table_VE[[placed[use.text].ids[at] for at in own]].mean(0) for use, own in zip(uses, places, strict=True)]
    around = [_around(placed[use.text], own, table_VE, causal) for use, own in zip(uses, places, strict=True)]
    return Contextual(
        levels=levels,
        x_LNE=found,
        static_NE=torch.stack(static),
        around_NE=torch.stack(around),
        first=tuple(not any(character.isalnum() for character in use.text[: use.start]) for use in uses),
        tokens=tuple(tuple(placed[use.text].labels[at] for at in own) for use, own in zip(uses, places, strict=True)),
        causal=causal,
    )


def _streams(
    model: LanguageModel,
    levels: Sequence[Site],
    uses: Sequence[Labelled],
    placed: dict[str, Placed],
    places: Sequence[tuple[int, ...]],
) -> Tensor:
    """x_LNE, float32 or wider."""
    uses_of: dict[str, list[int]] = defaultdict(list)
    for number, use in enumerate(uses):
        uses_of[use.text].append(number)
    texts = sorted(uses_of, key=lambda text: len(placed[text].ids))
    found: dict[int, Tensor] = {}
    for start in range(0, len(texts), TOGETHER):
        batch = texts[start : start + TOGETHER]
        lengths_B = torch.tensor([len(placed[text].ids) for text in batch], device=model.device)
        longest = int(lengths_B.max())
        rows = [[*placed[text].ids, *[0] * (longest - len(placed[text].ids))] for text in batch]
        mask = FULL if len(batch) == 1 else padding(lengths_B)
        with torch.inference_mode(), evaluating(model.network), watch(model, keep="residual") as record:
            model.network.hidden(torch.tensor(rows, device=model.device), mask=mask)
        for row, text in enumerate(batch):
            x_LTE = torch.stack([record.kept(site, "part", row)[0] for site in levels])
            for number in uses_of[text]:
                x_LE = x_LTE[:, list(places[number])].mean(1)
                found[number] = x_LE.cpu()
    x_LNE = torch.stack([found[number] for number in range(len(uses))], dim=1)
    return x_LNE if x_LNE.dtype == torch.float64 else x_LNE.float()


def _around(placed: Placed, own: tuple[int, ...], table_VE: Tensor, causal: bool) -> Tensor:
    back = own[0] if causal else len(placed.ids)
    others = [at for at in range(back) if at not in own and placed.spans[at] != (0, 0)]
    if not others:
        return torch.zeros(table_VE.shape[1], dtype=table_VE.dtype)
    return table_VE[[placed.ids[at] for at in others]].mean(0)
