"""BERT, RoBERTa, DistilBERT and ModernBERT of transformers, tiny and random, against what opens here, and back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from little_models import TOKENIZER
from parity import PLACES, lively, stored
from parity import ids as all_ids
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertForMaskedLM,
    BertForPreTraining,
    BertModel,
    DistilBertForMaskedLM,
    DistilBertModel,
    ModernBertForMaskedLM,
    ModernBertModel,
    PreTrainedModel,
    RobertaForMaskedLM,
    RobertaModel,
)

from clearhead import hub
from clearhead.attend import documents, left_padding, padding
from clearhead.errors import FolderError
from clearhead.hub.families import bert, distilbert, family_for, modernbert, roberta
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.watching import watch

BERT = {
    "vocab_size": 31,
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 17,
    "max_position_embeddings": 23,
    "type_vocab_size": 3,
    "pad_token_id": 0,
}
ROBERTA = {**BERT, "pad_token_id": 1, "max_position_embeddings": 25, "type_vocab_size": 1}
DISTILBERT = {
    "vocab_size": 31,
    "dim": 20,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 17,
    "max_position_embeddings": 23,
    "pad_token_id": 0,
}
MODERNBERT = {
    "vocab_size": 31,
    "hidden_size": 24,
    "num_hidden_layers": 5,
    "num_attention_heads": 3,
    "intermediate_size": 17,
    "max_position_embeddings": 23,
    "local_attention": 6,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
}


def made(kind: type[PreTrainedModel], settings: dict[str, Any], **options: Any) -> PreTrainedModel:
    return kind(kind.config_class(**{**settings, **options}))


MASKED: dict[str, tuple[type[PreTrainedModel], dict[str, Any]]] = {
    "BERT": (BertForMaskedLM, BERT),
    "BERT untied": (BertForMaskedLM, {**BERT, "tie_word_embeddings": False}),
    "BERT with ReLU": (BertForMaskedLM, {**BERT, "hidden_act": "relu"}),
    "BERT with tanh's GELU, another eps": (BertForMaskedLM, {**BERT, "hidden_act": "gelu_new", "layer_norm_eps": 0.1}),
    "BERT with both heads": (BertForPreTraining, BERT),
    "RoBERTa": (RobertaForMaskedLM, ROBERTA),
    "RoBERTa untied": (RobertaForMaskedLM, {**ROBERTA, "tie_word_embeddings": False}),
    "RoBERTa with SiLU, padding elsewhere": (
        RobertaForMaskedLM,
        {**ROBERTA, "hidden_act": "silu", "pad_token_id": 3, "max_position_embeddings": 27},
    ),
    "DistilBERT": (DistilBertForMaskedLM, DISTILBERT),
    "DistilBERT untied": (DistilBertForMaskedLM, {**DISTILBERT, "tie_word_embeddings": False}),
    "DistilBERT with ReLU": (DistilBertForMaskedLM, {**DISTILBERT, "activation": "relu"}),
    "ModernBERT": (ModernBertForMaskedLM, MODERNBERT),
    "ModernBERT untied": (ModernBertForMaskedLM, {**MODERNBERT, "tie_word_embeddings": False}),
    "ModernBERT with all biases": (
        ModernBertForMaskedLM,
        {**MODERNBERT, "norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True},
    ),
    "ModernBERT without the output's bias": (ModernBertForMaskedLM, {**MODERNBERT, "decoder_bias": False}),
    "ModernBERT of whole layers": (
        ModernBertForMaskedLM,
        {**MODERNBERT, "layer_types": ["full_attention"] * 5, "hidden_activation": "silu"},
    ),
    "ModernBERT of bands": (
        ModernBertForMaskedLM,
        {**MODERNBERT, "layer_types": ["sliding_attention"] * 5, "classifier_activation": "relu"},
    ),
    "ModernBERT with a band of all, other thetas": (
        ModernBertForMaskedLM,
        {
            **MODERNBERT,
            "local_attention": 60,
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 5e5},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e3},
            },
        },
    ),
}
BARE: dict[str, tuple[type[PreTrainedModel], dict[str, Any]]] = {
    "BERT": (BertModel, BERT),
    "RoBERTa": (RobertaModel, ROBERTA),
    "DistilBERT": (DistilBertModel, DISTILBERT),
    "ModernBERT": (ModernBertModel, MODERNBERT),
}
FAMILIES = {"BERT": bert, "RoBERTa": roberta, "DistilBERT": distilbert, "ModernBERT": modernbert}


def ids(batch: int = 2) -> Tensor:
    """ids_BT without padding's: RoBERTa counts places by them."""
    return all_ids(batch).clamp(min=4)


