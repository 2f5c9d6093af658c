"""Rounding a model for a text: ``clearhead.calibrate``."""

from __future__ import annotations

import torch

from clearhead.errors import TextError
from clearhead.files import Paths, paths_in
from clearhead.language_model import LanguageModel, check_model
from clearhead.model import calibrate as calibrate_network
from clearhead.runs.material import check_field
from clearhead.text import sources, tokenize

ROWS, TOKENS = 32, 256  # the most rows of text, and the tokens in each


def calibrate(
    model: LanguageModel, text: Paths, *, bits: int, field: str | None = None, encoding: str = "utf-8"
) -> None:
    """Rounds a model's matrices in place, so that what they compute on a text changes least (Frantar et al. 2022).

    At most 32 rows of 256 tokens are read, evenly spread over the text. Embeddings and the output layer stay as they
    are. ``hub.export(folder, model, bits=bits)`` writes the model.

    text: one or more files, folders or patterns
    bits: 8 or 4

    Raises OptionError for a model that translates or is rounded already, TextError for text that cannot be read or is
    shorter than one row, ClearheadError if the computation overflows.
    """
    check_model(model, "calibrate")
    found = sources(paths_in(text, "calibrate"), field=field, encoding=encoding)
    check_field(field, found)
    ids = tokenize(found, model.tokenizer).ids
    model.tokenizer.note_unknown(ids)
    width = min(TOKENS, model.config.context)
    if len(ids) < width:
        raise TextError(f"calibrate: the text has {len(ids):,} tokens; a row needs {width:,}; give more text")
    count = min(ROWS, len(ids) // width)
    apart = (len(ids) - width) // max(1, count - 1)
    rows = [torch.from_numpy(ids[n * apart : n * apart + width].astype("int64")) for n in range(count)]
    calibrate_network(model.network, [each[None].to(model.device) for each in rows], bits)
