"""How notebooks show a value. Drawing registers it here, so the value's own room need not import drawing."""

from __future__ import annotations

from functools import singledispatch


@singledispatch
def html_of(value: object) -> str | None:
    """A value as self-contained HTML. ``drawing/in_notebooks.py`` registers types; None for all others."""
    return None


class Displayed:
    """A value that notebooks show with ``html_of``."""

    def _repr_html_(self) -> str | None:
        """Called by notebooks, which print the value's repr if this is None."""
        return html_of(self)
