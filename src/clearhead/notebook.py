"""What notebooks show of a value. The room that draws it says how, and the value's own room does not depend on that."""

from __future__ import annotations

from functools import singledispatch


@singledispatch
def html_of(value: object) -> str | None:
    """A value as self-contained HTML. ``drawing/in_notebooks.py`` registers types; None for all others."""
    return None


class Displayed:
    """A value that notebooks show as ``html_of`` gives it."""

    def _repr_html_(self) -> str | None:
        """Notebooks call this, and print the value if it is None."""
        return html_of(self)
