"""Runs of masked tokens: the folder opens in transformers, and what a run has works for them too."""

import json
import signal
from pathlib import Path

import pytest
import torch
from little_runs import quiet
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertForPreTraining, BertModel

import clearhead as ch
from clearhead import hub, runs
from clearhead.encoding import refill
from clearhead.errors import ClearheadError, OptionError
from clearhead.recipes import read_file, resolved
from clearhead.runs import Interrupted
from clearhead.runs.proof import difference
from clearhead.text import Tokenizer
from clearhead.training import Evaluated, MaskConfig, Report, Stepped

TEXT = "The quick brown fox jumps over the lazy dog, and the dog sleeps on. " * 60
SETTINGS = {
    "model.layers": 2,
    "model.width": 16,
    "model.context": 16,
    "model.attention": {"heads": 2, "kv_heads": 2, "head_width": 8},
    "model.feed_forward.width": 32,
    "train.batch": 4,
    "train.evaluations": 2,
}
SMALL = {"steps": 20, "threads": 1, "settings": SETTINGS, "masked": True}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ch.Run:
    folder = tmp_path_factory.mktemp("masked")
    (folder / "a.txt").write_text(TEXT)
    return ch.train(folder / "a.txt", out=folder / "run", tokenizer="bpe", vocabulary=280, **SMALL)


def test_it_opens_in_transformers_with_equal_ids_and_logits(whole: ch.Run):
    peer = AutoModelForMaskedLM.from_pretrained(whole.folder)
    assert type(peer).__name__ == "ModernBertForMaskedLM"
    assert peer.config.pad_token_id == whole.model.tokenizer.separator
    speaks = AutoTokenizer.from_pretrained(whole.folder)
    assert speaks.mask_token == "[MASK]"
    text = "The quick [MASK] fox jumps."
    ids = whole.model.encode(text)
    assert speaks("<|endoftext|>" + text)["input_ids"] == ids
    with torch.no_grad():
        torch.testing.assert_close(whole.model(torch.tensor([ids])), peer(torch.tensor([ids])).logits)


def test_the_recipe_says_how_it_masked(whole: ch.Run):
    recipe = resolved(read_file(whole.folder / "recipe.toml"))
    assert recipe.train.masks == MaskConfig()
    assert recipe.model.abilities >= {"masked tokens"}
    assert not (whole.folder / "generation_config.json").exists()


def test_reports_have_the_unit_and_a_text_filled_in(whole: ch.Run):
    evaluated = [report for report in whole.reports if isinstance(report, Evaluated)]
    assert {report.unit for report in evaluated} == {"masked token"}
    assert all("[" in report.sample for report in evaluated)
    assert evaluated[-1].valid_loss < evaluated[0].valid_loss
    assert whole.evaluation.unit == "masked token"
    assert 0.25 < whole.evaluation.tokens / (0.1 * len(whole.model.tokenizer.encode(TEXT))) < 0.35
    assert "nats a masked token" in repr(whole)
    assert (whole.folder / "loss.svg").exists()


def test_a_text_is_shown_with_its_masks_filled(whole: ch.Run):
    model, text = whole.model, "The quick fox."
    ids = model.encode(text)
    shown = refill(model, ids)
    tokenizer, mask = model.tokenizer, model.tokenizer.role("mask")
    expected, masked = "", [mask if place % 6 == 4 else token for place, token in enumerate(ids)]
    with torch.no_grad():
        guesses = model(torch.tensor([masked]))[0].argmax(-1).tolist()
    for place, token in enumerate(ids):
        right, guess = tokenizer.decode([token]), tokenizer.decode([guesses[place]])
        if place % 6 != 4:
            expected += right
            continue
        word, true = guess.lstrip(" ") or "·", right.lstrip(" ") or "·"
        inside = word if guess == right else f"{word}/{true}"
        expected += ("" if word == "·" else guess[: len(guess) - len(word)]) + f"[{inside}]"
    assert shown == expected


@pytest.mark.parametrize(("final", "share"), [({}, "all"), ({"train.final_tokens": 40}, "the first 40 of")])
def test_the_last_line_counts_masked_tokens_of_those_to_validate_on(tmp_path: Path, final: dict[str, int], share: str):
    (tmp_path / "a.txt").write_text(TEXT)
    said: list[str] = []
    small = {**SMALL, "steps": 1, "settings": {**SETTINGS, **final}}
    run = ch.train(tmp_path / "a.txt", out=tmp_path / "run", tokenizer="bytes", **small, say=said.append)
    lines = "\n".join(said)
    assert f"; on {run.evaluation.tokens} masked of {share} 408 validation tokens: " in lines
    assert ", 408 to validate on;" in lines
    assert run.evaluation.tokens == pytest.approx(0.3 * final.get("train.final_tokens", 408), rel=0.1)


def test_a_pair_is_refused_and_not_advised(whole: ch.Run):
    """Its tokenizer would glue the two texts together, and it saw none in training."""
    with pytest.raises(OptionError, match=r"no special tokens to put between two texts, .* look at one text$"):
        ch.observe(whole.model, "The quick fox.", pair="The lazy dog.")
    with pytest.raises(OptionError, match=r"^generate needs .*fill masks.*take vectors") as refused:
        ch.generate(whole.model, "The quick fox.")
    assert "pair" not in str(refused.value)


def test_a_stopped_run_ends_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text(TEXT)
    small = {**SMALL, "steps": 8, "tokenizer": "characters"}
    ch.train("a.txt", out="whole", **small)

    def stop(report: Report) -> None:
        if isinstance(report, Stepped) and report.step == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        ch.train("a.txt", out="parts", **small, report=stop)
    ch.resume("parts")
    assert difference(Path("whole"), Path("parts")) is None


