"""Default sampling settings, from a released model's generation_config.json."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from clearhead.errors import FolderError, OptionError, nearest, shown
from clearhead.generation.sampling import Sampling
from clearhead.language_model import LanguageModel

log = logging.getLogger(__name__)

SETTINGS = tuple(field.name for field in fields(Sampling))
FILE = "generation_config.json"
CONFIG = "config.json"  # names the end tokens if generation_config.json does not

# transformers' top_k when do_sample is set and top_k is not.
TOP_K = 50

# transformers' names for the fields of Sampling. OFF has the values that switch a filter off there.
FIELDS = {
    "max_new_tokens": "max_tokens",
    "repetition_penalty": "repetition_penalty",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
}
OFF = {"top_k": 0, "top_p": 1, "min_p": 0}

# Rules for entries that are not fields of Sampling, which checks its own.
RULES = {"do_sample": "true or false", "max_length": "a whole number, at least 0"}

# Entries that do not change the text: they are about speed, about extra outputs, or only matter in beam search.
HARMLESS = frozenset(
    {
        "_from_model_config", "assistant_confidence_threshold", "assistant_early_exit", "assistant_lookbehind",
        "bos_token_id", "cache_config", "cache_implementation", "compile_config", "decoder_start_token_id",
        "disable_compile", "diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size",
        "eos_token_id", "is_assistant", "length_penalty", "low_memory", "max_cache_len", "max_matching_ngram_size",
        "num_assistant_tokens", "num_assistant_tokens_schedule", "num_beam_groups", "num_return_sequences",
        "output_attentions", "output_hidden_states", "output_logits", "output_scores", "pad_token_id",
        "prefill_chunk_size", "prompt_lookup_num_tokens", "remove_invalid_values", "renormalize_logits",
        "return_dict_in_generate", "speculation_type", "stop_strings", "target_lookbehind", "transformers_version",
        "trust_remote_code", "use_cache", "use_mtp",
    }
)  # fmt: skip

# Unsupported entries, with the value that has no effect. None, False, 0 and an empty value have none either.
NOTHING = {"num_beams": 1, "typical_p": 1, "encoder_repetition_penalty": 1, "guidance_scale": 1}


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What a model's folder says about generating text.

    sampling: the fields of Sampling it sets
    ends: ids that end a text
    unfollowed: entries that would change the text but are not supported
    endless: a warning if its eos_token_id can never end a text, else None
    """

    sampling: Mapping[str, Any]
    ends: frozenset[int]
    unfollowed: Mapping[str, Any]
    endless: str | None = None

    def sampling_with(self, chosen: Mapping[str, Any]) -> Sampling:
        """The folder's settings, overridden by ``chosen``."""
        return Sampling(**{**self.sampling, **chosen})

    def notes(self, chosen: Mapping[str, Any]) -> list[str]:
        """Notes for the user: settings taken from the folder, options without effect, unsupported entries."""
        greedy = {**self.sampling, **chosen}.get("temperature") == 0
        used = {
            name: value for name, value in self.sampling.items() if name not in chosen and not (greedy and name in OFF)
        }
        notes: list[str] = []
        if used:
            listed = ", ".join(f"{name} {value}" for name, value in used.items())
            notes.append(f"from the model's {FILE}: {listed}")
        idle = [name for name in OFF if chosen.get(name) is not None]
        if idle and used.get("temperature") == 0:
            notes.append(f"{FILE} asks for greedy decoding, where {', '.join(idle)} has no effect; set a temperature")
        if self.unfollowed:
            listed = ", ".join(f"{name} = {shown(value)}" for name, value in self.unfollowed.items())
            notes.append(
                f"{FILE} asks for {listed}, which is not supported: texts will differ from those of transformers"
            )
        if self.endless is not None:
            notes.append(self.endless)
        return notes


