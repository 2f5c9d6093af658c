"""One file per model family: a table of settings and a table of tensor names, each used in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from clearhead.errors import ConfigError, FolderError, shown
from clearhead.hub.families import (
    bert,
    bertlike,
    distilbert,
    gemma2,
    gemma3_text,
    gpt2,
    gpt_neox,
    gpt_oss,
    llama,
    m2m_100,
    marian,
    mbart,
    mistral,
    mixtral,
    modernbert,
    mt5,
    native,
    olmo2,
    phi3,
    qwen2,
    qwen3,
    qwen3_moe,
    roberta,
    smollm3,
    t5,
)
from clearhead.hub.families.table import Row
from clearhead.hub.packed.entries import KEY
from clearhead.hub.packed.schemes import scheme
from clearhead.model import DecoderConfig, EncoderConfig, EncoderDecoderConfig, ModelConfig

C = TypeVar("C", bound=ModelConfig)


class Family(Protocol[C]):
    """What a family's module defines, for models of one kind."""

    MODEL_TYPE: str
    HARMLESS: frozenset[str]

    def refuses(self, config: C) -> list[str]:
        """Why a model of this config cannot be written in the family's layout; empty if it can."""
        ...

    def settings(self, config: C) -> dict[str, Any]:
        """The entries of config.json for a config that the family accepts."""
        ...

    def config(self, settings: Mapping[str, Any]) -> C:
        """The config for the entries of config.json. Raises ConfigError naming the entry that is wrong."""
        ...

    def table(self, config: C) -> list[Row]:
        """The table from our tensor names to the family's."""
        ...


