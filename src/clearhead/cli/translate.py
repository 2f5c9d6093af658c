"""``clearhead translate``: a text or lines of text into another language."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from clearhead.cli.edits import Edits
from clearhead.cli.models import Bits, Dtype, From, Model, Threads, To, load_model
from clearhead.cli.printing import write, write_json


class EarlyStopping(StrEnum):
    """``Search.early_stopping``."""

    true = "true"
    false = "false"
    never = "never"


def translate(
    model: Model,
    text: Annotated[
        list[str] | None, typer.Argument(help="Texts to translate; standard input, line by line, if there are none.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Translate the lines of this file.")] = None,
    source: From = None,
    target: To = None,
    beams: Annotated[
        int | None, typer.Option(help="Partial translations kept side by side; 5 by default, 1 is greedy.")
    ] = None,
    length_penalty: Annotated[
        float | None,
        typer.Option(
            help="Scores are divided by length to the power of this, 1 by default; above 1 favours long ones."
        ),
    ] = None,
    early_stopping: Annotated[
        EarlyStopping | None,
        typer.Option(
            help="When the search for a text is over, once it has as many finished translations as beams: `true`, at "
            "once; `false`, the default, when no other would score better if it ended now; `never`, when none could at "
            "any length."
        ),
    ] = None,
    best: Annotated[int, typer.Option(help="Print this many translations of each text, with their scores.")] = 1,
    no_repeat: Annotated[
        int | None, typer.Option(help="Never repeat a run of this many tokens; 0, the default, allows it.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="How every translation starts.")] = "",
    max_tokens: Annotated[
        int | None, typer.Option(help="Maximum new tokens; by default three times as many as the text has, plus 10.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Draw tokens at random at this temperature, instead of searching.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="With `--temperature`: draw from the fewest tokens with this probability.")
    ] = None,
    seed: Annotated[int, typer.Option(help="With `--temperature`: random seed.")] = 0,
    together: Annotated[int, typer.Option(help="Texts translated at once.")] = 64,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per text: source, text, score, logprob, others.")
    ] = False,
    edit: Edits = None,
    dtype: Dtype = "auto",
    bits: Bits = None,
    threads: Threads = None,
) -> None:
    """Translate texts, the lines of a file, or standard input line by line.

    Prints one line per text, in order; an empty line stays one. Lines are
    read ahead and translated together, those of similar length in one batch.
    A released model's generation_config.json sets other defaults.
    """
    from clearhead.cli.edits import check_forms, parsed
    from clearhead.errors import OptionError
    from clearhead.generation import BEAMS, Sampling, Search, search_for, stream_translations
    from clearhead.text import lines_of

    if text and file is not None:
        raise OptionError(f"text and --file {file}: both were given; give one of them")
    if temperature is None and (top_p is not None or seed):
        raise OptionError("top_p and seed apply only to sampling; also give --temperature, or leave them out")
    given: dict[str, Any] = {
        "beams": beams,
        "length_penalty": length_penalty,
        "early_stopping": None if early_stopping is None else EARLY[early_stopping],
        "best": best,
        "no_repeat": no_repeat,
        "max_tokens": max_tokens,
        "sampling": None if temperature is None else Sampling(temperature=temperature, top_p=top_p, seed=seed),
    }
    given = {name: value for name, value in given.items() if value is not None}
    first: dict[str, Any] = {"beams": 1 if "sampling" in given else max(BEAMS, best)}
    Search(**(first | given))  # fails before the model is loaded
    check_forms(edit)
    loaded = load_model(model, dtype, threads, bits=bits).with_languages(source=source, target=target)
    search = search_for(loaded, given)
    texts = text or lines_of("-" if file is None else str(file))
    if not text and file is None and sys.stdin.isatty():
        together = 1  # a line that is typed is translated at once
    changes = parsed(loaded, edit)
    for found in stream_translations(loaded, texts, search, prefix=prefix, edits=changes, together=together):
        every = (found, *found.others)
        if as_json:
            chosen, *others = ({"text": each.text, "score": each.score, "logprob": each.logprob} for each in every)
            write_json({"source": found.source, **chosen, "complete": found.complete, "others": others})
        elif best > 1:
            write("".join(f"{each.score:9.4f}  {_line(each.text)}\n" for each in every))
        else:
            write(f"{_line(found.text)}\n")


EARLY = {EarlyStopping.true: True, EarlyStopping.false: False, EarlyStopping.never: "never"}


def _line(text: str) -> str:
    """The text on one line, so that line n translates line n."""
    return " ".join(text.splitlines())
