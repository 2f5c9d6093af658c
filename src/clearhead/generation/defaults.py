"""What a released model's generation_config.json asks for, as the settings of a generation here."""

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
CONFIG = "config.json"  # has the ends where that file does not name them

# transformers samples among so many when do_sample is set and top_k is not.
TOP_K = 50

# Fields of Sampling by the name that transformers gives them; a value beside a name switches the filter off.
FIELDS = {
    "max_new_tokens": "max_tokens",
    "repetition_penalty": "repetition_penalty",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
}
OFF = {"top_k": 0, "top_p": 1, "min_p": 0}

# Of entries that are no field of Sampling, which checks its own.
RULES = {"do_sample": "true or false", "max_length": "a whole number, at least 0"}

# Entries that leave the text as it is: they are about speed, about what else is returned, or act in beam search alone.
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

# Entries that are not followed here, with the value at which they do nothing; None, False, 0 and nothing do as little.
NOTHING = {"num_beams": 1, "typical_p": 1, "encoder_repetition_penalty": 1, "guidance_scale": 1}


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """sampling: fields of Sampling that the model's folder sets.

    ends: ids with which the model ends a text. unfollowed: entries that would change the text and are not followed.
    endless: what is wrong with the ends that are named.
    """

    sampling: Mapping[str, Any]
    ends: frozenset[int]
    unfollowed: Mapping[str, Any]
    endless: str | None = None

    def sampling_with(self, chosen: Mapping[str, Any]) -> Sampling:
        """The folder's settings, and over them what was chosen."""
        return Sampling(**{**self.sampling, **chosen})

    def notes(self, chosen: Mapping[str, Any]) -> list[str]:
        """What a user must be told: settings that come from the folder, what has no effect, what is not followed."""
        greedy = {**self.sampling, **chosen}.get("temperature") == 0
        used = {
            name: value for name, value in self.sampling.items() if name not in chosen and not (greedy and name in OFF)
        }
        told: list[str] = []
        if used:
            listed = ", ".join(f"{name} {value}" for name, value in used.items())
            told.append(f"from the model's {FILE}: {listed}")
        idle = [name for name in OFF if chosen.get(name) is not None]
        if idle and used.get("temperature") == 0:
            told.append(f"{FILE} asks for greedy texts, in which {', '.join(idle)} has no effect; choose a temperature")
        if self.unfollowed:
            listed = ", ".join(f"{name} = {shown(value)}" for name, value in self.unfollowed.items())
            told.append(f"{FILE} asks for {listed}, which is not followed: texts will differ from transformers'")
        if self.endless is not None:
            told.append(self.endless)
        return told


def resolved(model: LanguageModel, chosen: Mapping[str, Any]) -> Sampling:
    """The settings chosen, laid over those of the model's folder; logs what comes from there.

    Raises OptionError for a name that is no setting, and for a value out of range.
    """
    for name in chosen:
        if name not in SETTINGS:
            raise OptionError(f"generate: there is no setting {name!r}{nearest(name, SETTINGS)}")
    found = defaults(model)
    for note in found.notes(chosen):
        log.info(note)
    return found.sampling_with(chosen)


def defaults(model: LanguageModel) -> Defaults:
    """The defaults of a folder: generation_config.json's entries, and for the ends config.json's, then the tokenizer's.

    As in transformers, do_sample false means greedy, and true samples at temperature 1 among 50 unless told otherwise;
    where do_sample is not set, what the file does not name is Sampling's own. Raises FolderError for a value that
    cannot be, naming the file.
    """
    generation, ids, folder = model.metadata.generation, model.metadata.ids, model.folder
    tokenizer, context = model.tokenizer, model.config.context
    where = FILE if folder is None else f"{folder / FILE}"
    for name, rule in RULES.items():
        value = generation.get(name)
        if value is not None and not (_whole(value) if name == "max_length" else isinstance(value, bool)):
            raise FolderError(f"{where}: {name} is {shown(value)}; it must be {rule}; copy it again, or mend the value")
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
        raise FolderError(f"{where}: {error}; copy it again, or mend the value") from None
    own = "eos_token_id" in generation
    named = (generation if own else ids).get("eos_token_id")
    file = where if own else CONFIG if folder is None else f"{folder / CONFIG}"
    ends = _ids(named, file)
    if "eos_token_id" not in ids and not own and tokenizer.end is not None:
        ends = frozenset([tokenizer.end])
    return Defaults(
        sampling=values,
        ends=ends,
        unfollowed={name: value for name, value in generation.items() if not _followed(name, value, context)},
        endless=_endless(named, ends, tokenizer.vocab_size, file),
    )


def _followed(name: str, value: Any, context: int) -> bool:
    """Whether the entry is read, or leaves the text as it is."""
    if name == "max_length":  # of prompt and text together; the model's context ends a text here
        return not value or value >= context
    return name in FIELDS or name in HARMLESS or not value or value == NOTHING.get(name)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _ids(value: Any, file: str) -> frozenset[int]:
    """One id or a list of them."""
    listed: list[Any] = value if isinstance(value, list) else [] if value is None else [value]
    for token in listed:
        if not _whole(token):
            raise FolderError(
                f"{file}: eos_token_id holds {shown(token)}, which is not the id of a token; copy it again"
            )
    return frozenset(listed)


def _endless(named: Any, ends: frozenset[int], vocabulary: int, file: str) -> str | None:
    """What is told of ends that end nothing: transformers takes them too, and its texts do not end either."""
    if isinstance(named, list) and not named:
        return f"{file}: eos_token_id is an empty list: no token ends a text"
    beyond = sorted(token for token in ends if token >= vocabulary)
    if not beyond:
        return None
    listed = shown(beyond[0] if len(beyond) == 1 else beyond)
    return f"{file}: eos_token_id names {listed}, beyond the {vocabulary:,} tokens: no text ends with that"