def logits(model: PreTrainedModel, **inputs: Any) -> Tensor:
    out = model(**inputs)
    return out.prediction_logits if isinstance(model, BertForPreTraining) else out.logits


def opened(case: tuple[type[PreTrainedModel], dict[str, Any]], folder: Path) -> tuple[PreTrainedModel, Any]:
    torch.manual_seed(0)
    model = lively(made(*case))
    return model, stored(model, folder / "theirs")


@pytest.mark.parametrize("case", MASKED)
@torch.no_grad()
def test_masked_tokens(case: str, tmp_path: Path) -> None:
    """Logits, hidden states, attention, padding on both sides, and the way back, all equal."""
    model, ours = opened(MASKED[case], tmp_path)
    check_pass(model, ours)
    for side in ("left", "right"):
        check_padding(model, ours, side, counted=True)
        check_padding(model, ours, side, counted=False)
    check_saved(model, ours, tmp_path / "ours")
    rows = family_for(ours.config).table(ours.config)
    assert sorted(row.ours for row in rows if row.ours) == sorted(ours.network.state_dict())
    theirs = [name for row in rows for name in row.theirs]
    assert len(theirs) == len(set(theirs))
    assert ours.metadata.family == family_for(ours.config).MODEL_TYPE


def check_pass(model: PreTrainedModel, ours: LanguageModel) -> None:
    """Logits and hidden states within 1e-5, attention rows within 1e-6."""
    out = model(ids(), output_attentions=True, output_hidden_states=True)
    stream: list[Tensor] = []
    handles = [
        block.register_forward_pre_hook(lambda _, inputs: stream.append(inputs[0])) for block in ours.network.blocks
    ]
    with watch(ours) as record:
        last_BTE = ours.network.hidden(ids())
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(ours(ids()), logits(model, input_ids=ids()), rtol=1e-5, atol=1e-5)
    for mine, other in zip([*stream, last_BTE], out.hidden_states, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)
    for site, head in record:
        for text in range(2):
            weights_QK = out.attentions[site.layer][text, head]
            torch.testing.assert_close(record.map(site, head, text)[:, :], weights_QK, rtol=0, atol=1e-6)


def check_padding(model: PreTrainedModel, ours: LanguageModel, side: str, *, counted: bool) -> None:
    """Places counted from where a text begins, or (transformers' own way, but RoBERTa's) from where the row begins."""
    length, ids_BT = torch.tensor([PLACES, PLACES - 9]), ids()
    cells_BT = torch.arange(PLACES).expand(2, -1)
    starts_B = PLACES - length if side == "left" else torch.zeros_like(length)
    text_BT = (cells_BT >= starts_B[:, None]) & (cells_BT < (starts_B + length)[:, None])
    places_BT = (cells_BT - starts_B[:, None]).clamp(min=0) if counted else cells_BT
    first = ours.config.positions.first
    expected = logits(model, input_ids=ids_BT, attention_mask=text_BT.long(), position_ids=places_BT + first)
    mask = left_padding(starts_B) if side == "left" else padding(length)
    logits_BTV = ours(ids_BT, mask=mask, places_BT=places_BT)
    torch.testing.assert_close(logits_BTV[text_BT], expected[text_BT], rtol=1e-5, atol=1e-5)


def check_saved(model: PreTrainedModel, ours: LanguageModel, folder: Path) -> None:
    """Saved here, opened by transformers and again here."""
    hub.save(folder, ours)
    back = AutoModelForMaskedLM.from_pretrained(folder, attn_implementation="eager")
    assert torch.equal(back(ids()).logits, logits(model, input_ids=ids()))
    again = hub.load(folder)
    assert again.config == ours.config
    assert torch.equal(again(ids()), ours(ids()))


