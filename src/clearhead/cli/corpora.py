"""``clearhead corpora``: the built-in corpora."""

from __future__ import annotations

from typing import Annotated

import typer

from clearhead.cli.printing import echo, write
from clearhead.language import spoken


def corpora(
    name: Annotated[str | None, typer.Argument(help="The corpus to print; without one, all are listed.")] = None,
    megabytes: Annotated[float | None, typer.Option(help="How much text to print.")] = None,
) -> None:
    """List the built-in corpora, or print the text of one."""
    from clearhead import corpora as built_in
    from clearhead.errors import OptionError

    if name is not None:
        for document in built_in.get(name).source(megabytes=megabytes).documents():
            write(document + "\n\n")
        return
    if megabytes is not None:
        raise OptionError(f"--megabytes {megabytes:g}: needs a corpus; name one")
    known = built_in.names()
    widest = max(len(corpus.name) for corpus in known)
    for corpus in known:
        about = spoken(corpus.description)
        echo(f"{corpus.name:<{widest}}  {corpus.language}  {corpus.default_megabytes:>4g} MB  {about}")
