"""OPUS-MT and T5 folders, whole: tiny random weights of transformers beside SentencePiece files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, MarianMTModel, T5Config, T5ForConditionalGeneration

import clearhead as ch
import little_pieces
from clearhead import hub
from clearhead.errors import FolderError
from clearhead.generation import translate
from clearhead.runs import evaluate_pairs
from clearhead.text import Tokenizer
from clearhead.training import Stepped
from little_translators import made_up, write_pairs

SENTENCES = ["one two three", ">>deu<< Hello, world!", "It's 2024; 你好 é </s> x"]
FILES = ("source.spm", "target.spm", "vocab.json")
SMALL: dict[str, Any] = {"steps": 3, "threads": 1, "settings": {"train.batch": 8, "train.evaluations": 2}}


@pytest.fixture(scope="module", params=[False, True], ids=["shared ids", "ids apart"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("opus") / "opus-mt-en-de"
    little_pieces.marian_model(found, apart=request.param)
    return found


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    little_pieces.marian_model(tmp_path / "opus")
    return tmp_path / "opus"


def theirs_of(folder: Path) -> Any:
    with pytest.warns(UserWarning, match="sacremoses"):
        return AutoTokenizer.from_pretrained(folder)


def test_it_translates_as_transformers_does(folder: Path):
    """Greedily: the same ids, </s> at the limit (forced_eos_token_id), and the same text."""
    ours, tokenizer = hub.load(folder), theirs_of(folder)
    peer = MarianMTModel.from_pretrained(folder).eval()
    for text, mine in zip(SENTENCES, translate(ours, SENTENCES, beams=1, max_tokens=12), strict=True):
        given = tokenizer(text, return_tensors="pt")
        start = peer.config.decoder_start_token_id
        never = [[start]]  # as released folders say, with bad_words_ids
        made = peer.generate(**given, num_beams=1, do_sample=False, max_new_tokens=12, bad_words_ids=never)[
            0, 1:
        ].tolist()
        assert list(mine.ids) == made
        kept = made[:-1] if made[-1] == 0 else made
        assert mine.text == tokenizer.decode(kept, use_source_tokenizer=False)


def test_both_texts_are_shown_by_their_own_tokenizer(folder: Path):
    """An observed pass: the encoder's tokens are the source's, the decoder's the target's."""
    model = ch.load(folder)
    record = ch.observe(model, "one two", target="eins zwei")
    table = {name: json.loads((folder / name).read_text()) for name in ("vocab.json",)}
    assert record.of("encoder").ids[-1] == 0
    assert record.of("encoder").ids == [*theirs_of(folder)("one two")["input_ids"]]
    assert "".join(record.of("encoder").tokens).replace("·", " ").strip().startswith("one two")
    assert record.ids == [model.target_edges[0], *theirs_of(folder)(text_target="eins zwei")["input_ids"][:-1]]
    assert "".join(record.tokens[1:]).replace("·", " ").strip() == "eins zwei"
    assert model.target_edges == (model.tokenizer.role("pad"), table["vocab.json"]["</s>"])


def test_saved_again(folder: Path, tmp_path: Path):
    model = hub.load(folder)
    hub.export(tmp_path / "again", model)
    names = sorted(path.name for path in folder.iterdir() if path.suffix == ".spm" or "vocab" in path.name)
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    back = hub.load(tmp_path / "again")
    peers = [MarianMTModel.from_pretrained(each).eval() for each in (folder, tmp_path / "again")]
    given = theirs_of(tmp_path / "again")(SENTENCES[0], return_tensors="pt")
    assert given["input_ids"].tolist() == [back.tokenizer.source.encode_document(SENTENCES[0])]
    start = torch.tensor([[model.target_edges[0]]])
    with torch.no_grad():
        one, other = (peer(**given, decoder_input_ids=start).logits for peer in peers)
    assert torch.equal(one, other)
    assert (back.target_edges, back.tokenizer.fingerprint) == (model.target_edges, model.tokenizer.fingerprint)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_tokenizer_is_noticed(name: str, shared: Path, tmp_path: Path):
    """The saved weights carry a checksum of all files together."""
    hub.export(tmp_path / "again", hub.load(shared))
    content = {
        "source.spm": little_pieces.learned("en", 200),
        "target.spm": little_pieces.learned("de", 60),
        "vocab.json": (shared / "vocab.json").read_bytes() + b"\n",
    }
    (tmp_path / "again" / name).write_bytes(content[name])
    with pytest.raises(FolderError, match=r"source.spm and .*model.safetensors were not saved together"):
        hub.load(tmp_path / "again")


@pytest.mark.parametrize("name", ["vocab.json", "target_vocab.json"])
def test_more_ids_than_the_model_has(name: str, tmp_path: Path):
    little_pieces.marian_model(tmp_path, apart=True)
    table = json.loads((tmp_path / name).read_text())
    (tmp_path / name).write_text(json.dumps({**table, "one more": len(table) + 5}))
    with pytest.raises(FolderError, match=rf"the tokenizer has {len(table) + 6} tokens, the model {len(table)};"):
        hub.load(tmp_path)


def test_the_end_has_one_id(tmp_path: Path):
    little_pieces.marian_model(tmp_path, apart=True)
    table = json.loads((tmp_path / "target_vocab.json").read_text())
    table["</s>"], table["<unk>"] = 1, 0
    (tmp_path / "target_vocab.json").write_text(json.dumps(table))
    with pytest.raises(FolderError, match="which ends the texts of both languages, has the id 0 in vocab"):
        hub.load(tmp_path)


def test_eval_reads_each_side_with_its_own(folder: Path, tmp_path: Path):
    """The loss on pairs is that of transformers, given its own ids."""
    model, peer, tokenizer = hub.load(folder), MarianMTModel.from_pretrained(folder).eval(), theirs_of(folder)
    found = evaluate_pairs(model, write_pairs(tmp_path / "p.tsv", 5))
    nats, count = 0.0, 0
    for source, target in made_up(5):
        labels = torch.tensor([tokenizer(text_target=target)["input_ids"]])
        with torch.no_grad():
            loss = peer(**tokenizer(source, return_tensors="pt"), labels=labels).loss
        nats, count = nats + float(loss) * labels.numel(), count + labels.numel()
    assert found.evaluation.loss == pytest.approx(nats / count, rel=1e-5)
    assert found.evaluation.tokens == count


def test_it_is_trained_further(folder: Path, tmp_path: Path):
    """With its own tokenizers, and the run's folder is such a folder again; resumed, it ends in the same bits."""
    pairs = write_pairs(tmp_path / "p.tsv", 60)
    run = ch.train(pairs=pairs, origin=folder, out=tmp_path / "run", **SMALL)
    for path in (path for path in folder.iterdir() if path.suffix == ".spm" or "vocab" in path.name):
        assert (tmp_path / "run" / path.name).read_bytes() == path.read_bytes()
    assert run.model.tokenizer.fingerprint == Tokenizer.load(folder).fingerprint
    assert run.model.target_edges == hub.load(folder).target_edges
    peer, tokenizer = MarianMTModel.from_pretrained(tmp_path / "run").eval(), theirs_of(tmp_path / "run")
    given = tokenizer("one two three", return_tensors="pt")
    labels = torch.tensor([tokenizer(text_target="eins")["input_ids"]])
    start, _ = run.model.target_edges
    ids = [start, *run.model.tokenizer.encode("eins")]
    with torch.no_grad():
        theirs = peer(**given, labels=labels).logits
        ours = run.model.network(torch.tensor([ids]), source_BS=given["input_ids"])
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)

    seen = 0

    def stop(report: object) -> None:
        nonlocal seen
        seen += isinstance(report, Stepped)
        if seen == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ch.train(pairs=pairs, origin=folder, out=tmp_path / "parts", report=stop, **SMALL)
    parts = ch.resume(tmp_path / "parts")
    state = parts.model.network.state_dict()
    assert all(torch.equal(state[name], each) for name, each in run.model.network.state_dict().items())


