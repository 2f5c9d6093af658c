"""Marian of transformers, tiny and random, against what opens here, and back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from little_models import TOKENIZER
from little_models import lively as drawn
from parity import lively
from safetensors.torch import load_file, save_file
from transformers import MarianConfig, MarianMTModel
from translator_parity import check_pass, check_saved, logits

from clearhead import hub
from clearhead.errors import FolderError
from clearhead.hub.families import family_for, marian, native
from clearhead.language_model import LanguageModel
from clearhead.model import NormConfig, PositionConfig
from clearhead.tap import Site
from little_configs import TRANSLATOR

MARIAN = {
    "vocab_size": 31,
    "d_model": 20,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 17,
    "decoder_ffn_dim": 17,
    "max_position_embeddings": 23,
    "activation_function": "swish",
    "scale_embedding": True,
    "pad_token_id": 30,
    "eos_token_id": 0,
    "decoder_start_token_id": 30,
    "forced_eos_token_id": 0,
}
APART = {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 27, "pad_token_id": 26}
CASES: dict[str, dict[str, Any]] = {
    "as released": {},
    "not scaled, ReLU": {"scale_embedding": False, "activation_function": "relu"},
    "GELU": {"activation_function": "gelu"},
    "tanh": {"activation_function": "tanh"},
    "another encoder": {"encoder_attention_heads": 2, "encoder_ffn_dim": 29},
    "untied": {"tie_word_embeddings": False},
    "two vocabularies": {**APART, "tie_word_embeddings": False},
    "two vocabularies, one of them tied": APART,
    "an odd width": {"d_model": 21, "encoder_attention_heads": 3, "decoder_attention_heads": 7},
}


def made(**settings: Any) -> MarianMTModel:
    model = MarianMTModel(MarianConfig(**{**MARIAN, **settings}, attn_implementation="eager"))
    sinusoids = [(each, each.detach().clone()) for each in model.parameters() if not each.requires_grad]
    lively(model)
    with torch.no_grad():
        for each, values_KE in sinusoids:
            each.copy_(values_KE)
        if model.config.share_encoder_decoder_embeddings:  # transformers unties these, too
            for stack in (model.model.encoder, model.model.decoder):
                stack.embed_tokens.weight.copy_(model.model.shared.weight)
        model.final_logits_bias.normal_(generator=torch.Generator().manual_seed(3))
    return model


def opened(folder: Path, **settings: Any) -> tuple[MarianMTModel, LanguageModel]:
    model = made(**settings)
    model.save_pretrained(folder / "theirs")
    if model.config.share_encoder_decoder_embeddings:
        TOKENIZER.save(folder / "theirs")
    return model, hub.load(folder / "theirs")


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_translators(case: str, tmp_path: Path) -> None:
    """Logits, hidden states, attention at all three kinds of site, and the way back, all equal."""
    model, ours = opened(tmp_path, **CASES[case])
    assert ours.metadata.family == "marian"
    check_pass(model, ours)
    check_saved(model, ours, tmp_path / "ours")
    rows = marian.table(ours.config)
    assert sorted(row.ours for row in rows if row.ours) == sorted(ours.network.state_dict())
    theirs = [name for row in rows for name in row.theirs]
    assert len(theirs) == len(set(theirs))


@torch.no_grad()
def test_older_files_hold_copies_and_tables_of_positions(tmp_path: Path) -> None:
    """The shared embedding under four names, both tables of sinusoids, and entries of the converter."""
    model, ours = opened(tmp_path)
    file = tmp_path / "theirs" / "model.safetensors"
    tensors = load_file(file)
    shared = tensors["model.shared.weight"]
    for name in ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = shared.clone()
    for stack in ("encoder", "decoder"):
        tensors[f"model.{stack}.embed_positions.weight"] = getattr(model.model, stack).embed_positions.weight.data
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    assert torch.equal(logits(model, hub.load(tmp_path / "theirs")), logits(model, ours))
    tensors["lm_head.weight"] = shared + 1
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    with pytest.raises(FolderError, match=r"lm_head.weight differs from model.shared.weight"):
        hub.load(tmp_path / "theirs")


# Helsinki-NLP/opus-mt-en-de, but for the sizes.
RELEASED = {
    "_name_or_path": "/tmp/Helsinki-NLP/opus-mt-en-de",
    "activation_dropout": 0.0,
    "activation_function": "swish",
    "add_bias_logits": False,
    "add_final_layer_norm": False,
    "architectures": ["MarianMTModel"],
    "attention_dropout": 0.0,
    "bad_words_ids": [[30]],
    "bos_token_id": 0,
    "classif_dropout": 0.0,
    "classifier_dropout": 0.0,
    "d_model": 20,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 17,
    "decoder_layerdrop": 0.0,
    "decoder_layers": 2,
    "decoder_start_token_id": 30,
    "decoder_vocab_size": 31,
    "dropout": 0.1,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 17,
    "encoder_layerdrop": 0.0,
    "encoder_layers": 3,
    "eos_token_id": 0,
    "extra_pos_embeddings": 31,
    "forced_eos_token_id": 0,
    "id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
    "init_std": 0.02,
    "is_encoder_decoder": True,
    "label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2},
    "max_length": 512,
    "max_position_embeddings": 23,
    "model_type": "marian",
    "normalize_before": False,
    "normalize_embedding": False,
    "num_beams": 6,
    "num_hidden_layers": 3,
    "pad_token_id": 30,
    "scale_embedding": True,
    "share_encoder_decoder_embeddings": True,
    "static_position_embeddings": True,
    "transformers_version": "4.22.0.dev0",
    "use_cache": True,
    "vocab_size": 31,
}


@torch.no_grad()
def test_the_entries_of_a_released_folder(tmp_path: Path) -> None:
    """The same model is read from them, and they are written again, as far as they are about the model."""
    model, ours = opened(tmp_path)
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(RELEASED))
    found = hub.load(tmp_path / "theirs")
    assert found.config == replace(ours.config, dropout=0.1)
    assert torch.equal(logits(model, found), logits(model, ours))
    hub.save(tmp_path / "ours", found)
    written = json.loads((tmp_path / "ours" / "config.json").read_text())
    for name in ("decoder_start_token_id", "eos_token_id", "pad_token_id", "dropout", "scale_embedding", "vocab_size"):
        assert written[name] == RELEASED[name]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a head for half a width": ({"encoder_attention_heads": 3}, r"encoder_attention_heads: 3 heads for d_model 20"),
    "an activation nobody has": ({"activation_function": "sigmoid"}, r"activation_function: 'sigmoid' is not support"),
    "no layers": ({"encoder_layers": 0}, r"encoder_layers: 0; it must be at least 1"),
    "an entry nobody knows": ({"rope_theta": 3.0}, r"'rope_theta' = 3.0 is not supported by the marian family"),
    "a decoder alone": ({"is_decoder": True}, r"'is_decoder' = True is not supported by the marian family"),
    "no encoder": ({"is_encoder_decoder": False}, r"'is_encoder_decoder' = False is not supported by the marian fam"),
    "a word for a number": ({"decoder_ffn_dim": "17"}, r"decoder_ffn_dim"),
    "two vocabularies shared": ({"decoder_vocab_size": 27}, r"vocab_size"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    change, said = REFUSED[case]
    (tmp_path / "config.json").write_text(json.dumps({**RELEASED, **change}))
    with pytest.raises(FolderError, match=said):
        hub.read_config(tmp_path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"arrangement": "pre"}, "arrangement is 'pre'; in marian it is 'post'"),
        ({"norm": NormConfig(kind="layer", eps=1e-6)}, "norm.eps is 1e-06; in marian it is 1e-05"),
        ({"output_bias": False}, "output_bias is False; in marian it is True"),
        ({"embedding_scale": 2.0}, "embedding_scale is 2.0; in marian it is"),
        ({"positions": PositionConfig(kind="learned")}, "positions is"),
    ],
)
def test_what_is_no_marian_is_written_natively_and_comes_back(change: dict, why: str, tmp_path: Path) -> None:
    config = replace(TRANSLATOR, **change)
    (found,) = marian.refuses(config)
    assert found.startswith(why)
    assert family_for(config) is native
    network = drawn(config)
    hub.save(tmp_path, LanguageModel(network, TOKENIZER))
    back = hub.load(tmp_path)
    assert back.config == config
    state = back.network.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


def test_what_is_one() -> None:
    assert family_for(TRANSLATOR) is marian
    assert marian.refuses(TRANSLATOR) == []


def test_missing_and_foreign_tensors_are_named(tmp_path: Path) -> None:
    opened(tmp_path)
    file = tmp_path / "theirs" / "model.safetensors"
    tensors = load_file(file)
    query = tensors.pop("model.decoder.layers.1.encoder_attn.q_proj.weight")
    save_file({**tensors, "model.decoder.layers.9.encoder_attn.q_proj.weight": query}, file)
    with pytest.raises(FolderError, match=r"layers.1.encoder_attn.q_proj.weight.*left over: .*layers.9.encoder_attn"):
        hub.load(tmp_path / "theirs")


def test_the_sites_of_both_stacks_are_listed(tmp_path: Path) -> None:
    _, ours = opened(tmp_path, encoder_attention_heads=2)
    attending = {site: heads for site, heads in ours.sites().items() if site.attends}
    assert attending == {
        **{Site(layer, "self", "encoder"): 2 for layer in range(3)},
        **{Site(layer, kind): 4 for layer in range(2) for kind in ("self", "cross")},
    }
