"""``clearhead show``: what a model folder holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearhead.cli.models import Model

if TYPE_CHECKING:
    from clearhead.language_model import LanguageModel
    from clearhead.model import ModelConfig


def show(model: Model) -> None:
    """Say what a model folder holds: shape, sizes, memory, tokenizer, training.

    The weights themselves are neither read nor fetched for it.
    """
    from clearhead import hub, recipes
    from clearhead.cli.rows import print_rows
    from clearhead.errors import many
    from clearhead.runs import LOG, RECIPE
    from clearhead.training import Evaluated, read_log

    loaded = hub.outline(model)
    folder = loaded.folder
    config = loaded.config
    a, f = config.attention, config.feed_forward
    groups = "" if a.kv_heads == a.heads else f", keys and values in {a.kv_heads} groups"
    several = "" if f.experts is None else f"{f.experts.count} experts, {f.active} of them active: "
    inner, active = config.inner_parameters(), config.active_parameters()
    dtype = loaded.dtype
    width = dtype.itemsize
    memory = f"{config.parameters() * width / 1e6:,.1f} MB in {str(dtype).removeprefix('torch.')}"
    if config.encoder is None:
        cache = 2 * config.layers * a.kv_heads * a.head_width * config.context * width
        memory += f", and {cache / 1e6:,.1f} MB for a text of full length"
    rows = {
        "family": loaded.metadata.family or hub.family(config),
        "weights": f"{config.parameters():,}, {inner:,} of them beside the embeddings"
        + (f", {active:,} active for each token" if several else ""),
        "memory": memory,
        "layers": f"{config.layers} of width {config.width}",
        "attention": f"{a.heads} heads of width {a.head_width}{groups}"
        + _windows(config)
        + (f", soft cap of {a.softcap:g}" if a.softcap else "")
        + (", sinks" if a.sinks else ""),
        "feed-forward": f"{several}{f.kind} of width {f.width}",
        "norm": f"{config.norm.kind}, {ARRANGEMENTS[config.arrangement]}",
        "positions": _positions(config),
        "output layer": "the embedding matrix" if config.tied else "its own matrix",
        "context": f"{config.context:,} tokens",
        "tokenizer": f"{loaded.tokenizer.kind}, {loaded.tokenizer.vocab_size:,} tokens"
        if loaded.has_tokenizer
        else "none: it takes ids, not text",
        **_encoder(loaded),
        **_speech(loaded),
    }
    if folder is not None and (folder / RECIPE).is_file():
        recipe = recipes.resolved(recipes.read_file(folder / RECIPE))
        names = ["standard input" if name == "-" else name for name in recipe.text.sources]
        rows["text"] = recipe.text.corpus or ", ".join(names)
        if recipe.origin is not None:
            rows["went on from"] = recipe.origin
        steps, minutes = recipe.train.steps, recipe.train.minutes
        length = many(steps or 0, "step") if minutes is None else many(minutes, "minute")
        rows["training"] = f"{length}, {many(recipe.train.batch, 'text')} a step, {recipe.train.optimizer.kind}"
        evaluated = [report for report in read_log(folder / LOG) if isinstance(report, Evaluated)]
        if evaluated:
            best = min(evaluated, key=lambda report: report.valid_loss)
            rows["validation"] = (
                f"{best.valid_loss:.4f} nats a token, {best.bits_per_byte:.4f} bits a byte (step {best.step:,})"
            )
    print_rows(rows)


ARRANGEMENTS = {
    "pre": "before each part",
    "post": "after each sum",
    "output": "on what each part gives",
    "sandwich": "before and after each part",
    "parallel": "before both parts, which read the same input",
}


def _windows(config: ModelConfig) -> str:
    sizes = [kind.window for kind in config.kinds if kind.window is not None]
    if not sizes:
        return ""
    some = "" if len(sizes) == config.layers else f" in {len(sizes)} of {config.layers} layers"
    sides = "" if config.encoder is None else " to each side"
    return f", window of {' or '.join(f'{size:,}' for size in sorted(set(sizes)))} tokens{sides}{some}"


def _positions(config: ModelConfig) -> str:
    """Each rule with the number of its layers, where there are several."""
    rules = [kind.positions or config.positions for kind in config.kinds]
    told: list[str] = []
    for rule in dict.fromkeys(rules):
        words = [rule.kind]
        if rule.kind == "rotary":
            words.append(f"theta {rule.theta:,.12g}")
            if rule.rotated != 1:
                words.append(f"{rule.rotated:.0%} of each head")
            if rule.scaling is not None:
                words.append(f"{rule.scaling.kind} scaling by {rule.scaling.factor:g}")
        some = "" if rules.count(rule) == len(rules) else f" in {rules.count(rule)} of {len(rules)} layers"
        told.append(", ".join(words) + some)
    return "; ".join(told)


def _encoder(loaded: LanguageModel) -> dict[str, str]:
    """What an encoder has that a decoder has not."""
    parts, pooling = loaded.config.encoder, loaded.metadata.pooling
    if parts is None:
        return {}
    heads = {"masked tokens (clearhead fill)": parts.prediction is not None, "pooler": parts.pooler}
    rows = {
        "encoder": "every token sees both sides of the text",
        "heads": ", ".join(name for name, there in heads.items() if there) or "none",
    }
    if parts.token_types:
        rows["token types"] = f"{parts.token_types}"
    if parts.prediction is None:
        rows["output layer"] = "none"
    if pooling is not None:
        most = "" if pooling.context is None else f", at most {pooling.context} tokens read"
        rows["vectors"] = f"{pooling.kind} of the hidden states{', of length 1' if pooling.normalised else ''}{most}"
    if loaded.metadata.unpooled is not None:
        rows["vectors"] = f"none: {loaded.metadata.unpooled}"
    return rows


def _speech(loaded: LanguageModel) -> dict[str, str]:
    """What a released model brings for its texts: special tokens, chat template, generation settings."""
    from clearhead import generation

    if not loaded.has_tokenizer:
        return {}
    tokenizer = loaded.tokenizer
    rows: dict[str, str] = {}
    if tokenizer.kind == "file":
        named = [f"{role} {token} {tokenizer.role(role)}" for role, token in tokenizer.roles.items()]
        rows["special tokens"] = ", ".join(named) or "none are named"
        around = [*tokenizer.labels(tokenizer.front), "text", *tokenizer.labels(tokenizer.back)]
        rows["around a text"] = " ".join(around) if len(around) > 1 else "nothing"
    if tokenizer.templates:
        rows["chat template"] = ", ".join(tokenizer.templates) + _usable(tokenizer.templates.get("default"))
    found = generation.defaults(loaded)
    settings = [f"{name} {value}" for name, value in found.sampling.items()]
    settings += [f"{name} = {value} (not followed)" for name, value in found.unfollowed.items()]
    if settings:
        rows["generation"] = ", ".join(settings)
    return rows


def _usable(template: str | None) -> str:
    """A clause on the template that a chat takes."""
    from clearhead.errors import TextError
    from clearhead.text.chat.templates import check

    if template is None:
        return "; none of them is the default, which clearhead chat needs"
    try:
        check(template)
    except TextError as error:
        return f"; not usable: {str(error).removeprefix('chat template: ')}"
    return "; talk with it by clearhead chat"
