"""``clearhead show``: what is in a model folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearhead.cli.models import Model
from clearhead.cli.printing import rows
from clearhead.errors import many

if TYPE_CHECKING:
    from clearhead.runs import Description
    from clearhead.training import Evaluated, Evaluation

NO_TOKENIZER = "none: it takes ids, not text"


def show(model: Model) -> None:
    """Show what is in a model folder: shape, sizes, memory, tokenizer, training.

    The weights themselves are neither read nor downloaded.
    """
    from clearhead import runs
    from clearhead.model import rounded_to

    found = runs.describe(model)
    loaded = found.model
    bits, dtype = rounded_to(loaded.network), str(loaded.dtype).removeprefix("torch.")
    memory = f"{found.weight_bytes / 1e6:,.1f} MB in {dtype if bits is None else f'{bits} bits'}"
    if found.state_bytes:
        memory += f", and {found.state_bytes / 1e6:,.1f} MB for a text of full length"
    speaks = loaded.has_tokenizer
    rows(
        {
            "family": found.family,
            "weights": f"{found.weights:,}, {found.inner:,} of them outside the embeddings"
            + (f", {found.active:,} active for each token" if found.active < found.weights else ""),
            "memory": memory,
            **loaded.config.described(),
            "tokenizer": f"{loaded.tokenizer.kind}, {loaded.tokenizer.vocab_size:,} tokens" if speaks else NO_TOKENIZER,
            **_vectors(found),
            **(_speech(found) if speaks else {}),
            **_run(found),
        }
    )


def _vectors(found: Description) -> dict[str, str]:
    """How the folder says to turn texts into vectors."""
    pooling, unpooled = found.model.metadata.pooling, found.model.metadata.unpooled
    if unpooled is not None:
        return {"vectors": f"none: {unpooled}"}
    if pooling is None:
        return {}
    most = "" if pooling.context is None else f", at most {pooling.context} tokens read"
    return {"vectors": f"{pooling.kind} of the hidden states{', of length 1' if pooling.normalised else ''}{most}"}


def _speech(found: Description) -> dict[str, str]:
    """The special tokens, chat template and generation settings of a released model."""
    tokenizer = found.model.tokenizer
    table: dict[str, str] = {}
    if tokenizer.kind == "file":
        named = [f"{role} {token} {tokenizer.role(role)}" for role, token in tokenizer.roles.items()]
        table["special tokens"] = ", ".join(named) or "none are named"
        around = [*tokenizer.labels(tokenizer.front), "text", *tokenizer.labels(tokenizer.back)]
        table["around a text"] = " ".join(around) if len(around) > 1 else "nothing"
    if tokenizer.templates:
        usable = "works with clearhead chat"
        if "default" not in tokenizer.templates:
            usable = "none is the default, which clearhead chat needs"
        elif found.unusable_template is not None:
            usable = f"not usable: {found.unusable_template}"
        table["chat template"] = f"{', '.join(tokenizer.templates)}; {usable}"
    if found.generation is not None:
        settings = [f"{name} {value}" for name, value in found.generation.sampling.items()]
        settings += [f"{name} = {value} (not supported)" for name, value in found.generation.unfollowed.items()]
        table |= {"generation": ", ".join(settings)} if settings else {}
    return table


def _run(found: Description) -> dict[str, str]:
    """The text and training of a run."""
    if found.recipe is None:
        return {}
    text, train = found.recipe.text, found.recipe.train
    names = ["standard input" if name == "-" else name for name in text.sources]
    table = {"text": text.corpus or ", ".join(names)}
    if found.recipe.origin is not None:
        table["started from"] = found.recipe.origin
    length = many(train.steps or 0, "step") if train.minutes is None else many(train.minutes, "minute")
    table["training"] = f"{length}, {many(train.batch, 'window')} a step, {train.optimizer.kind}"
    if found.kept:
        table["kept models"] = f"{len(found.kept)}, of steps {', '.join(map(str, found.kept))}"
    if found.best is not None:
        table["validation"] = _validation(found.best, found.final, train.evaluation_tokens)
    return table


def _validation(best: Evaluated, final: Evaluation | None, part: int) -> str:
    """The figures of the run's last line, or if it is not finished, those on a part of the validation text."""
    loss, bits = (best.valid_loss, best.bits_per_byte) if final is None else (final.loss, final.bits_per_byte)
    over = f", on at most {many(part, 'token')}" if final is None else ""
    return f"{loss:.4f} nats a {best.unit}, {bits:.4f} bits a byte{over} (step {best.step:,})"
