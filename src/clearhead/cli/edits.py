"""The option ``--edit``, and what is measured under edits, for the verbs that take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from clearhead.errors import OptionError

if TYPE_CHECKING:
    from clearhead.analysis import Measure
    from clearhead.language_model import LanguageModel
    from clearhead.watching import Edit

EDIT_HELP = (
    'What to change while the model runs, such as `ablate 5.1` or `patch 5 from "a text"` (docs/seeing.md lists the '
    "forms). Repeatable."
)
Edits = Annotated[list[str] | None, typer.Option("--edit", help=EDIT_HELP)]
Token = Annotated[
    str | None,
    typer.Option(help="Measure the log-probability of this token, usually with the space before it: `--token ' she'`."),
]
Against = Annotated[
    str | None, typer.Option(help="With `--token`: measure by how much its logit is above the logit of this token.")
]


def parsed(model: LanguageModel, forms: Sequence[str] | None) -> list[Edit]:
    """The edits that were given. Raises WatchError for one that cannot be read."""
    from clearhead import analysis

    return [analysis.edit(model, form) for form in forms or ()]


def check_forms(forms: Sequence[str] | None) -> None:
    """Raises WatchError for an edit that cannot be read, before a model is loaded."""
    from clearhead.watching.notation import parse

    for form in forms or ():
        parse(form)


def measure(token: str | None, against: str | None) -> Measure | None:
    """The measure of these options; None without them. Raises OptionError for ``--against`` alone."""
    from clearhead import analysis

    if token is None:
        if against is not None:
            raise OptionError("--against needs --token: it compares the logits of two tokens")
        return None
    return analysis.logprob(token) if against is None else analysis.diff(token, against)
