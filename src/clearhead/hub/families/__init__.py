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
    mistral,
    mixtral,
    modernbert,
    native,
    olmo2,
    phi3,
    qwen2,
    qwen3,
    qwen3_moe,
    roberta,
    smollm3,
)
from clearhead.hub.families.table import Row
from clearhead.model import DecoderConfig, EncoderConfig, ModelConfig

C = TypeVar("C", bound=ModelConfig)


class Family(Protocol[C]):
    """What a family's module offers, for models of one kind."""

    MODEL_TYPE: str
    HARMLESS: frozenset[str]

    def refuses(self, config: C) -> list[str]:
        """Why a model of this config cannot be written in the family's layout; empty when it can."""
        ...

    def settings(self, config: C) -> dict[str, Any]:
        """config.json's entries for a config the family accepts."""
        ...

    def config(self, settings: Mapping[str, Any]) -> C:
        """The config that config.json's entries describe. Raises ConfigError naming the entry that is wrong."""
        ...

    def table(self, config: C) -> list[Row]:
        """Our tensor names beside the family's."""
        ...


@runtime_checkable
class Older(Protocol):
    """A family whose released files have entries under other names, or some without effect."""

    def modern(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """The entries as they would be written today, without those that have no effect. Raises ConfigError."""
        ...


# How transformers makes bfloat16 of weights of a few bits, by method: an option of from_pretrained, what follows it,
# and one of save_pretrained (in the original format whole numbers would have the names of those of four bits).
UNQUANTISED = {
    "bitsandbytes": ("", ".dequantize()", ""),
    "mxfp4": (", quantization_config=Mxfp4Config(dequantize=True)", "", ", save_original_format=False"),
}
CODE = "auto_map"  # names classes in files beside the weights: never run, and not needed by a family that is known

# The first that accepts a config writes it; native accepts all.
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
FAMILIES: tuple[Family[Any], ...] = (*DECODERS, *ENCODERS, native)
LAYOUTS: dict[type[ModelConfig], tuple[Family[Any], ...]] = {DecoderConfig: DECODERS, EncoderConfig: ENCODERS}


def layouts(config: ModelConfig) -> tuple[Family[Any], ...]:
    """The families that have models of this kind; native has all."""
    return (*LAYOUTS.get(type(config), ()), native)


def writing(config: ModelConfig) -> Family[Any]:
    """The family whose layout a model of this config is written in."""
    return next(family for family in layouts(config) if not family.refuses(config))


def reading(settings: Mapping[str, Any], where: str) -> tuple[Family[Any], ModelConfig]:
    """The family and config of a config.json. Raises FolderError for an unknown family or a setting nobody reads.

    A setting is accepted when the family writes the same value for the config it read, or when it is known to
    change no number. Anything else would change the result silently, so it is refused.
    """
    _refuse_quantised(settings, where)
    kind = str(settings.get("model_type", ""))
    family = next((family for family in FAMILIES if kind == family.MODEL_TYPE), None)
    if family is None:
        known = ", ".join(sorted(family.MODEL_TYPE for family in FAMILIES))
        code = "; the code that the folder brings (auto_map) is never run" if "auto_map" in settings else ""
        more = (
            "; it reads more than text (text_config); take a release for text alone"
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
        if name in family.HARMLESS or name == CODE or _agree(written.get(name), value):
            continue
        expected = f"; only {shown(written[name])} is supported" if name in written else ""
        raise FolderError(
            f"{where}: the setting {shown(name)} = {shown(value)} is not supported by the {kind} family{expected}"
        )
    return family, config


def idle(family: Family[Any], settings: Mapping[str, Any], config: ModelConfig) -> dict[str, Any]:
    """Entries that change no number here and that the family writes with a value of its own, as they are given.

    Dropout of attention, which nothing here trains with, and what ``modern`` leaves out as without effect.
    """
    written = family.settings(config)
    read = family.modern(settings) if isinstance(family, Older) else settings
    left = {name for name in settings if name in family.HARMLESS or name not in read} - {"architectures", "model_type"}
    return {name: settings[name] for name in left & written.keys() if not _agree(written[name], settings[name])}


def conversion(
    source: str, settings: Mapping[str, Any], *, both: str = "", model: str = "", then: str = "", saving: str = ""
) -> str:
    """Python with which transformers writes what it finds at ``source`` into a folder OUT that is read here.

    both: options of the model and the tokenizer. model: the model's own. then: what is done with it. saving: an
    option of how it is saved.
    """
    name, opener = str(settings.get("model_type")), "AutoModelForCausalLM"
    if name in {family.MODEL_TYPE for family in ENCODERS}:
        opener = "AutoModel"
        with suppress(ConfigError):  # the error that is being told does not depend on it
            opener = "AutoModelForMaskedLM" if bertlike.has_head(settings) else opener
    return (
        f"{opener}.from_pretrained({source!r}{both}{model}){then}.save_pretrained('OUT'{saving}); "
        f"AutoTokenizer.from_pretrained({source!r}{both}).save_pretrained('OUT')"
    )


def _agree(written: Any, given: Any) -> bool:
    """Whether an entry says what would be written: its tables may say less, and None says nothing."""
    if isinstance(given, Mapping) and isinstance(written, Mapping):
        ours = cast(Mapping[str, Any], written)
        return all(_agree(ours.get(name), value) for name, value in cast(Mapping[str, Any], given).items())
    return given is None or (written is not None and bool(written == given))


def _refuse_quantised(settings: Mapping[str, Any], where: str) -> None:
    """Raises FolderError for weights of a few bits each, which no part of a model here computes with."""
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
                f"{where}: the weights are quantised ({shown(method or quantised)}), and only float32, bfloat16, "
                "float16 and float64 are read; take the release in bfloat16"
                + (f", or have transformers write one: {written}" if written else "")
            )