@pytest.mark.parametrize("case", BARE)
@torch.no_grad()
def test_weights_without_a_head(case: str, tmp_path: Path) -> None:
    """Hidden states, and the pooled vector where there is one; saved here they open as the same class."""
    model, ours = opened(BARE[case], tmp_path)
    out = model(ids())
    hidden_BTE = ours.network.hidden(ids())
    torch.testing.assert_close(hidden_BTE, out.last_hidden_state, rtol=1e-5, atol=1e-5)
    encoder = ours.network
    assert ours.config.parameters() == model.num_parameters()
    assert (encoder.pooler is not None) == hasattr(out, "pooler_output")
    if encoder.pooler is not None:
        torch.testing.assert_close(encoder.pool(hidden_BTE), out.pooler_output, rtol=1e-5, atol=1e-5)
    hub.save(tmp_path / "ours", ours)
    back = AutoModel.from_pretrained(tmp_path / "ours", attn_implementation="eager")
    assert type(back) is type(model)
    assert torch.equal(back(ids()).last_hidden_state, out.last_hidden_state)
    assert set(load_file(tmp_path / "ours" / "model.safetensors")) == set(model.state_dict())


@pytest.mark.parametrize("case", ["BERT", "RoBERTa"])
@torch.no_grad()
def test_token_types(case: str, tmp_path: Path) -> None:
    kind, settings = MASKED[case]
    model, ours = opened((kind, {**settings, "type_vocab_size": 2}), tmp_path)
    types_BT = torch.zeros(2, PLACES, dtype=torch.long)
    types_BT[0, 9:], types_BT[1, 13:20] = 1, 1
    expected = model(ids(), token_type_ids=types_BT).logits
    torch.testing.assert_close(ours(ids(), types_BT=types_BT), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_bert_in_float64(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = lively(made(*MASKED["BERT"])).double()
    ours = stored(model, tmp_path)
    assert ours.network.embedding.weight.dtype == torch.float64
    torch.testing.assert_close(ours(ids()), model(ids()).logits, rtol=0, atol=1e-12)


@torch.no_grad()
def test_texts_packed_into_one_row_are_as_if_alone(tmp_path: Path) -> None:
    """ModernBERT's unpadding: no padding between texts of several lengths, and no text sees another."""
    model, ours = opened(MASKED["ModernBERT"], tmp_path)
    ids_BT = ids(1)
    packed = torch.tensor([[0] * 7 + [1] * 11 + [2] * 5])
    places_BT = torch.tensor([[*range(7), *range(11), *range(5)]])
    logits_BTV = ours(ids_BT, mask=documents(packed), places_BT=places_BT)
    for text in range(3):
        alone_BT = ids_BT[packed == text][None]
        torch.testing.assert_close(logits_BTV[packed == text][None], model(alone_BT).logits, rtol=1e-5, atol=1e-5)


class TestOtherFiles:
    """Names and tensors that transformers no longer writes, but older files have."""

    def file(self, folder: Path) -> Path:
        return folder / "theirs" / "model.safetensors"

    @torch.no_grad()
    def test_bert_as_it_was_released(self, tmp_path: Path) -> None:
        """bert-base-uncased: gamma and beta, pooler and next-sentence head beside a BertForMaskedLM's config, buffers
        of places, and the output layer once more."""
        model, _ = opened(MASKED["BERT with both heads"], tmp_path)
        tensors = load_file(self.file(tmp_path))
        assert "cls.seq_relationship.weight" in tensors
        for old, new in {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}.items():
            tensors = {name.replace(old, new): tensor for name, tensor in tensors.items()}
        tensors["bert.embeddings.position_ids"] = torch.arange(23)[None]
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
        save_file(tensors, self.file(tmp_path))
        change(tmp_path / "theirs", architectures=["BertForMaskedLM"], position_embedding_type="absolute")
        ours = hub.load(tmp_path / "theirs")
        torch.testing.assert_close(ours(ids()), logits(model, input_ids=ids()), rtol=1e-5, atol=1e-5)
        pooled_BE = model.bert(ids()).pooler_output
        torch.testing.assert_close(ours.network.pool(ours.network.hidden(ids())), pooled_BE, rtol=1e-5, atol=1e-5)

    @torch.no_grad()
    def test_a_bare_model_may_have_the_prefix(self, tmp_path: Path) -> None:
        model, _ = opened(BARE["BERT"], tmp_path)
        save_file({f"bert.{name}": each for name, each in load_file(self.file(tmp_path)).items()}, self.file(tmp_path))
        ours = hub.load(tmp_path / "theirs")
        torch.testing.assert_close(ours.network.hidden(ids()), model(ids()).last_hidden_state, rtol=1e-5, atol=1e-5)

    def test_an_output_layer_that_is_another_is_refused(self, tmp_path: Path) -> None:
        opened(MASKED["BERT"], tmp_path)
        tensors = load_file(self.file(tmp_path))
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"] + 1
        save_file(tensors, self.file(tmp_path))
        with pytest.raises(
            FolderError, match=r"cls.predictions.decoder.weight differs from bert.embeddings.word_embeddings"
        ):
            hub.load(tmp_path / "theirs")

    @pytest.mark.parametrize("case", [*BARE.values(), *(MASKED[name] for name in BARE)])
    def test_a_head_of_another_kind_is_left_over(
        self, case: tuple[type[PreTrainedModel], dict[str, Any]], tmp_path: Path
    ) -> None:
        """Named as the file names it."""
        opened(case, tmp_path)
        tensors = {**load_file(self.file(tmp_path)), "classifier.weight": torch.zeros(2, 20)}
        save_file(tensors, self.file(tmp_path))
        with pytest.raises(FolderError, match=r"config; left over: classifier.weight$"):
            hub.load(tmp_path / "theirs")

    @torch.no_grad()
    def test_modernbert_of_transformers_4(self, tmp_path: Path) -> None:
        """Thetas and the rhythm of layers as plain entries, and entries of training and of other heads."""
        model, ours = opened(MASKED["ModernBERT"], tmp_path)
        change(
            tmp_path / "theirs",
            rope_parameters=None,
            layer_types=None,
            global_attn_every_n_layers=3,
            global_rope_theta=160000.0,
            local_rope_theta=10000.0,
            layer_norm_eps=1e-5,
            position_embedding_type="absolute",
            reference_compile=False,
            repad_logits_with_grad=False,
        )
        again = hub.load(tmp_path / "theirs")
        torch.testing.assert_close(again(ids()), model(ids()).logits, rtol=1e-5, atol=1e-5)
        assert again.config == ours.config


def change(folder: Path, **settings: Any) -> None:
    """config.json with other entries; None takes one out."""
    path = folder / "config.json"
    values = {**json.loads(path.read_text(encoding="utf-8")), **settings}
    kept = {name: value for name, value in values.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


@pytest.mark.parametrize(
    ("case", "settings", "said"),
    [
        ("BERT", {"is_decoder": True}, r"'is_decoder' = True is not supported by the bert family; only False"),
        ("BERT", {"position_embedding_type": "relative_key"}, r"position_embedding_type: 'relative_key' is not"),
        ("BERT", {"hidden_act": "swish2"}, r"hidden_act: 'swish2' is not supported"),
        (
            "BERT",
            {"num_attention_heads": 3},
            r"num_attention_heads: 3 heads for hidden_size 20; the heads must divide the width",
        ),
        ("BERT", {"type_vocab_size": 2}, r"token_type_embeddings.weight is \(3, 20\) and should be \(2, 20\)"),
        ("RoBERTa", {"pad_token_id": 24}, r"pad_token_id: 24; positions count from it"),
        ("ModernBERT", {"layer_types": ["full_attention"]}, r"layer_types: \('full_attention',\) for 5 layers"),
        ("ModernBERT", {"local_attention": 7}, r"'local_attention' = 7 is not supported .*; only 6"),
        (
            "ModernBERT",
            {"rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 4.0}}},
            r"for full_attention; only rope_type 'default' is supported",
        ),
    ],
)
def test_refused(case: str, settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    opened(MASKED[case], tmp_path)
    change(tmp_path / "theirs", **settings)
    with pytest.raises(FolderError, match=said):
        hub.load(tmp_path / "theirs")


@pytest.mark.parametrize("case", FAMILIES)
def test_a_family_writes_its_own_alone(case: str, tmp_path: Path) -> None:
    _, ours = opened(MASKED[case], tmp_path)
    assert [name for name, family in FAMILIES.items() if not family.refuses(ours.config)] == [case]
    other = replace(ours.config, attention=replace(ours.config.attention, softcap=3.0))
    assert all(family.refuses(other) for family in FAMILIES.values())
    hub.save(tmp_path / "native", LanguageModel(build(other, seed=0), TOKENIZER))
    assert hub.load(tmp_path / "native").config == other