def test_it_trains_further(whole: ch.Run, tmp_path: Path):
    (tmp_path / "b.txt").write_text(TEXT)
    run = ch.train(
        tmp_path / "b.txt",
        out=tmp_path / "further",
        origin=whole.folder,
        steps=3,
        threads=1,
        settings={"train.masks.rate": 0.15, "train.masks.whole_words": True, "train.evaluations": 1},
    )
    assert run.recipe.train.masks == MaskConfig(rate=0.15, whole_words=True)
    assert run.recipe.origin == str(whole.folder)
    first = next(report for report in run.reports if isinstance(report, Evaluated))
    assert first.valid_loss < 5.0  # it goes on from what it knew: ln 281 is 5.6


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIAL, *sorted({word.strip(",.").lower() for word in TEXT.split()}), ",", "."]


def bert(kind: type, folder: Path) -> Path:
    """A BERT as somebody else made it, with a vocab.txt."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    kind(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    return folder


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_released_bert_trains_further_and_stays_one(tmp_path: Path, kind: str):
    (tmp_path / "b.txt").write_text(TEXT)
    origin = bert(BertForPreTraining, tmp_path / "bert")
    run = ch.train(
        tmp_path / "b.txt",
        out=tmp_path / "run",
        origin=origin,
        steps=40,
        threads=1,
        settings={"train.optimizer.kind": kind, "train.optimizer.adamw_lr": 0.01, "train.evaluations": 2},
    )
    losses = [report.valid_loss for report in run.reports if isinstance(report, Evaluated)]
    assert losses[-1] < losses[0] - 0.2
    before, after = ch.load(origin).network.pooler, run.model.network.pooler
    assert torch.equal(before.weight, after.weight)  # masked tokens do not train it
    peer = AutoModelForMaskedLM.from_pretrained(run.folder)
    assert type(peer).__name__ == "BertForMaskedLM"
    ids = run.model.encode("the [MASK] brown fox")
    assert run.model.labels(ids)[0] == "[CLS]"
    with torch.no_grad():
        torch.testing.assert_close(run.model(torch.tensor([ids])), peer(torch.tensor([ids])).logits)


class TestRefused:
    def refused(self, tmp_path: Path, said: str, **asked: object) -> None:
        (tmp_path / "b.txt").write_text(TEXT)
        with pytest.raises(ClearheadError, match=said):
            ch.train(tmp_path / "b.txt", out=tmp_path / "run", **{**SMALL, "settings": {}, **asked})
        assert not (tmp_path / "run").exists()

    def test_models_that_read_one_side(self, tmp_path: Path):
        said = (
            "^--masked: a mask is filled from both sides of it, and 'lstm' reads from left to right; leave out --model"
        )
        self.refused(tmp_path, said, model="lstm")

    def test_a_model_without_a_head(self, tmp_path: Path):
        origin = bert(BertModel, tmp_path / "bert")
        said = (
            "^train --from needs a model that predicts the next token or predicts masked tokens or translates one text "
            "into another; with this one you can"
        )
        self.refused(tmp_path, said, origin=origin, masked=False)

    def test_a_decoder_to_go_on_from(self, tmp_path: Path):
        (tmp_path / "a.txt").write_text(TEXT)
        settings = {**SETTINGS, "model.layers": 1}
        ch.train(tmp_path / "a.txt", out=tmp_path / "d", steps=1, tokenizer="bytes", settings=settings, threads=1)
        self.refused(tmp_path, "^train --masked --from needs a model that predicts masked", origin=tmp_path / "d")
        said = "^training here: masks were set .train.masks, --mask-rate., but the model masks nothing; leave"
        asked = {"origin": tmp_path / "d", "masked": False, "settings": {"train.masks.rate": 0.2}}
        self.refused(tmp_path, said, **asked)

    def test_a_tokenizer_without_a_mask(self, whole: ch.Run, tmp_path: Path):
        made = ch.load(whole.folder)
        hub.save(tmp_path / "bare", ch.LanguageModel(made.network, Tokenizer.bytes()))
        self.refused(tmp_path, "its tokenizer has no mask token", origin=tmp_path / "bare")


def test_a_tokenizer_from_elsewhere_gets_a_mask(tmp_path: Path):
    (tmp_path / "b.txt").write_text(TEXT)
    Tokenizer.train_bpe([TEXT], 270).save(tmp_path / "own")
    run = ch.train(tmp_path / "b.txt", out=tmp_path / "run", tokenizer=tmp_path / "own", **{**SMALL, "steps": 2})
    tokenizer = run.model.tokenizer
    assert tokenizer.role("mask") == tokenizer.vocab_size - 1 == run.model.config.vocabulary - 1
    assert ch.fill(run.model, "The [MASK] fox.")[0].place == len(tokenizer.encode("The")) + 1


def test_killed_runs_end_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("masked.toml").write_text(
        '[model]\nkind = "encoder"\ncontext = 16\nlayers = 1\nwidth = 16\nnorm = { kind = "layer", bias = false }\n'
        'attention = { heads = 2, kv_heads = 2, head_width = 8, head_norm = "none" }\nfeed_forward = { width = 32 }\n'
        "prediction = { bias = false }\n[train]\nbatch = 4\n"
    )
    proof = runs.prove("masked.toml", kills=1, steps=4, say=quiet)
    assert proof.kills == 1
    assert proof.bits > 0


def test_rows_with_targets_of_their_own_are_not_masked(tmp_path: Path):
    with pytest.raises(OptionError, match=r"corpus mqar-16-2: .*leave out --masked"):
        ch.train(corpus="mqar-16-2", out=tmp_path / "run", **SMALL)
    assert not (tmp_path / "run").exists()
