"""Which file endings a picture can have, checked before any work is done."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from clearhead.errors import MissingExtraError, OptionError

PLOTTED = (".png", ".svg")  # drawn by matplotlib


def check_ending(path: Path, endings: Collection[str]) -> None:
    """Raises OptionError unless ``path`` can be a file with one of these endings, in a folder that exists;
    MissingExtraError if it needs matplotlib and that is missing."""
    known = ", ".join(endings)
    if path.is_dir():
        raise OptionError(f"{path}: it is a folder; give a file name ending in {known}")
    if not path.parent.is_dir():
        raise OptionError(f"{path}: there is no folder {path.parent}; create it, or choose another place")
    if path.suffix.lower() not in endings:
        raise OptionError(f"{path}: the ending {path.suffix!r} is not known; end the name in {known}")
    if path.suffix.lower() in PLOTTED:
        try:
            import matplotlib.figure  # noqa: F401  # pyright: ignore[reportUnusedImport]
        except ImportError:
            plotted = " and ".join(ending for ending in endings if ending in PLOTTED)
            others = " and ".join(ending for ending in endings if ending not in PLOTTED)
            raise MissingExtraError(
                f"{path}: {plotted} files need matplotlib: pip install 'clearhead[plot]'; {others} files do not"
            ) from None
