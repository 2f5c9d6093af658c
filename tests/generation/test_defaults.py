"""generation_config.json as settings here: against transformers, what is reported, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from little import BYTES, little
from transformers import GenerationConfig, LogitsProcessorList, Qwen3Config, Qwen3ForCausalLM

from clearhead.errors import FolderError, OptionError
from clearhead.generation import Sampling, defaults
from clearhead.generation.filters import filtered
from clearhead.language_model import LanguageModel, Metadata

LLAMA = {
    "bos_token_id": 200,
    "do_sample": True,
    "eos_token_id": [201, 208, 209],  # of the 257 tokens here; there 128,000 more
    "temperature": 0.6,
    "top_p": 0.9,
    "transformers_version": "4.42.3",
}


def found(generation: dict[str, Any], ids: dict[str, Any] | None = None, context: int = 64, folder: Path | None = None):
    metadata = Metadata(generation=generation, ids=ids or {})
    return defaults(LanguageModel(little(context=context), BYTES, metadata=metadata, folder=folder))


def test_llama_3():
    settings = found(LLAMA)
    assert settings.sampling == {"temperature": 0.6, "top_k": 50, "top_p": 0.9}
    assert settings.ends == {201, 208, 209}
    assert settings.notes({}) == ["from the model's generation_config.json: temperature 0.6, top_k 50, top_p 0.9"]
    assert settings.notes({"temperature": 1.0, "top_k": None, "top_p": 0.5}) == []
    assert settings.sampling_with({"top_p": 0.5}) == Sampling(temperature=0.6, top_k=50, top_p=0.5)


def test_a_file_that_names_nothing_leaves_the_defaults_of_here():
    assert found({"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2}).sampling_with({}) == Sampling()


@pytest.mark.parametrize(
    ("generation", "sampling"),
    [
        ({"do_sample": False, "temperature": 0.6, "top_p": 0.9}, {"temperature": 0.0, "top_p": 0.9}),
        ({"do_sample": True}, {"temperature": 1.0, "top_k": 50}),
        ({"do_sample": True, "top_k": 0, "top_p": 1.0}, {"temperature": 1.0, "top_k": None, "top_p": None}),
        ({"temperature": 0.7, "top_k": 20, "min_p": 0.1}, {"temperature": 0.7, "top_k": 20, "min_p": 0.1}),
        ({"max_new_tokens": 2048, "repetition_penalty": 1.1}, {"max_tokens": 2048, "repetition_penalty": 1.1}),
        ({"stop_strings": ["\n\n", "User:"]}, {"stop": ("\n\n", "User:")}),
        ({"stop_strings": "\n\n", "temperature": None}, {"stop": ("\n\n",)}),
    ],
)  # fmt: skip
def test_entries_become_settings(generation: dict[str, Any], sampling: dict[str, Any]):
    assert found(generation).sampling == sampling


@pytest.mark.parametrize(
    ("generation", "ids", "ends"),
    [
        ({"eos_token_id": 5}, {"eos_token_id": 6}, {5}),
        ({"eos_token_id": [5, 7]}, {}, {5, 7}),
        ({}, {"eos_token_id": 6}, {6}),
        ({}, {"eos_token_id": None}, set()),
        ({}, {}, {BYTES.separator}),  # neither file says it: the tokenizer does
    ],
)
def test_ends(generation: dict[str, Any], ids: dict[str, Any], ends: set[int]):
    assert found(generation, ids).ends == ends


def test_unsupported_settings_that_would_change_the_text_are_reported():
    generation = {
        "num_beams": 4,
        "no_repeat_ngram_size": 3,
        "suppress_tokens": [7],
        "made_up": "x",
        "typical_p": 1.0,
        "max_length": 20,
        "use_cache": True,
        "min_length": 0,
        "num_return_sequences": 1,
    }
    settings = found(generation)
    assert list(settings.unfollowed) == [
        "num_beams",
        "no_repeat_ngram_size",
        "suppress_tokens",
        "made_up",
        "max_length",
    ]
    (note,) = settings.notes({})
    assert "asks for num_beams = 4, no_repeat_ngram_size = 3" in note
    assert not found({"max_length": 64}).unfollowed
    assert not found({"max_length": 4096}).unfollowed


@pytest.mark.parametrize("name", ["top_k", "top_p", "min_p"])
def test_a_filter_without_effect_is_reported(name: str):
    """A greedy text takes the likeliest token, which every filter keeps."""
    logits_BV = torch.randn(4, 97, generator=torch.Generator().manual_seed(1))
    value = 1 if name == "top_k" else 0.5
    settings = found({"do_sample": False})
    assert torch.equal(filtered(logits_BV, Sampling(**{name: value})).argmax(-1), logits_BV.argmax(-1))
    assert settings.sampling_with({name: value}).greedy
    (folder, idle) = settings.notes({name: value})
    assert folder == "from the model's generation_config.json: temperature 0.0"
    assert f"asks for greedy decoding, where {name} has no effect; set a temperature" in idle
    for chosen in ({name: value, "temperature": 0.7}, {"max_tokens": 3}, {name: None}):
        assert not any("no effect" in note for note in settings.notes(chosen))
    assert not any("no effect" in note for note in found({}).notes({name: value}))


@pytest.mark.parametrize(
    ("generation", "chosen", "told"),
    [
        ({"do_sample": True, "temperature": 0.6, "top_p": 0.9}, {"temperature": 0}, []),
        ({"do_sample": True, "top_p": 0.9, "max_new_tokens": 7}, {"temperature": 0.0}, ["max_tokens 7"]),
        ({"do_sample": False, "top_p": 0.9, "min_p": 0.1}, {}, ["temperature 0.0"]),
        ({"do_sample": False, "top_p": 0.9}, {"temperature": 0.5}, ["top_p 0.9"]),
    ],
)  # fmt: skip
def test_filters_are_reported_where_they_act(generation: dict[str, Any], chosen: dict[str, Any], told: list[str]):
    """In greedy decoding they have no effect, whoever sets them."""
    assert found(generation).notes(chosen) == [f"from the model's generation_config.json: {each}" for each in told]


@pytest.mark.parametrize(
    ("generation", "ids", "note"),
    [
        ({"eos_token_id": []}, {}, "m/generation_config.json: eos_token_id is an empty list, so no token ends a text"),
        ({"eos_token_id": 257}, {}, "m/generation_config.json: eos_token_id names 257, beyond the vocabulary of 257"),
        ({"eos_token_id": [5, 999, 300]}, {}, "m/generation_config.json: eos_token_id names [300, 999], beyond the"),
        ({}, {"eos_token_id": 300}, "m/config.json: eos_token_id names 300, beyond the vocabulary of 257 token"),
    ],
)  # fmt: skip
def test_end_tokens_that_never_end_a_text_are_reported(generation: dict[str, Any], ids: dict[str, Any], note: str):
    (told,) = found(generation, ids, folder=Path("m")).notes({})
    assert told.startswith(note)


def test_every_entry_of_transformers_is_known_and_its_default_is_nothing(tmp_path: Path):
    GenerationConfig().save_pretrained(tmp_path)
    written = json.loads((tmp_path / "generation_config.json").read_text())
    usual = {**written, **GenerationConfig._get_default_generation_params()}
    del usual["max_length"]  # 20 there, and told
    assert found(usual).unfollowed == {}


@pytest.mark.parametrize(
    ("generation", "message"),
    [
        ({"temperature": "hot"}, "temperature is 'hot'"),
        ({"top_k": -5}, "top_k is -5"),
        ({"max_new_tokens": 1.5}, "max_tokens is 1.5"),
        ({"eos_token_id": ["x"]}, "eos_token_id holds 'x'"),
        ({"eos_token_id": {"a": 1}}, "eos_token_id holds"),
        ({"stop_strings": 5}, "generation_config.json: "),
        ({"stop_strings": [5]}, "stop is"),
        ({"do_sample": "yes"}, "do_sample is 'yes'; it must be true or false"),
        ({"max_length": -5}, "max_length is -5; it must be a whole number, at least 0"),
        ({"max_length": "long"}, "max_length is 'long'; it must be"),
        ({"max_length": True}, "max_length is True; it must be"),
    ],
)
def test_values_that_cannot_be_are_refused(generation: dict[str, Any], message: str):
    with pytest.raises(FolderError) as caught:
        found(generation, folder=Path("some") / "model")
    assert message in str(caught.value)
    assert str(caught.value).startswith("some/model/generation_config.json: ")


def test_what_a_user_chooses_is_checked_as_ever():
    with pytest.raises(OptionError, match="top_p is 2"):
        found(LLAMA).sampling_with({"top_p": 2})


@pytest.mark.parametrize(
    "generation",
    [
        LLAMA,
        {"do_sample": True},
        {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.02},
        {"do_sample": True, "top_k": 0, "top_p": 0.8},
    ],
)
def test_the_same_tokens_stay_as_in_transformers(generation: dict[str, Any]):
    """The processors that transformers builds from the file, on random logits, against the filters of the settings."""
    tiny = Qwen3Config(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=97)
    config = GenerationConfig(**{**GenerationConfig._get_default_generation_params(), **generation})
    processors = Qwen3ForCausalLM(tiny)._get_logits_processor(config, logits_processor=LogitsProcessorList())
    logits_BV = 3 * torch.randn(5, 97, generator=torch.Generator().manual_seed(1))
    theirs_BV = processors(torch.zeros(5, 1, dtype=torch.long), logits_BV.clone())
    torch.testing.assert_close(filtered(logits_BV, found(generation).sampling_with({})), theirs_BV)