T5 = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("t5")
    content = little_pieces.learned("en", **T5)
    (folder / "spiece.model").write_bytes(content)
    size = len(little_pieces.pieces(content)) + 3 + 100
    T5ForConditionalGeneration(
        T5Config(
            vocab_size=size + 28,  # padded, as T5's
            d_model=16,
            d_kv=8,
            d_ff=24,
            num_layers=1,
            num_heads=2,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
    ).save_pretrained(folder)
    return folder


def test_t5_writes_as_in_transformers(t5: Path, tmp_path: Path):
    ours, peer = hub.load(t5), T5ForConditionalGeneration.from_pretrained(t5).eval()
    hub.export(tmp_path / "again", ours)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "again")
    assert ours.target_edges == (0, 1)
    for text in ("one <extra_id_0> three", "It's 2024"):
        given = tokenizer(text, return_tensors="pt")
        assert given["input_ids"].tolist() == [[*ours.tokenizer.encode(text), 1]]
        never = [[0], *([n] for n in ours.tokenless.tolist())]
        made = peer.generate(**given, num_beams=1, do_sample=False, max_new_tokens=9, bad_words_ids=never)[0, 1:]
        mine = translate(ours, text, beams=1, max_tokens=9)
        assert list(mine.ids) == made.tolist()
        kept = [each for each in mine.ids if each != 1]
        assert mine.text == tokenizer.decode(kept).strip()
    assert hub.load(tmp_path / "again").tokenizer.fingerprint == ours.tokenizer.fingerprint


def test_t5_is_trained_further(t5: Path, tmp_path: Path):
    run = ch.train(pairs=write_pairs(tmp_path / "p.tsv", 60), origin=t5, out=tmp_path / "run", **SMALL)
    assert run.model.target_edges == (0, 1)
    peer = T5ForConditionalGeneration.from_pretrained(tmp_path / "run").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    given, ids = tokenizer("one two", return_tensors="pt"), [0, *run.model.tokenizer.encode("eins")]
    with torch.no_grad():
        theirs = peer(**given, decoder_input_ids=torch.tensor([ids])).logits
        ours = run.model.network(torch.tensor([ids]), source_BS=given["input_ids"])
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
