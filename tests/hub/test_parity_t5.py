"""T5 and mT5 of transformers, tiny and random, against what opens here, and back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from little_models import TOKENIZER
from parity import VOCABULARY, lively, stored
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    MT5ForConditionalGeneration,
    PreTrainedModel,
    T5ForConditionalGeneration,
)

from clearhead import hub
from clearhead.attend import padding
from clearhead.errors import FolderError
from clearhead.generation.beams import BeamSearch
from clearhead.hub.families import family_for, mt5, native, parse_config, t5
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.tap import Site
from clearhead.watching import Freeze, Knockout, read_record, watch

SIZES = {
    "vocab_size": VOCABULARY,
    "d_model": 20,
    "d_kv": 7,
    "d_ff": 17,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 3,
    "decoder_start_token_id": 0,
}
ONE_ONE = {**SIZES, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
MODELS: dict[str, tuple[type[PreTrainedModel], dict[str, Any]]] = {
    "T5": (T5ForConditionalGeneration, SIZES),
    "T5 1.1": (T5ForConditionalGeneration, ONE_ONE),
    "T5 1.1, tied": (T5ForConditionalGeneration, ONE_ONE),
    "few buckets, SiLU": (
        T5ForConditionalGeneration,
        {
            **SIZES,
            "relative_attention_num_buckets": 6,
            "relative_attention_max_distance": 5,
            "feed_forward_proj": "gated-silu",
            "layer_norm_epsilon": 0.1,
        },
    ),
    "mT5": (MT5ForConditionalGeneration, SIZES),
}
LENGTHS = torch.tensor([19, 11])


def made(name: str) -> PreTrainedModel:
    kind, settings = MODELS[name]
    model = lively(kind(kind.config_class(**settings)))
    with torch.no_grad():
        for module in model.modules():
            if hasattr(module, "relative_attention_bias"):
                module.relative_attention_bias.weight.normal_(generator=torch.Generator().manual_seed(3))
        if "tied" not in name and kind.config_class(**settings).feed_forward_proj == "gated-gelu":
            model.lm_head.weight = torch.nn.Parameter(torch.randn(VOCABULARY, 20) / 5)
    return model


def ids(seed: int, places: int) -> Tensor:
    """ids_BT without the ids of padding and end, 0 and 1."""
    return torch.randint(2, VOCABULARY, (2, places), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=MODELS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[PreTrainedModel, Any]:
    model = made(request.param)
    return model, stored(model, tmp_path_factory.mktemp("theirs"))


@torch.no_grad()
def test_logits_and_every_attention_of_a_padded_batch(both: tuple[PreTrainedModel, LanguageModel]) -> None:
    model, ours = both
    source_BS, target_BT = ids(1, 19), ids(2, 13)
    text_BS = torch.arange(19) < LENGTHS[:, None]
    out = model(input_ids=source_BS, attention_mask=text_BS.long(), decoder_input_ids=target_BT, output_attentions=True)
    with watch(ours) as record:
        logits_BTV = ours(target_BT, source_BS=source_BS, source_mask=padding(LENGTHS))
    torch.testing.assert_close(logits_BTV, out.logits, rtol=1e-5, atol=1e-5)
    kinds = {
        ("encoder", "self"): out.encoder_attentions,
        ("decoder", "self"): out.decoder_attentions,
        ("decoder", "cross"): out.cross_attentions,
    }
    assert sum(1 for _ in record) == 3 * (2 + 2 * 3)
    for site, head in record:
        for text, length in enumerate(LENGTHS.tolist()):
            weights_QK = kinds[site.stack, site.kind][site.layer][text, head]
            rows, keys = (length if stack == "encoder" else 13 for stack in (site.stack, site.reads))
            map_QK = record.map(site, head, text)[:, :]
            torch.testing.assert_close(map_QK, weights_QK[:rows, :keys], rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_padded_batch_is_its_texts_one_by_one(both: tuple[PreTrainedModel, LanguageModel]) -> None:
    ours, source_BS, target_BT = both[1], ids(1, 19), ids(2, 13)
    together_BTV = ours(target_BT, source_BS=source_BS, source_mask=padding(LENGTHS))
    for row, length in enumerate(LENGTHS.tolist()):
        alone_1TV = ours(target_BT[row : row + 1], source_BS=source_BS[row : row + 1, :length])
        torch.testing.assert_close(alone_1TV[0], together_BTV[row], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_state_gives_what_a_whole_pass_gives_and_records_it(both: tuple[PreTrainedModel, LanguageModel]) -> None:
    ours, source, target_1T = both[1], ids(1, 19)[0].tolist(), ids(2, 13)[:1]
    with watch(ours) as whole:
        logits_1TV = ours(target_1T, source_BS=torch.tensor([source]))
    with watch(ours) as record:
        state = ours.network.translating([source], capacity=13)
        parts = [ours(part_1T, state=state) for part_1T in target_1T.split([5, 1, 1, 6], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), logits_1TV, rtol=1e-5, atol=1e-5)
    for site, head in whole:
        torch.testing.assert_close(record.map(site, head)[:, :], whole.map(site, head)[:, :], rtol=0, atol=1e-6)


@pytest.mark.parametrize("beams", [1, 3])
def test_greedy_and_beam_search(both: tuple[PreTrainedModel, LanguageModel], beams: int) -> None:
    model, ours = both
    source_BS = ids(4, 19)
    sources = [row[:length].tolist() for row, length in zip(source_BS, LENGTHS.tolist(), strict=True)]
    search = BeamSearch(
        ours.network,
        [0],
        ours.network.translating(sources, 12, beams),
        texts=2,
        beams=beams,
        length_penalty=1.0,
        ends=frozenset({1}),
        limits=[12, 12],
        forbid=lambda logprobs_RV, _: None,
    )
    written = [each.ids for found in search.run() for each in found]
    text_BS = torch.arange(19) < LENGTHS[:, None]
    theirs = model.generate(
        source_BS,
        attention_mask=text_BS.long(),
        num_beams=beams,
        num_return_sequences=beams,
        do_sample=False,
        max_new_tokens=12,
        early_stopping=False,
        use_cache=False,  # theirs breaks if the decoder has more layers than the encoder
    )
    for mine, row in zip(written, theirs[:, 1:].tolist(), strict=True):
        assert list(mine) == row[: len(mine)]
        assert set(row[len(mine) :]) <= {0, 1}  # what they fill rows with


@torch.no_grad()
def test_saved_here_and_opened_by_transformers(both: tuple[PreTrainedModel, LanguageModel], tmp_path: Path) -> None:
    model, ours = both
    assert ours.config.parameters() == model.num_parameters()
    hub.save(tmp_path, ours)
    back = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, dtype=torch.float32, attn_implementation="eager").eval()
    assert type(back) is type(model)
    theirs = model.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in back.state_dict().items())
    given = {"input_ids": ids(1, 19), "decoder_input_ids": ids(2, 13)}
    torch.testing.assert_close(back(**given).logits, model(**given).logits, rtol=0, atol=0)
    assert hub.load(tmp_path).config == ours.config


OLDER: dict[str, dict[str, Any]] = {
    "the first files": {
        "architectures": ["T5WithLMHeadModel"],
        "d_ff": 17,
        "d_kv": 7,
        "d_model": 20,
        "decoder_start_token_id": 0,
        "dropout_rate": 0.1,
        "eos_token_id": 1,
        "initializer_factor": 1.0,
        "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-06,
        "model_type": "t5",
        "n_positions": 512,
        "num_heads": 3,
        "num_layers": 2,
        "output_past": True,
        "pad_token_id": 0,
        "relative_attention_num_buckets": 32,
        "task_specific_params": {"summarization": {"num_beams": 4}},
        "vocab_size": VOCABULARY,
    },
    "Flan-T5": {
        **ONE_ONE,
        "model_type": "t5",
        "dense_act_fn": "gelu_new",
        "is_gated_act": True,
        "n_positions": 512,
        "num_decoder_layers": 2,
        "relative_attention_max_distance": 128,
        "transformers_version": "4.23.1",
    },
    "mT5": {
        **{name: value for name, value in ONE_ONE.items() if name != "decoder_start_token_id"},
        "model_type": "mt5",
        "tokenizer_class": "T5Tokenizer",
        "transformers_version": "4.10.0.dev0",
    },
}


@pytest.mark.parametrize("name", OLDER)
@torch.no_grad()
def test_older_entries_mean_what_transformers_reads_in_them(name: str, tmp_path: Path) -> None:
    settings = OLDER[name]
    (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    model = lively(AutoModelForSeq2SeqLM.from_config(AutoConfig.from_pretrained(tmp_path), dtype=torch.float32))
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if settings.get("tie_word_embeddings") is False:
        tensors["lm_head.weight"] = torch.randn(VOCABULARY, 20, generator=torch.Generator().manual_seed(5))
    else:
        unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        tensors[unused] = torch.ones(32, 3)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    TOKENIZER.save(tmp_path)
    model, ours = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval(), hub.load(tmp_path)
    assert (ours.config.context, ours.config.tied) == (512, settings.get("tie_word_embeddings", True))
    logits_BTV = model(input_ids=ids(1, 19), decoder_input_ids=ids(2, 13)).logits
    torch.testing.assert_close(ours(ids(2, 13), source_BS=ids(1, 19)), logits_BTV, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_an_output_layer_of_its_own_beside_scaled_inputs_is_read_when_the_config_says_so(tmp_path: Path) -> None:
    model = made("T5")
    model.lm_head.weight = torch.nn.Parameter(torch.randn(VOCABULARY, 20) / 5)
    with pytest.raises(FolderError, match=r'lm_head.weight differs from shared.weight.*"tie_word_embeddings": false'):
        stored(model, tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**settings, "tie_word_embeddings": False}), encoding="utf-8")
    ours = hub.load(tmp_path)
    logits_BTV = model(input_ids=ids(1, 19), decoder_input_ids=ids(2, 13)).logits
    torch.testing.assert_close(ours(ids(2, 13), source_BS=ids(1, 19)), logits_BTV, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"feed_forward_proj": "gated-gelu_new"}, r"feed_forward_proj: 'gated-gelu_new' is not supported"),
        ({"dense_act_fn": "gelu"}, r"'dense_act_fn' = 'gelu' is not supported by the t5 family; only 'relu' is supp"),
        ({"is_gated_act": True}, r"'is_gated_act' = True is not supported by the t5 family; only False is supported"),
        ({"is_encoder_decoder": False}, r"'is_encoder_decoder' = False is not supported"),
        ({"num_heads": 0}, r"num_heads: 0; it must be at least 1"),
        ({"relative_attention_max_distance": 16}, r"positions: buckets is 32 and distance 16"),
        ({"d_kv": None}, r"d_kv: "),
        ({"encoder_layerdrop": 0.1}, r"'encoder_layerdrop' = 0.1 is not supported by the t5 family$"),
    ],
)
def test_settings_that_would_change_the_result_are_refused(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(FolderError, match=message):
        parse_config({**OLDER["the first files"], **entries}, "here")


def test_a_t5_is_written_as_such_and_another_is_not() -> None:
    _, config = parse_config(OLDER["the first files"], "here")
    _, plain = parse_config(OLDER["mT5"], "here")
    assert (t5.refuses(config), t5.refuses(plain), mt5.refuses(plain)) == ([], [], [])
    assert mt5.refuses(config) == [f"output_scale is {20**-0.5}; in mt5 it is None"]
    assert t5.refuses(replace(config, encoder_inner=5, output_scale=2.0)) == [
        "encoder_inner is 5; in t5 it is None",
        f"output_scale is 2.0; in t5 it is {20**-0.5}",
    ]
    assert family_for(replace(config, output_bias=True)) is native


def test_another_with_biases_by_distance_is_kept_in_our_layout(tmp_path: Path) -> None:
    config = replace(parse_config(OLDER["mT5"], "here")[1], output_bias=True, vocabulary=TOKENIZER.vocab_size)
    model = LanguageModel(build(config, seed=0).eval(), TOKENIZER)
    hub.save(tmp_path, model)
    back = hub.load(tmp_path)
    assert (back.config, back.target_edges) == (config, model.target_edges)
    assert torch.equal(back(ids(2, 13), source_BS=ids(1, 19)), model(ids(2, 13), source_BS=ids(1, 19)))


def test_losses_reach_the_biases_of_both_stacks() -> None:
    model = build(parse_config(OLDER["the first files"], "here")[1], seed=0).eval()  # without dropout
    source_BS, ids_BT = ids(1, 19), ids(2, 13)
    with torch.inference_mode():
        model(ids_BT, source_BS=source_BS)  # what it keeps must serve training too
    loss = model(ids_BT[:, :-1], targets_BT=ids_BT[:, 1:], source_BS=source_BS)
    logits_BTV = model(ids_BT[:, :-1], source_BS=source_BS)
    wanted = torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), ids_BT[:, 1:].flatten(), reduction="sum")
    torch.testing.assert_close(loss, wanted)
    loss.backward()
    for stack in (model, model.encoder):
        assert stack.relative.weight.grad.abs().sum(1).gt(0).all()


def test_a_saved_record_has_the_biases(both: tuple[PreTrainedModel, LanguageModel], tmp_path: Path) -> None:
    ours = both[1]
    with torch.no_grad(), watch(ours) as record:
        ours(ids(2, 13)[:1], source_BS=ids(1, 19)[:1])
    record.save(tmp_path / "r.safetensors")
    found = read_record(tmp_path / "r.safetensors")
    for site, head in record:
        torch.testing.assert_close(found.map(site, head)[:, :], record.map(site, head)[:, :], rtol=0, atol=0)


@torch.no_grad()
def test_edits_keep_the_biases() -> None:
    model = build(parse_config(OLDER["the first files"], "here")[1], seed=0).eval()
    for stack in (model, model.encoder):
        stack.relative.weight.normal_(generator=torch.Generator().manual_seed(1))
    given = {"source_BS": ids(1, 19)[:1]}
    with watch(model) as record:
        logits_1TV = model(ids(2, 13)[:1], **given)
    own = record[0]
    frozen = [Freeze(layer=1, what="pattern", head=2, source=own, stack=stack) for stack in ("encoder", "decoder")]
    with watch(model, edits=frozen) as again:
        torch.testing.assert_close(model(ids(2, 13)[:1], **given), logits_1TV, rtol=1e-5, atol=1e-5)
    with watch(model, edits=Knockout(layer=0, head=1, query=9, key=4, stack="encoder")) as hidden:
        model(ids(2, 13)[:1], **given)
    site = Site(0, "self", "encoder")
    wanted_K = own.map(site, 1)[9].index_fill(0, torch.tensor([4]), 0.0)
    torch.testing.assert_close(hidden.map(site, 1)[9], wanted_K / wanted_K.sum(), rtol=0, atol=1e-6)
    frozen_site = Site(1, "self", "encoder")
    torch.testing.assert_close(again.map(frozen_site, 2)[:, :], own.map(frozen_site, 2)[:, :], rtol=0, atol=1e-6)
