"""``clearhead show``: what is in a model folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearhead.cli.models import Model
from clearhead.cli.printing import rows

if TYPE_CHECKING:
    from clearhead.language_model import LanguageModel


def show(model: Model) -> None:
    """Show what is in a model folder: shape, sizes, memory, tokenizer, training.

    The weights themselves are neither read nor downloaded.
    """
    from clearhead import hub, recipes
    from clearhead.errors import many
    from clearhead.runs import LOG, RECIPE
    from clearhead.training import best_evaluation, read_log

    loaded = hub.outline(model)
    folder = loaded.folder
    config = loaded.config
    total, active = config.parameters(), config.active_parameters()
    network = loaded.network
    size = network.dtype.itemsize
    memory = f"{total * size / 1e6:,.1f} MB in {str(network.dtype).removeprefix('torch.')}"
    if state := network.state_bytes(1, config.context):
        memory += f", and {state / 1e6:,.1f} MB for a text of full length"
    speaks = loaded.has_tokenizer
    table = {
        "family": loaded.metadata.family or hub.family(config),
        "weights": f"{total:,}, {config.inner_parameters():,} of them outside the embeddings"
        + (f", {active:,} active for each token" if active < total else ""),
        "memory": memory,
        **config.described(),
        "tokenizer": f"{loaded.tokenizer.kind}, {loaded.tokenizer.vocab_size:,} tokens" if speaks else NO_TOKENIZER,
        **_vectors(loaded),
        **_speech(loaded),
    }
    if folder is not None and (folder / RECIPE).is_file():
        recipe = recipes.resolved(recipes.read_file(folder / RECIPE))
        names = ["standard input" if name == "-" else name for name in recipe.text.sources]
        table["text"] = recipe.text.corpus or ", ".join(names)
        if recipe.origin is not None:
            table["started from"] = recipe.origin
        steps, minutes = recipe.train.steps, recipe.train.minutes
        length = many(steps or 0, "step") if minutes is None else many(minutes, "minute")
        table["training"] = f"{length}, {many(recipe.train.batch, 'window')} a step, {recipe.train.optimizer.kind}"
        best = best_evaluation(read_log(folder / LOG))
        if best is not None:
            table["validation"] = (
                f"{best.valid_loss:.4f} nats a {best.unit}, {best.bits_per_byte:.4f} bits a byte (step {best.step:,})"
            )
    rows(table)


NO_TOKENIZER = "none: it takes ids, not text"


def _vectors(loaded: LanguageModel) -> dict[str, str]:
    """How the folder says to turn texts into vectors."""
    pooling, unpooled = loaded.metadata.pooling, loaded.metadata.unpooled
    if unpooled is not None:
        return {"vectors": f"none: {unpooled}"}
    if pooling is None:
        return {}
    most = "" if pooling.context is None else f", at most {pooling.context} tokens read"
    return {"vectors": f"{pooling.kind} of the hidden states{', of length 1' if pooling.normalised else ''}{most}"}


def _speech(loaded: LanguageModel) -> dict[str, str]:
    """The special tokens, chat template and generation settings of a released model."""
    from clearhead import generation

    if not loaded.has_tokenizer:
        return {}
    tokenizer = loaded.tokenizer
    table: dict[str, str] = {}
    if tokenizer.kind == "file":
        named = [f"{role} {token} {tokenizer.role(role)}" for role, token in tokenizer.roles.items()]
        table["special tokens"] = ", ".join(named) or "none are named"
        around = [*tokenizer.labels(tokenizer.front), "text", *tokenizer.labels(tokenizer.back)]
        table["around a text"] = " ".join(around) if len(around) > 1 else "nothing"
    if tokenizer.templates:
        table["chat template"] = ", ".join(tokenizer.templates) + _usable(tokenizer.templates.get("default"))
    found = generation.defaults(loaded)
    settings = [f"{name} {value}" for name, value in found.sampling.items()]
    settings += [f"{name} = {value} (not supported)" for name, value in found.unfollowed.items()]
    if settings:
        table["generation"] = ", ".join(settings)
    return table


def _usable(template: str | None) -> str:
    """Says whether ``clearhead chat`` can use the template."""
    from clearhead.errors import TextError
    from clearhead.text.chat.templates import check

    if template is None:
        return "; none is the default, which clearhead chat needs"
    try:
        check(template)
    except TextError as error:
        return f"; not usable: {str(error).removeprefix('chat template: ')}"
    return "; works with clearhead chat"
