"""Where records come from: watching a model, or a file."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor

from clearhead import tap
from clearhead.errors import OptionError, shown
from clearhead.tap import Site
from clearhead.watching.edits import Edit, listed
from clearhead.watching.record import Record
from clearhead.watching.saved import restored
from clearhead.watching.sizes import factors
from clearhead.watching.spilled import Spill
from clearhead.watching.text_record import kept_names


@runtime_checkable
class Watchable(Protocol):
    """A model that lists its sites."""

    def sites(self) -> dict[Site, int]:
        """Every site with its number of query heads, or 0."""
        ...


@runtime_checkable
class Projecting(Protocol):
    """A model that says how the values of its heads reach the residual stream."""

    def projections(self) -> Mapping[Site, Tensor]:
        """weight_EF of each attention's output projection, where F is heads x head width."""
        ...


@contextmanager
def watch(
    model: Watchable,
    edits: Edit | Sequence[Edit] = (),
    *,
    keep: str | Collection[str] = (),
    spill: str | Path | None = None,
) -> Generator[Record]:
    """Records every attention of ``model`` during the block, and applies ``edits``, one or several.

    keep: what to keep besides queries and keys, as one string or several names: ``heads``, each head's output before
    the output projection; ``values``, the values of each attention; ``parts``, what each attention and feed-forward
    adds to the residual stream; ``residual``, the stream before the first layer and after each one.

    spill: a folder; all of this is kept on its disk instead of in memory. The files have no names: they are gone with
    the record, even if the process is killed. For passes over whole texts, not for passes that continue from a cache.

    Watches nest: each records the pass, and all their edits apply, the outermost watch's first.

    Raises WatchError if an edit names a layer, head or part the model does not have, or takes from a record of another
    model or one that did not keep it; during the block, if a text and the source of a patch have different lengths; at
    the end of the block, for an edit that changed nothing (see ``Editor.check_reached``). Raises OptionError if
    ``model`` is not a model or ``keep`` is anything but these names, WriteError if the folder is missing or its disk is
    full.
    """
    _check(model)
    record = Record(
        model.sites(),
        edits=listed(edits),
        keep=kept_names(keep),
        network=_network(model),
        spill=None if spill is None else Spill(Path(spill)),
    )
    if "values" in record.keep:
        projections = model.projections() if isinstance(model, Projecting) else {}
        record.factors = {site: factors(each, record.sites[site]) for site, each in projections.items()}
    with tap.watched_by(record):
        yield record
    record.check_reached()


@contextmanager
def edited(model: Watchable, edits: Edit | Sequence[Edit], *, checked: bool = True) -> Generator[None]:
    """Applies edits during the block, and records nothing.

    Raises as ``watch`` does; without ``checked``, not for an edit that changed nothing.
    """
    _check(model)
    record = Record(model.sites(), edits=listed(edits), network=_network(model), maps=False)
    with tap.watched_by(record):
        yield
    if checked:
        record.check_reached()


def _check(model: object) -> None:
    """Raises OptionError unless a model was given."""
    if isinstance(model, type) or not isinstance(model, Watchable):
        raise OptionError(f"watch: {shown(model)} was given; it takes a model: clearhead.load(folder), or a network")


def _network(model: Watchable) -> object:
    """The network of a model with a tokenizer; a bare network itself."""
    return getattr(model, "network", model)


def read_record(path: str | Path) -> Record:
    """Opens a record that was saved: ``record.only()`` is its only text.

    Its maps and measures are those of the record that was saved. Raises FolderError if the file is missing, damaged or
    not a record.
    """
    found = restored(Path(path))
    record = Record(found.sites)
    record.model, record.factors, record.tokenized = found.model, found.factors, found.tokenized
    record.file(found.calls, found.shown, found.places)
    return record
