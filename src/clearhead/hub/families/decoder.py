"""What decoders in Llama's layout share: sizes, kinds of layers, names of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from clearhead.errors import ConfigError, nearest, shown
from clearhead.hub.families import rope
from clearhead.hub.families.entries import entry, groups, share
from clearhead.hub.families.table import Row
from clearhead.model import DecoderConfig, LayerConfig, PositionConfig
from clearhead.plain import to_dict

C = TypeVar("C", bound=DecoderConfig, contravariant=True)

# Entries that do not affect a model's outputs: they concern training or generation, or name things.
HARMLESS = frozenset(
    {
        "_attn_implementation",
        "_from_model_config",
        "_name_or_path",
        "_num_labels",
        "architectures",
        "attention_dropout",
        "bos_token_id",
        "cache_implementation",
        "dtype",
        "eos_token_id",
        "gradient_checkpointing",
        "id2label",
        "initializer_range",
        "label2id",
        "model_type",
        "output_attentions",
        "output_hidden_states",
        "output_past",
        "pad_token_id",
        "pretraining_tp",  # how products were split between machines
        "return_dict",
        "sep_token_id",
        "task_specific_params",
        "tokenizer_class",
        "torch_dtype",
        "transformers.js_config",
        "transformers_version",
        "unk_token_id",
        "unsloth_fixed",
        "unsloth_version",
        "use_cache",
    }
)

# Gated activations by transformers' names.
ACTIVATIONS = {
    "swiglu": "silu",
    "reglu": "relu",
    "geglu": "gelu",
    "geglu-tanh": "gelu_pytorch_tanh",
    "glu": "sigmoid",
    "tanhglu": "tanh",
    "bilinear": "linear",
}

# Our norms beside theirs, by arrangement.
NORMS: dict[str, dict[str, str]] = {
    "pre": {"attention_norm": "input_layernorm", "feed_forward_norm": "post_attention_layernorm"},
    "parallel": {"attention_norm": "input_layernorm", "feed_forward_norm": "post_attention_layernorm"},
    "output": {"attention_norm": "post_attention_layernorm", "feed_forward_norm": "post_feedforward_layernorm"},
    "sandwich": {
        "attention_norm": "input_layernorm",
        "attention_out_norm": "post_attention_layernorm",
        "feed_forward_norm": "pre_feedforward_layernorm",
        "feed_forward_out_norm": "post_feedforward_layernorm",
    },
}
FULL, SLIDING = "full_attention", "sliding_attention"


def sizes(config: DecoderConfig, eps: str = "rms_norm_eps") -> dict[str, Any]:
    """The entries that every family of this layout has. eps: the name of the norms' epsilon."""
    a = config.attention
    return {
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        "num_hidden_layers": config.layers,
        "hidden_size": config.width,
        "num_attention_heads": a.heads,
        "num_key_value_heads": a.kv_heads,
        "head_dim": a.head_width,
        "attention_dropout": 0.0,
        "intermediate_size": config.feed_forward.width,
        eps: config.norm.eps,
        "tie_word_embeddings": config.tied,
    }


def read_sizes(settings: Mapping[str, Any], *, tied: bool) -> dict[str, Any]:
    """The entries as options of a DecoderConfig. tied: whether the output layer is tied by default."""
    return {
        "vocabulary": entry(settings, "vocab_size", int),
        "context": entry(settings, "max_position_embeddings", int),
        "layers": entry(settings, "num_hidden_layers", int),
        "width": entry(settings, "hidden_size", int),
        "tied": entry(settings, "tie_word_embeddings", bool, tied),
    }


def read_heads(settings: Mapping[str, Any], *, said: Sequence[str] = (), divide: bool = False) -> dict[str, Any]:
    """Heads as options of an AttentionConfig.

    said: entries that the file must have, since transformers' defaults do not follow from the others. divide:
    the heads must divide the width, as in transformers.
    """
    width, heads = entry(settings, "hidden_size", int), entry(settings, "num_attention_heads", int)
    for name in said:
        entry(settings, name, int)
    kv_heads, head_width = (entry(settings, name, int | None, None) for name in ("num_key_value_heads", "head_dim"))
    equal = share(width, heads) if head_width is None or divide else None
    return {
        "heads": heads,
        "kv_heads": heads if kv_heads is None else groups(heads, kv_heads),
        "head_width": equal if head_width is None else head_width,
    }


