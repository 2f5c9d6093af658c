"""mBART and M2M-100 of transformers, tiny and random, against what opens here, and back."""

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
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    MBartConfig,
    MBartForConditionalGeneration,
    PreTrainedModel,
)
from translator_parity import check_pass, check_saved, logits

from clearhead import hub
from clearhead.errors import FolderError
from clearhead.generation.beams import BeamSearch
from clearhead.generation.forced import Forced
from clearhead.hub.families import family_for, m2m_100, mbart
from clearhead.language_model import LanguageModel
from clearhead.model import EncoderDecoderConfig, NormConfig, PositionConfig
from little_configs import TRANSLATOR

SIZES = {
    "vocab_size": 31,
    "d_model": 20,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 17,
    "decoder_ffn_dim": 17,
    "max_position_embeddings": 23,
    "activation_function": "relu",
    "scale_embedding": True,
}
KINDS: dict[str, Any] = {
    "mbart": (mbart, MBartConfig, MBartForConditionalGeneration),
    "m2m_100": (m2m_100, M2M100Config, M2M100ForConditionalGeneration),
}
CASES: dict[str, dict[str, Any]] = {
    "as released": {},
    "not scaled, GELU": {"scale_embedding": False, "activation_function": "gelu"},
    "another encoder": {"encoder_attention_heads": 2, "encoder_ffn_dim": 29},
    "untied": {"tie_word_embeddings": False},
    "another padding": {"pad_token_id": 7},
    "an odd width": {"d_model": 21, "encoder_attention_heads": 3, "decoder_attention_heads": 7},
}
MBART = replace(TRANSLATOR, arrangement="pre", embedding_norm=True, positions=PositionConfig(kind="learned", first=2))
M2M100 = replace(TRANSLATOR, arrangement="pre", output_bias=False, positions=PositionConfig(kind="fairseq", first=2))
CONFIGS: dict[str, EncoderDecoderConfig] = {"mbart": MBART, "m2m_100": M2M100}


def made(kind: str, **settings: Any) -> PreTrainedModel:
    _, config, network = KINDS[kind]
    model = network(config(**{**SIZES, **settings}, attn_implementation="eager"))
    lively(model)
    with torch.no_grad():
        for stack in (model.model.encoder, model.model.decoder):  # transformers unties these, too
            stack.embed_tokens.weight.copy_(model.model.shared.weight)
        if kind == "mbart":
            model.final_logits_bias.normal_(generator=torch.Generator().manual_seed(3))
    return model


def opened(kind: str, folder: Path, **settings: Any) -> tuple[Any, LanguageModel]:
    model = made(kind, **settings)
    model.save_pretrained(folder / "theirs")
    TOKENIZER.save(folder / "theirs")
    return model, hub.load(folder / "theirs")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_translators(kind: str, case: str, tmp_path: Path) -> None:
    """Logits, hidden states, attention at all three kinds of site, and the way back, all equal."""
    model, ours = opened(kind, tmp_path, **CASES[case])
    assert ours.metadata.family == kind
    check_pass(model, ours)
    check_saved(model, ours, tmp_path / "ours")
    rows = KINDS[kind][0].table(ours.config)
    assert sorted(row.ours for row in rows if row.ours) == sorted(ours.network.state_dict())
    theirs = [name for row in rows for name in row.theirs]
    assert len(theirs) == len(set(theirs))
    assert ours.config.parameters() == sum(each.numel() for each in ours.network.parameters())


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_greedy_and_beam_search(kind: str, beams: int, tmp_path: Path) -> None:
    """From </s>, with the language as the first token and </s> at the limit."""
    model, ours = opened(kind, tmp_path)
    generator = torch.Generator().manual_seed(4)
    sources = [[7, *torch.randint(3, 30, (n,), generator=generator).tolist(), 2] for n in (5, 1, 9)]
    search = BeamSearch(
        ours.network,
        [2],
        ours.network.translating(sources, 12, beams),
        texts=3,
        beams=beams,
        length_penalty=1.0,
        early_stopping=True,
        forced=Forced(first=9, last=2),
        ends=frozenset({2}),
        limits=[12] * 3,
        forbid=lambda logprobs_RV, _: None,
    )
    longest = max(map(len, sources))
    out = model.generate(
        torch.tensor([[*ids, *[1] * (longest - len(ids))] for ids in sources]),
        attention_mask=torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in sources]),
        decoder_start_token_id=2,
        forced_bos_token_id=9,
        forced_eos_token_id=2,
        early_stopping=True,
        num_beams=beams,
        num_return_sequences=beams,
        do_sample=False,
        max_new_tokens=12,
        use_cache=False,  # theirs breaks if the decoder has fewer layers than the encoder
        return_dict_in_generate=True,
        output_scores=True,
    )
    written = [each for found in search.run() for each in found]
    for row, (mine, ids) in enumerate(zip(written, out.sequences[:, 1:].tolist(), strict=True)):
        assert list(mine.ids) == ids[: len(mine.ids)]
        assert set(ids[len(mine.ids) :]) <= {1}
        if beams > 1:
            assert mine.score == pytest.approx(float(out.sequences_scores[row]), rel=1e-4)