@runtime_checkable
class Older(Protocol):
    """A family whose released files use older names, or have entries without effect."""

    def modern(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """The entries under today's names, without those that have no effect. Raises ConfigError."""
        ...


# How transformers dequantises to bfloat16, by method: an option of from_pretrained, a call after it, and an option of
# save_pretrained (in the original format, dequantised tensors would get the names of quantised ones).
UNQUANTISED = {
    "bitsandbytes": ("", ".dequantize()", ""),
    "mxfp4": (", quantization_config=Mxfp4Config(dequantize=True)", "", ", save_original_format=False"),
}
CODE = "auto_map"  # names Python classes beside the weights: never run, and not needed for a known family

# The first family that accepts a config writes it; native accepts all.
DECODERS: tuple[Family[DecoderConfig], ...] = (
    qwen3,
    gpt2,
    llama,
    mistral,
    qwen2,
    olmo2,
    smollm3,
    gemma2,
    gemma3_text,
    phi3,
    gpt_neox,
    mixtral,
    qwen3_moe,
    gpt_oss,
)
ENCODERS: tuple[Family[EncoderConfig], ...] = (bert, roberta, distilbert, modernbert)
ENCODER_DECODERS: tuple[Family[EncoderDecoderConfig], ...] = (marian, t5, mt5, mbart, m2m_100)
FAMILIES: tuple[Family[Any], ...] = (*DECODERS, *ENCODERS, *ENCODER_DECODERS, native)
LAYOUTS: dict[type[ModelConfig], tuple[Family[Any], ...]] = {
    DecoderConfig: DECODERS,
    EncoderConfig: ENCODERS,
    EncoderDecoderConfig: ENCODER_DECODERS,
}


def layouts(config: ModelConfig) -> tuple[Family[Any], ...]:
    """The families with models of this kind; native has all kinds."""
    return (*LAYOUTS.get(type(config), ()), native)


def family_for(config: ModelConfig) -> Family[Any]:
    """The family in whose layout a model of this config is written."""
    return next(family for family in layouts(config) if not family.refuses(config))


def parse_config(settings: Mapping[str, Any], where: str) -> tuple[Family[Any], ModelConfig]:
    """The family and config of a config.json. Raises FolderError for an unknown family or an unsupported setting.

    A setting is accepted if the family writes the same value for the config it read, or if it is known to have no
    effect on results. Anything else would silently change them, so it is an error.
    """
    try:
        packed = scheme(settings) is not None
    except ConfigError as error:
        raise FolderError(f"{where}: {error}; take the release in bfloat16") from None
    if not packed:
        _refuse_quantised(settings, where)
    kind = str(settings.get("model_type", ""))
    family = next((family for family in FAMILIES if kind == family.MODEL_TYPE), None)
    if family is None:
        known = ", ".join(sorted(family.MODEL_TYPE for family in FAMILIES))
        code = "; the folder's own code (auto_map) is never run" if "auto_map" in settings else ""
        more = (
            "; it takes more than text (text_config); take a text-only release"
            if "text_config" in settings
            else f"; known: {known}; one file adds one (docs/families.md)"  # the nearest name is another architecture
        )
        raise FolderError(f"{where}: there is no model family {shown(kind)}{more}{code}")
    try:
        settings = family.modern(settings) if isinstance(family, Older) else settings
        config = family.config(settings)
    except ConfigError as error:
        raise FolderError(f"{where}: {error}") from None
    written = family.settings(config)
    for name, value in settings.items():
        if name in family.HARMLESS or name == CODE or (packed and name == KEY) or _agree(written.get(name), value):
            continue
        expected = f"; only {shown(written[name])} is supported" if name in written else ""
        raise FolderError(
            f"{where}: the setting {shown(name)} = {shown(value)} is not supported by the {kind} family{expected}"
        )
    return family, config


def idle(family: Family[Any], settings: Mapping[str, Any], config: ModelConfig) -> dict[str, Any]:
    """Entries without effect on the model that the family would write differently, as given.

    These are attention dropout, which is not supported in training, and what ``modern`` drops.
    """
    written = family.settings(config)
    read = family.modern(settings) if isinstance(family, Older) else settings
    left = {name for name in settings if name in family.HARMLESS or name not in read} - {"architectures", "model_type"}
    return {name: settings[name] for name in left & written.keys() if not _agree(written[name], settings[name])}


def conversion(
    source: str, settings: Mapping[str, Any], *, both: str = "", model: str = "", then: str = "", saving: str = ""
) -> str:
    """Python code with which transformers converts ``source`` into a folder OUT that can be opened here.

    both: options for model and tokenizer. model: options for the model. then: a call on it. saving: an option of
    save_pretrained.
    """
    name, opener = str(settings.get("model_type")), "AutoModelForCausalLM"
    if name in {family.MODEL_TYPE for family in ENCODER_DECODERS}:
        opener = "AutoModelForSeq2SeqLM"
    if name in {family.MODEL_TYPE for family in ENCODERS}:
        opener = "AutoModel"
        with suppress(ConfigError):  # the error being reported is another one
            opener = "AutoModelForMaskedLM" if bertlike.has_head(settings) else opener
    return (
        f"{opener}.from_pretrained({source!r}{both}{model}){then}.save_pretrained('OUT'{saving}); "
        f"AutoTokenizer.from_pretrained({source!r}{both}).save_pretrained('OUT')"
    )


def _agree(written: Any, given: Any) -> bool:
    """Whether an entry agrees with what would be written; None, and entries missing from a table, always agree."""
    if isinstance(given, Mapping) and isinstance(written, Mapping):
        ours = cast(Mapping[str, Any], written)
        return all(_agree(ours.get(name), value) for name, value in cast(Mapping[str, Any], given).items())
    return given is None or (written is not None and bool(written == given))


def _refuse_quantised(settings: Mapping[str, Any], where: str) -> None:
    """Raises FolderError for weights that are quantised in a way that is not read."""
    for name in ("quantization_config", "compression_config"):
        quantised = settings.get(name)
        if quantised is not None:
            table = cast(Mapping[str, Any], quantised) if isinstance(quantised, Mapping) else {}
            old = "bitsandbytes" if "load_in_4bit" in table or "load_in_8bit" in table else None
            method = table.get("quant_method") or old
            place = str(Path(where).parent)
            way = UNQUANTISED.get(str(method))
            written = "" if way is None else conversion(place, settings, model=way[0], then=way[1], saving=way[2])
            raise FolderError(
                f"{where}: the weights are quantised ({shown(method or quantised)}); only compressed-tensors, gptq and "
                "awq are read; take the release in bfloat16"
                + (f", or make one with transformers: {written}" if written else "")
            )