def scalar(config: DecoderConfig) -> int:
    """``query_pre_attn_scalar``: Gemma divides q.k by its root."""
    a = config.attention
    return a.head_width if a.scale is None else round(a.scale**-2)


def read_scale(settings: Mapping[str, Any], head_width: int) -> float | None:
    """The scale of an AttentionConfig, from ``query_pre_attn_scalar``. Raises ConfigError if that is below 1."""
    number = entry(settings, "query_pre_attn_scalar", int)
    if number < 1:
        raise ConfigError(f"query_pre_attn_scalar: {number}; it must be at least 1")
    return None if number == head_width else number**-0.5


def spelt(word: str, names: Mapping[str, str]) -> str:
    """Their name for one of our words. Raises ConfigError if they have none."""
    if word not in names:
        raise ConfigError(f"feed_forward.kind is {word!r}; this family has {', '.join(names)}")
    return names[word]


def window(config: DecoderConfig) -> int | None:
    """The window of the layers that have one."""
    return next((kind.window for kind in config.kinds if kind.window is not None), None)


def layer_types(config: DecoderConfig) -> list[str]:
    """``layer_types``: which layers have the window."""
    return [FULL if kind.window is None else SLIDING for kind in config.kinds]


def without_unused_window(settings: Mapping[str, Any], default: Callable[[int], bool]) -> dict[str, Any]:
    """The entries without a window that no layer uses; ``default`` as in ``read_windows``."""
    switched_on = entry(settings, "use_sliding_window", bool, True)
    if switched_on and any(read_windows(settings, 1, default)):
        return dict(settings)
    return {name: value for name, value in settings.items() if name not in ("use_sliding_window", "sliding_window")}


