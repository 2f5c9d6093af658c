"""One watched pass over a text."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from clearhead.errors import TextError, WatchError, many
from clearhead.model import Network, needs
from clearhead.text import Tokenizer
from clearhead.watching import Edit, TextRecord, Words, watch


def observe(
    transformer: Network,
    tokenizer: Tokenizer,
    text: str,
    *,
    pair: str | None = None,
    edits: Sequence[Edit] = (),
) -> TextRecord:
    """One watched pass over ``text``, around it what stands there in training; every head can then be looked at.

    ``pair`` is a second text that an encoder reads with the first. ``record.tokens`` are the labels of the T places,
    ``record[layer, head]`` a map of shape (T, T). No logits are computed. Raises TextError when the text is empty,
    cannot be encoded, or is longer than the model's context, OptionError for a pair where the model reads none.
    """
    if not text or pair == "":
        raise TextError("look: the text is empty; give at least one character")
    if pair is not None:
        needs(transformer, "pairs", "looking at a pair")
    types: list[int] | None = None
    if pair is None:
        ids = tokenizer.encode_document(text)
    else:
        ids, types = tokenizer.encode_pair(text, pair)
        types = types if transformer.types > max(types) else None
    if not ids:
        raise TextError(f"look: the tokenizer makes no token of {text!r}; give other text")
    context = transformer.config.context
    if len(ids) > context:
        counted = f"{many(len(ids), 'token')}{tokenizer.counted}"
        raise TextError(f"look: the text has {counted}; the model's context is {context:,}; shorten the text")
    tokenizer.note_unknown(ids)
    whole = text if pair is None else f"{text} {pair}"
    return observe_ids(transformer, tokenizer, ids, text=whole, types=types, edits=edits)


def observe_ids(
    transformer: Network,
    tokenizer: Tokenizer,
    ids: Sequence[int],
    *,
    text: str | None = None,
    types: Sequence[int] | None = None,
    edits: Sequence[Edit] = (),
) -> TextRecord:
    """``observe`` for ids that are already whole, at most as many as the context; ``types`` as an encoder has them."""
    config = transformer.config
    if max(ids) >= config.vocabulary:
        raise WatchError(
            f"look: the tokenizer gave id {max(ids)}; the model has ids 0 to {config.vocabulary - 1}; "
            "use the tokenizer the model was trained with"
        )
    was_training = transformer.training
    transformer.eval()
    try:
        with torch.inference_mode(), watch(transformer, edits) as record:
            device = transformer.device
            types_1T = None if types is None else torch.tensor([list(types)], device=device)
            transformer.hidden(torch.tensor([list(ids)], device=device), types_BT=types_1T)
    finally:
        transformer.train(was_training)
    labels, pieces = tokenizer.labels(ids), _pieces(tokenizer, ids)
    record.words[0] = Words(tokens=labels, ids=list(ids), pieces=pieces, text=text)
    return record.only()


def _pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """The characters that each place completes; what stands around a text gives none."""
    front, back = len(tokenizer.front), len(tokenizer.back)
    front = front if tuple(ids[:front]) == tokenizer.front else 0
    back = back if back and tuple(ids[-back:]) == tokenizer.back else 0
    inside = ids[front : len(ids) - back]
    stream = tokenizer.stream()
    pieces = [stream.push(token) for token in inside]
    if pieces:
        pieces[-1] += stream.finish()
    return [""] * front + pieces + [""] * back