# facebook/mbart-large-50-many-to-many-mmt and facebook/nllb-200-distilled-600M, but for the sizes.
RELEASED: dict[str, dict[str, Any]] = {
    "mbart": {
        **SIZES,
        "_name_or_path": "/home/suraj/projects/mbart-50/hf_models/mbart-50-large",
        "_num_labels": 3,
        "activation_dropout": 0.0,
        "add_bias_logits": False,
        "add_final_layer_norm": True,
        "architectures": ["MBartForConditionalGeneration"],
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "classif_dropout": 0.0,
        "classifier_dropout": 0.0,
        "decoder_layerdrop": 0.0,
        "decoder_start_token_id": 2,
        "dropout": 0.1,
        "early_stopping": True,
        "encoder_layerdrop": 0.0,
        "eos_token_id": 2,
        "forced_eos_token_id": 2,
        "gradient_checkpointing": False,
        "id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
        "init_std": 0.02,
        "is_encoder_decoder": True,
        "label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2},
        "max_length": 200,
        "model_type": "mbart",
        "normalize_before": True,
        "normalize_embedding": True,
        "num_beams": 5,
        "num_hidden_layers": 3,
        "output_past": True,
        "pad_token_id": 1,
        "static_position_embeddings": False,
        "tokenizer_class": "MBart50Tokenizer",
        "transformers_version": "4.4.0.dev0",
        "use_cache": True,
    },
    "m2m_100": {
        **SIZES,
        "_name_or_path": "hf_models/nllb-200-distilled-600M",
        "activation_dropout": 0.0,
        "architectures": ["M2M100ForConditionalGeneration"],
        "attention_dropout": 0.1,
        "bos_token_id": 0,
        "decoder_layerdrop": 0,
        "decoder_start_token_id": 2,
        "dropout": 0.1,
        "encoder_layerdrop": 0,
        "eos_token_id": 2,
        "init_std": 0.02,
        "is_encoder_decoder": True,
        "max_length": 200,
        "model_type": "m2m_100",
        "num_hidden_layers": 3,
        "pad_token_id": 1,
        "tokenizer_class": "NllbTokenizer",
        "torch_dtype": "float32",
        "transformers_version": "4.21.0.dev0",
        "use_cache": True,
    },
}


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_entries_of_a_released_folder(kind: str, tmp_path: Path) -> None:
    """The same model is read from them, and they are written again, as far as they are about the model."""
    model, ours = opened(kind, tmp_path)
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(RELEASED[kind]))
    found = hub.load(tmp_path / "theirs")
    assert found.config == replace(ours.config, dropout=0.1)
    assert torch.equal(logits(model, found), logits(model, ours))
    hub.save(tmp_path / "ours", found)
    written = json.loads((tmp_path / "ours" / "config.json").read_text())
    for name in ("decoder_start_token_id", "eos_token_id", "pad_token_id", "attention_dropout", "scale_embedding"):
        assert written[name] == RELEASED[kind][name]


@torch.no_grad()
def test_older_files_hold_tables_of_positions(tmp_path: Path) -> None:
    model, ours = opened("m2m_100", tmp_path)
    file = tmp_path / "theirs" / "model.safetensors"
    tensors = load_file(file)
    for stack in ("encoder", "decoder"):
        tensors[f"model.{stack}.embed_positions.weights"] = getattr(model.model, stack).embed_positions.weights.clone()
    save_file(tensors, file)
    assert torch.equal(logits(model, hub.load(tmp_path / "theirs")), logits(model, ours))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a head for half a width": ({"encoder_attention_heads": 3}, r"encoder_attention_heads: 3 heads for d_model 20"),
    "an activation nobody has": ({"activation_function": "sigmoid"}, r"activation_function: 'sigmoid' is not support"),
    "an entry nobody knows": ({"rope_theta": 3.0}, r"'rope_theta' = 3.0 is not supported by the (mbart|m2m_100) fam"),
    "no encoder": ({"is_encoder_decoder": False}, r"'is_encoder_decoder' = False is not supported by the "),
    "a word for a number": ({"decoder_ffn_dim": "17"}, r"decoder_ffn_dim"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("kind", KINDS)
def test_refused(kind: str, case: str, tmp_path: Path) -> None:
    change, said = REFUSED[case]
    (tmp_path / "config.json").write_text(json.dumps({**RELEASED[kind], **change}))
    with pytest.raises(FolderError, match=said):
        hub.read_config(tmp_path)


def test_positions_that_count_from_no_padding(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**RELEASED["m2m_100"], "pad_token_id": -3}))
    with pytest.raises(FolderError, match=r"positions: first is -2; it must be at least 0"):
        hub.read_config(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_which_models_are_one(kind: str, tmp_path: Path) -> None:
    """A model of the shape is written in the layout, whatever the tokenizer pads with; others are not."""
    family, config = KINDS[kind][0], CONFIGS[kind]
    assert family_for(config) is family
    network = drawn(config)
    hub.save(tmp_path, LanguageModel(network, TOKENIZER))
    back = hub.load(tmp_path)
    assert (back.config, back.metadata.family) == (config, kind)
    state = back.network.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())
    for change in (
        {"arrangement": "post"},
        {"norm": NormConfig(kind="layer", eps=1e-6)},
        {"output_bias": not config.output_bias},
        {"embedding_norm": not config.embedding_norm},
        {"embedding_scale": 2.0},
        {"positions": replace(config.positions, kind="learned", first=5)},
    ):
        (why,) = family.refuses(replace(config, **change))
        assert why.startswith(next(iter(change)))
        assert family_for(replace(config, **change)).MODEL_TYPE == "clearhead"