def resolved(model: LanguageModel, chosen: Mapping[str, Any]) -> Sampling:
    """The settings of the model's folder, overridden by ``chosen``; logs what comes from the folder.

    Raises OptionError for an unknown setting or a value out of range.
    """
    for name in chosen:
        if name not in SETTINGS:
            raise OptionError(f"generate: there is no setting {name!r}{nearest(name, SETTINGS)}")
    found = defaults(model)
    for note in found.notes(chosen):
        log.info(note)
    return found.sampling_with(chosen)


def defaults(model: LanguageModel) -> Defaults:
    """The model's defaults from generation_config.json. End tokens fall back to config.json, then to the tokenizer.

    As in transformers, do_sample false means greedy, and true means temperature 1 and top_k 50 unless the file says
    otherwise. Without do_sample, Sampling's defaults fill in what the file leaves out. Raises FolderError, naming the
    file, for an invalid value.
    """
    generation, ids, folder = model.metadata.generation, model.metadata.ids, model.folder
    tokenizer, context = model.tokenizer, model.config.context
    where = FILE if folder is None else f"{folder / FILE}"
    for name, rule in RULES.items():
        value = generation.get(name)
        if value is not None and not (_whole(value) if name == "max_length" else isinstance(value, bool)):
            raise FolderError(
                f"{where}: {name} is {shown(value)}; it must be {rule}; download it again, or fix the value"
            )
    values: dict[str, Any] = {
        ours: generation[name] for name, ours in FIELDS.items() if generation.get(name) is not None
    }
    for name, off in OFF.items():
        if name in values and values[name] == off:
            values[name] = None
    if generation.get("do_sample") is True:
        values = {"temperature": 1.0, "top_k": TOP_K, **values}
    elif generation.get("do_sample") is False:
        values["temperature"] = 0.0
    stop = generation.get("stop_strings")
    if stop:
        values["stop"] = tuple(cast(list[Any], stop)) if isinstance(stop, list) else (stop,)
    try:
        Sampling(**values)
    except OptionError as error:
        raise FolderError(f"{where}: {error}; download it again, or fix the value") from None
    own = "eos_token_id" in generation
    named = (generation if own else ids).get("eos_token_id")
    file = where if own else CONFIG if folder is None else f"{folder / CONFIG}"
    ends = ids_in(named, file, "eos_token_id")
    if "eos_token_id" not in ids and not own and tokenizer.end is not None:
        ends = frozenset([tokenizer.end])
    return Defaults(
        sampling=values,
        ends=ends,
        unfollowed={name: value for name, value in generation.items() if not _followed(name, value, context)},
        endless=_endless(named, ends, tokenizer.vocab_size, file),
    )


def _followed(name: str, value: Any, context: int) -> bool:
    """True when the entry is supported or has no effect on the text."""
    if name == "max_length":  # of prompt and text together; here the context length is the limit
        return not value or value >= context
    return name in FIELDS or name in HARMLESS or not value or value == NOTHING.get(name)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def ids_in(value: Any, file: str, name: str) -> frozenset[int]:
    """The ids of an entry that holds one, a list of them or none. Raises FolderError for anything else."""
    listed: list[Any] = value if isinstance(value, list) else [] if value is None else [value]
    for token in listed:
        if not _whole(token):
            raise FolderError(f"{file}: {name} holds {shown(token)}, which is not a token id; download it again")
    return frozenset(listed)


def _endless(named: Any, ends: frozenset[int], vocabulary: int, file: str) -> str | None:
    """A warning if no end token can ever occur, else None. transformers accepts such files too, and never stops."""
    if isinstance(named, list) and not named:
        return f"{file}: eos_token_id is an empty list, so no token ends a text"
    beyond = sorted(token for token in ends if token >= vocabulary)
    if not beyond:
        return None
    listed = shown(beyond[0] if len(beyond) == 1 else beyond)
    return f"{file}: eos_token_id names {listed}, beyond the vocabulary of {vocabulary:,} tokens; it never ends a text"
