"""The memory or the space on a disk that a record of texts needs, estimated before anything is computed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from clearhead.errors import WriteError, many
from clearhead.files import no_folder
from clearhead.language_model import LanguageModel
from clearhead.machine import check_free
from clearhead.watching.text_record import kept_names


def check_room(
    model: LanguageModel, lengths: Sequence[tuple[int, int]], keep: str | Collection[str], spill: Path | None
) -> None:
    """Raises MemoryNeededError unless there is memory for a pass over each text, and for the record or, with
    ``spill``, WriteError unless there is space for it on that folder's disk.

    lengths: tokens of each text, and of the text that a translator reads
    """
    tokens = max(max(pair) for pair in lengths)
    record, one_pass = record_bytes(model, lengths, keep), model.network.pass_bytes(1, tokens)
    texts = many(sum(map(sum, lengths)), "token")
    if spill is None:
        check_free(
            record + one_pass,
            model.device,
            f"a record of {texts} needs about {(record + one_pass) / 1e9:.2f} GB with its pass",
            "give a shorter text, or a folder on a disk with more: atlas --spill FOLDER, observe(..., spill=FOLDER)",
        )
        return
    if not os.path.isdir(spill):  # noqa: PTH112 (Path.is_dir raises where the name is too long)
        why, way = no_folder(spill / "record")
        raise WriteError(f"{spill}: {why}; {way}")
    free = shutil.disk_usage(spill).free
    if record > free:
        raise WriteError(
            f"a record of {texts} needs about {record / 1e9:.2f} GB; {spill} has {free / 1e9:.2f} GB free; "
            "choose another disk, or give a shorter text"
        )
    check_free(one_pass, model.device, f"a pass needs about {one_pass / 1e9:.2f} GB", "give a shorter text")


def record_bytes(model: LanguageModel, lengths: Sequence[tuple[int, int]], keep: str | Collection[str]) -> int:
    """Bytes of queries, keys and what else is kept of texts, watched in a pass each."""
    kept, width, found = kept_names(keep), model.config.width, 0
    queries, keys, values = model.config.attention_numbers()
    for own, read in lengths:
        places = {"encoder": read or own, "decoder": own}
        for site, heads in model.sites().items():
            if heads:
                found += queries * places[site.stack] + keys * places[site.reads]
                found += values * places[site.reads] if "values" in kept else 0
                found += queries * places[site.stack] if "heads" in kept else 0
            part = "residual" if site.kind in ("residual", "embedding") else "parts"
            found += width * places[site.stack] if part in kept else 0
    return found * model.dtype.itemsize
