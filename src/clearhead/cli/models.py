"""Arguments and options that verbs share, and the model they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from clearhead.language_model import LanguageModel

Model = Annotated[
    str,
    typer.Argument(
        help="A run folder, also at a step that it keeps (`runs/book@500`), a released model's folder, its name on "
        "the hub (`gpt2`, `OWNER/NAME@REV`), or a `.gguf` file."
    ),
]
Dtype = Annotated[
    str,
    typer.Option(
        help="Precision to compute in: `float32`, `bfloat16`, `float16`, `float64`, `stored` (as in the files), or "
        "`auto`: as stored, but `float32` where 16 bits are no faster on this machine."
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(
        help="Round the matrices to `8` or `4` bits as they are read: less memory, and faster if there is a C "
        "compiler. All else is computed in `--dtype`."
    ),
]
Drafted = Annotated[
    str | None,
    typer.Option(
        "--draft",
        metavar="MODEL",
        help="A faster model with the same tokens that guesses ahead; one pass of the model checks several guesses. "
        "The text stays the same.",
    ),
]
DraftBits = Annotated[
    int | None,
    typer.Option(help="Round the draft to `8` or `4` bits; without `--draft`, the model so rounded is its own draft."),
]
Threads = Annotated[
    int | None, typer.Option(help="Number of OpenMP threads; by default the fastest, found by measuring.")
]
Picture = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="Save a `.png` or `.svg` picture or a `.json` file, instead of printing a table.",
    ),
]

# The text of a run, and its tokenizer.
Valid = Annotated[list[str] | None, typer.Option(help="Text to validate on; the last tenth of the text by default.")]
Learned = Annotated[
    str | None,
    typer.Option(
        help="`auto` (the default: what suits the text), `bpe`, `character-bpe`, `unigram`, `characters`, `bytes`, or "
        "the path of a `tokenizer.json`."
    ),
]
Vocabulary = Annotated[
    int | None,
    typer.Option(
        help="Number of tokens for `auto`, `bpe`, `character-bpe` and `unigram`, at most 1,048,576; by default it "
        "follows from the size of the text."
    ),
]
Megabytes = Annotated[float | None, typer.Option(help="How much of `world-en` or `world-zh` to use; 8 by default.")]
Field = Annotated[
    str | None,
    typer.Option(
        help="The field of `.jsonl` lines that holds the text, `text` by default; of pairs both, as in `en,de`."
    ),
]


Translation = Annotated[
    str | None,
    typer.Option("--target", help="For translators: the translation to look at; the model's own by default."),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="LANGUAGE",
        help="For translators of many languages: the language of the text, such as `en_XX`.",
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="LANGUAGE", help="For translators of many languages: the language of the translation."
    ),
]


def load_model(
    model: str, dtype: str, threads: int | None, *, bits: int | None = None, text: bool = True
) -> LanguageModel:
    """The model of a verb, on this machine's fastest device. text: whether the verb needs its tokenizer"""
    from clearhead import hub, machine

    machine.use_threads(threads)
    return hub.load(model, device=machine.device(), dtype=dtype, bits=bits, text=text)


def load_draft(
    model: str, draft: str | None, dtype: str, threads: int | None, bits: int | None
) -> LanguageModel | None:
    """The draft model that ``--draft`` and ``--draft-bits`` name; None without them."""
    if draft is None and bits is None:
        return None
    return load_model(model if draft is None else draft, dtype, threads, bits=bits)