def modern(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The entries under today's names, without a window that is off or that no layer uses."""
    found = {"use_sliding_window": False, **rope.modern(settings)}
    return without_unused_window(found, _late(settings))


def read_windows(settings: Mapping[str, Any], size: int | None, default: Callable[[int], bool]) -> list[int | None]:
    """The window of each layer; ``default`` says which layers have one if ``layer_types`` is missing."""
    layers = entry(settings, "num_hidden_layers", int)
    types: Sequence[str] | None = entry(settings, "layer_types", tuple[str, ...] | None, None)
    if types is None:
        return [size if default(layer) else None for layer in range(min(layers, 10_000))]
    unknown = [kind for kind in types if kind not in (FULL, SLIDING)]
    if unknown or len(types) != layers:
        fault = f"{shown(unknown[0])}{nearest(unknown[0], (FULL, SLIDING))}" if unknown else f"{len(types)} of {layers}"
        raise ConfigError(f"layer_types: {fault}; there must be one for each layer")
    if size is None and SLIDING in types:
        raise ConfigError("sliding_window: missing, but layer_types has layers with a window")
    return [size if kind == SLIDING else None for kind in types]


def late_windows(settings: Mapping[str, Any]) -> list[int | None]:
    """The window of each layer; without ``layer_types``, the first ``max_window_layers`` (default 28) have none."""
    used = entry(settings, "use_sliding_window", bool, False)
    size = entry(settings, "sliding_window", int, 4096) if used else None
    return read_windows(settings, size, _late(settings))


def _late(settings: Mapping[str, Any]) -> Callable[[int], bool]:
    first = entry(settings, "max_window_layers", int, 28)
    return lambda layer: layer >= first


def layered(
    windows: Sequence[int | None], positions: PositionConfig, own: Sequence[PositionConfig] | None = None
) -> dict[str, Any]:
    """One ``window`` if all layers are alike, else the shortest ``pattern``. own: positions by layer, if mixed."""
    own = own or [positions] * len(windows)
    kinds = tuple(
        LayerConfig(window=size, positions=None if each == positions else each)
        for size, each in zip(windows, own, strict=True)
    )
    for length in range(1, len(kinds) + 1):
        if all(kind == kinds[layer % length] for layer, kind in enumerate(kinds)):
            break
    else:
        return {"window": None, "pattern": ()}
    if length == 1 and kinds[0].positions is None:
        return {"window": kinds[0].window, "pattern": ()}
    return {"window": None, "pattern": kinds[:length]}


class Refuses(Protocol[C]):
    """A family's ``refuses``."""

    def __call__(self, config: C) -> list[str]: ...


def refusing(
    family: str, settings: Callable[[C], Mapping[str, Any]], config: Callable[[Mapping[str, Any]], C]
) -> Refuses[C]:
    """A ``refuses`` that compares a config with what would be read back from the family's layout.

    It ignores dropout, which does not affect a released model's outputs.
    """

    def refuses(config: C) -> list[str]:
        try:
            back = read(settings(config))
        except ConfigError as error:
            return [str(error)]
        ours, theirs = _flat(config), _flat(back)
        names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        return [f"{name} is {shown(ours.get(name))}; in {family} it is {shown(theirs.get(name))}" for name in names]

    read = config
    return refuses


def _flat(config: DecoderConfig) -> dict[str, Any]:
    nested = to_dict(config)
    flat = {name: value for name, value in nested.items() if name not in ("dropout", "pattern", "positions")}
    for table in ("attention", "feed_forward", "norm"):
        flat |= {f"{table}.{name}": value for name, value in flat.pop(table).items()}
    windows = [kind.window for kind in config.kinds]
    places = [to_dict(kind.positions or config.positions) for kind in config.kinds]
    flat["attention.window"] = windows[0] if len(set(windows)) == 1 else windows
    flat["positions"] = places[0] if all(place == places[0] for place in places) else places
    return flat


def spelled(config: DecoderConfig, name: str) -> str:
    """In a model saved without its output layer, names lack the prefix ``model.``."""
    return f"model.{name}" if name.startswith(("embed_tokens.", "layers.", "norm.")) else name


LayerRows = Callable[[DecoderConfig, str, str], list[Row]]


def table(
    config: DecoderConfig, attention: LayerRows | None = None, feed_forward: LayerRows | None = None
) -> list[Row]:
    """Our tensor names beside theirs. attention, feed_forward: make a part's rows from our path and theirs."""
    parts = (attention or attention_rows, feed_forward or feed_forward_rows)
    copies = ("lm_head.weight",) if config.tied else ()
    biased = config.norm.kind == "layer" and config.norm.bias
    scales = ("weight", "bias") if biased else ("weight",)
    rows = [Row("embedding.weight", ("model.embed_tokens.weight",), copies=copies)]
    rows += [Row(f"norm.{part}", (f"model.norm.{part}",)) for part in scales]
    for l in range(config.layers):  # noqa: E741 (the layer axis is L)
        ours, theirs = f"blocks.{l}", f"model.layers.{l}"
        rows += [row for part in parts for row in part(config, ours, theirs)]
        norms = NORMS[config.arrangement].items()
        rows += [Row(f"{ours}.{our}.{part}", (f"{theirs}.{their}.{part}",)) for our, their in norms for part in scales]
    return rows if config.tied else [*rows, Row("head.weight", ("lm_head.weight",))]


def attention_rows(config: DecoderConfig, ours: str, theirs: str) -> list[Row]:
    """Query, key and value (three tensors of theirs), the output, and the norms of heads."""
    a = config.attention
    sizes = (a.heads * a.head_width, a.kv_heads * a.head_width, a.kv_heads * a.head_width)
    rows = [Row(None, (f"{theirs}.self_attn.rotary_emb.inv_freq",))]  # a buffer that older files contain
    for part in ("weight", "bias") if a.bias else ("weight",):
        projections = tuple(f"{theirs}.self_attn.{name}_proj.{part}" for name in "qkv")
        rows.append(Row(f"{ours}.attention.qkv.{part}", projections, sizes))
    rows += [
        Row(f"{ours}.attention.out.{part}", (f"{theirs}.self_attn.o_proj.{part}",))
        for part in (("weight", "bias") if a.out_bias else ("weight",))
    ]
    if a.head_norm != "none":
        ending = ".weight" if a.head_norm == "projection" else ""
        for our, their in {"query": "q_norm", "key": "k_norm"}.items():
            rows.append(Row(f"{ours}.attention.head_norm.{our}{ending}", (f"{theirs}.self_attn.{their}.weight",)))
    return rows


def feed_forward_rows(config: DecoderConfig, ours: str, theirs: str) -> list[Row]:
    """A gated feed-forward; gate and up are two tensors of theirs."""
    f, rows = config.feed_forward, list[Row]()
    for part in ("weight", "bias") if f.bias else ("weight",):
        gated = (f"{theirs}.mlp.gate_proj.{part}", f"{theirs}.mlp.up_proj.{part}")
        rows.append(Row(f"{ours}.feed_forward.up.{part}", gated, (f.width, f.width)))
        rows.append(Row(f"{ours}.feed_forward.down.{part}", (f"{theirs}.mlp.down_proj.{part}",)))
    return rows
