"""A model kind added in one file works in every room, without a line about it in any."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import clearhead as ch
from clearhead import encoding, generation, hub, recipes
from clearhead.errors import ConfigError, FolderError, OptionError
from clearhead.generation import Sampling
from clearhead.language_model import LanguageModel, Metadata
from clearhead.model import ModelConfig, build, register, skeleton
from clearhead.plain import from_dict, to_dict
from clearhead.tap import Site
from clearhead.text import Tokenizer, Tokens, tokenize
from clearhead.training import Hooks, OptimizerConfig, Sample, TrainConfig, evaluate, fit, load_state
from clearhead.watching import watch
from toy_recurrent import Toy, ToyConfig
from verbs import called

BYTES = Tokenizer.bytes()
CONFIG = ToyConfig(vocabulary=BYTES.vocab_size, context=31, layers=1, width=12, heads=3)
TRAIN = TrainConfig(steps=40, batch=4, evaluations=2, threads=1, optimizer=OptimizerConfig(lr=0.03, adamw_lr=0.03))


@pytest.mark.parametrize("other", [{"layers": 2}, {"tied": False}, {"dropout": 0.1}])
def test_what_a_toy_has_not_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="a toy has one layer, a tied output and no dropout"):
        from_dict(ModelConfig, {**to_dict(CONFIG), **other}, "model.")


def lively(seed: int = 0, dtype: torch.dtype = torch.float64) -> Toy:
    """Wide weights, so that what comes before matters."""
    model = build(CONFIG, seed=seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(20)
    return model.to(dtype).eval()


class Texts:
    """Documents in memory."""

    name = "texts"

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def key(self) -> str:
        return "\0".join(self.texts)

    def documents(self) -> Iterator[str]:
        yield from self.texts


def stream(*texts: str) -> Tokens:
    return tokenize([Texts(*texts)], BYTES)


def trained(folder: Path, *, stop: Callable[[int], bool] = lambda step: False, resumed: bool = False) -> Toy:
    """By the real loop, in a folder; stopped after the step for which ``stop`` is true."""
    folder.mkdir(exist_ok=True)
    model, steps = build(CONFIG, seed=0), list[int]()
    hooks = Hooks(
        report=lambda report: steps.append(report.step),
        keep=lambda step: None,
        keep_step=lambda step: None,
        sample=lambda: Sample(text=""),
        stop=lambda: stop(steps[-1]),
    )
    text = stream("abcdefghijklm" * 30)
    state = load_state(folder / "state") if resumed else None
    fit(model, TRAIN, text, text, folder=folder, hooks=hooks, state=state)
    return model


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Toy]:
    folder = tmp_path_factory.mktemp("toy")
    return folder, trained(folder)


def by_hand(model: Toy, ids: list[int]) -> np.ndarray:
    """logits [T, V] in float64, a token at a time, after the equations alone."""
    w = {name: parameter.detach().double().numpy() for name, parameter in model.named_parameters()}
    H, D = CONFIG.heads, CONFIG.width // CONFIG.heads
    h, keys, values, logits = np.zeros(CONFIG.width), [], [], []
    for token in ids:
        h = np.tanh(w["into.weight"] @ w["embedding.weight"][token] + w["back.weight"] @ h)
        q, k, v = (w["qkv.weight"] @ h).reshape(3, H, D)
        keys.append(k)
        values.append(v)
        read = []
        for head in range(H):
            score = np.exp([q[head] @ key[head] / math.sqrt(D) for key in keys])
            read.append(sum(share * value[head] for share, value in zip(score / score.sum(), values, strict=True)))
        logits.append(w["embedding.weight"] @ (h + np.concatenate(read)))
    return np.stack(logits)


class TestModel:
    def test_counts_what_is_built(self) -> None:
        assert CONFIG.parameters() == sum(parameter.numel() for parameter in skeleton(CONFIG).parameters())

    def test_comes_back_from_its_table(self) -> None:
        table = to_dict(CONFIG)
        assert table["kind"] == "toy"
        assert from_dict(ModelConfig, table) == CONFIG

    @torch.no_grad()
    def test_gives_what_its_equations_give(self) -> None:
        model, ids = lively(), list(b"abcabdab")
        torch.testing.assert_close(model(torch.tensor([ids]))[0], torch.from_numpy(by_hand(model, ids)))

    def test_another_of_the_same_name_is_refused(self) -> None:
        class Other(ToyConfig):
            pass

        with pytest.raises(OptionError, match=r"^model: there is a kind 'toy' already; give the new one another name$"):
            register(Other, Toy)

    def test_an_unknown_kind_is_reported_with_the_nearest(self) -> None:
        with pytest.raises(ConfigError, match=r"^kind: there is no 'toyy'; did you mean 'toy'\?$"):
            from_dict(ModelConfig, {**to_dict(CONFIG), "kind": "toyy"})


class TestTraining:
    def test_the_loss_falls(self, learned: tuple[Path, Toy]) -> None:
        lines = [json.loads(line) for line in (learned[0] / "log.jsonl").read_text().splitlines()]
        losses = [line["valid_loss"] for line in lines if "valid_loss" in line]
        assert losses[0] == pytest.approx(math.log(257), rel=0.01)
        assert losses[-1] < 2.7  # 13 letters that follow one another: below ln 13 + 0.2

    def test_a_run_that_was_stopped_ends_with_the_same_bits(self, learned: tuple[Path, Toy], tmp_path: Path) -> None:
        trained(tmp_path, stop=lambda step: step == 17)
        trained(tmp_path, resumed=True)
        one, other = load_state(learned[0] / "state"), load_state(tmp_path / "state")
        assert one is not None
        assert other is not None
        for mine, theirs in ((one.weights, other.weights), (one.optimizer, other.optimizer)):
            assert mine.keys() == theirs.keys()
            assert all(torch.equal(mine[name], theirs[name]) for name in mine)
        assert {"muon.12x12"} == {name for name in one.optimizer if name.startswith("muon")}

    def test_the_score_is_that_of_the_equations(self) -> None:
        """Two documents in one window: the second begins from nothing."""
        model, nats = lively(), 0.0
        texts = ("abcabdab", "bcdbca")
        for number, text in enumerate(texts):
            ids = [256, *text.encode(), *([256] if number == 0 else [])]
            logits = by_hand(model, ids)
            nats += sum(
                math.log(np.exp(row).sum()) - row[target] for row, target in zip(logits[:-1], ids[1:], strict=True)
            )
        found = evaluate(model, stream(*texts))
        assert found.nats == pytest.approx(nats, rel=1e-9)
        assert found.tokens == 15


class TestGeneration:
    @staticmethod
    def written(model: Toy, prompts: list[str], ends: Collection[int] = (256,)) -> list[tuple[int, ...]]:
        metadata = Metadata(generation={"eos_token_id": list(ends)})
        speaking = LanguageModel(model, BYTES, metadata=metadata)
        return [each.ids for each in generation.generate(speaking, prompts, temperature=0, max_tokens=12)]

    @torch.no_grad()
    def test_greedy_text_is_that_of_the_equations(self) -> None:
        """The state is kept from token to token: passing the whole text anew gives the same."""
        model, ids = lively(), [256, *b"abca"]
        (found,) = self.written(model, ["abca"], ends=())
        for token in found:
            assert int(by_hand(model, ids)[-1].argmax()) == token
            ids.append(token)

    @settings(deadline=None, max_examples=30)
    @given(prompts=st.lists(st.text("abcd", min_size=1, max_size=9), min_size=2, max_size=5), seed=st.integers(0, 3))
    def test_a_batch_of_different_lengths_equals_each_alone(self, prompts: list[str], seed: int) -> None:
        model = lively(seed)
        together = self.written(model, prompts)
        assert together == [self.written(model, [prompt])[0] for prompt in prompts]

    def test_texts_that_end_leave_the_batch(self) -> None:
        model = lively()
        prompts = ["abca", "bd", "cabdcab", "d"]
        alone = [self.written(model, [prompt], ends=())[0] for prompt in prompts]
        ends = {alone[0][2], alone[2][4]}
        found = self.written(model, prompts, ends=ends)
        for whole, cut in zip(alone, found, strict=True):
            stop = next((place + 1 for place, token in enumerate(whole) if token in ends), len(whole))
            assert cut == whole[:stop]

    def test_a_conversation_reads_everything_again(self) -> None:
        """What is kept cannot be rewound to where the next message differs."""
        model, memory = lively(), generation.decoding.Memory()
        sampling = Sampling(temperature=0, max_tokens=4)
        for text in (b"abcab", b"abcd"):
            chunks = generation.stream_ids(LanguageModel(model, BYTES), [[256, *text]], sampling, memory=memory)
            whole = generation.generate(LanguageModel(model, BYTES), text.decode(), temperature=0, max_tokens=4)
            assert tuple(chunk.id for chunk in chunks) == whole.ids
        assert memory.state is None


class TestHub:
    def test_it_comes_back(self, tmp_path: Path) -> None:
        model = lively(dtype=torch.float32)
        hub.save(tmp_path, LanguageModel(model, BYTES))
        assert json.loads((tmp_path / "config.json").read_text())["model"]["kind"] == "toy"
        loaded = hub.load(tmp_path)
        assert (type(loaded.network), loaded.config) == (Toy, CONFIG)
        ids_BT = torch.tensor([list(b"abcd")])
        with torch.no_grad():
            assert torch.equal(loaded(ids_BT), model(ids_BT))
        assert hub.outline(tmp_path).config == CONFIG

    def test_a_changed_number_is_found(self, tmp_path: Path) -> None:
        hub.save(tmp_path, LanguageModel(lively(dtype=torch.float32), BYTES))
        path = tmp_path / "model.safetensors"
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(content)
        with pytest.raises(FolderError, match="altered"):
            hub.load(tmp_path)

    def test_a_folder_is_shown(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hub.save(tmp_path, LanguageModel(lively(dtype=torch.float32), BYTES))
        assert called(monkeypatch, "show", str(tmp_path)) == 0
        said = re.sub(" +", " ", capsys.readouterr().out)
        assert "family clearhead" in said
        assert f"{CONFIG.parameters():,}, {5 * 12 * 12:,} of them outside the embeddings" in said
        assert f"and {4 * 12 * (1 + 2 * 31) / 1e6:.1f} MB for a text of full length" in said


class TestWatching:
    @torch.no_grad()
    def test_every_map_is_that_of_the_equations(self) -> None:
        model, ids = lively(), list(b"abcabd")
        with watch(model) as record:
            model(torch.tensor([ids]))
        assert list(record) == [(Site(0), head) for head in range(3)]
        (call,) = record.calls()[Site(0)]
        for head in range(3):
            s_QK = call.q_BHQD[0, head] @ call.k_BGKD[0, head].T / 2
            p_QK = s_QK.masked_fill(torch.ones(6, 6).triu(1).bool(), -math.inf).softmax(dim=-1)
            torch.testing.assert_close(record[0, head][:, :].double(), p_QK, rtol=0, atol=1e-6)

    def test_watched_text_is_unwatched_text(self) -> None:
        model, sampling = LanguageModel(lively(), BYTES), {"temperature": 1.0, "max_tokens": 9, "seed": 3}
        expected = generation.generate(model, "abcd", **sampling)
        with watch(model) as record:
            assert generation.generate(model, "abcd", **sampling) == expected
        length = len("_abcd") + len(expected.ids) - 1
        assert record[0, 2].shape == (length, length)


class TestEdits:
    @pytest.mark.parametrize("by", ["run", "gradient"])
    def test_a_sweep_over_its_heads(self, by: str) -> None:
        """Logits are linear in what the heads give, so the gradient predicts the change exactly."""
        model, ids = lively(), [256, *b"abcabd"]
        found = ch.sweep(LanguageModel(model, BYTES), "abcabd", "heads", ch.diff("a", "b"), by=by)
        with torch.no_grad():
            plain_V = model(torch.tensor([ids]))[0, -1]
        assert len(found.entries) == 3
        for entry in found.entries:
            with torch.no_grad(), watch(model, edits=entry.edits):
                edited_V = model(torch.tensor([ids]))[0, -1]
            change = (edited_V[ord("a")] - edited_V[ord("b")]) - (plain_V[ord("a")] - plain_V[ord("b")])
            assert abs(change) > 0.1
            assert entry.change == pytest.approx(float(change), rel=1e-9)


class TestOtherVerbs:
    def test_vectors_of_texts(self) -> None:
        model = LanguageModel(lively(), BYTES)
        together = encoding.vectors(model, ["abca", "bd"])
        torch.testing.assert_close(together[1], encoding.vectors(model, "bd"))

    def test_what_it_cannot_do_is_refused_with_what_it_can(self) -> None:
        with pytest.raises(OptionError) as caught:
            encoding.fill(LanguageModel(lively(), BYTES), "abc")
        assert str(caught.value) == (
            "fill needs a model that predicts masked tokens; with this one you can let it write (clearhead generate) "
            "or take vectors of texts (in Python: clearhead.vectors)"
        )

    def test_a_recipe_names_it(self) -> None:
        table = {"model": {"kind": "toy", "vocabulary": 5, "context": 7, "layers": 1, "width": 4, "heads": 2}}
        recipes.check_names(table)
        found = recipes.resolved({**table, "train": {"steps": 3}}).model
        assert found == ToyConfig(vocabulary=5, context=7, layers=1, width=4, heads=2)
        with pytest.raises(ConfigError, match=r"^model.head: unknown; did you mean 'heads'\?$"):
            recipes.check_names({"model": {"kind": "toy", "head": 2}})

    @pytest.mark.parametrize("length", [["--minutes", "1"], ["--steps", "4"]])
    def test_without_its_shape_it_is_not_trained(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], length: list[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("text.txt").write_text("the quick brown fox")
        assert called(monkeypatch, "train", "text.txt", *length, "--set", "model.kind=toy") == 2
        assert "model.kind 'toy': sizes can only be chosen for" in capsys.readouterr().err

    def test_the_command_trains_it_and_every_verb_takes_or_refuses_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
        shape = {"kind": "toy", "context": 16, "layers": 1, "width": 12, "heads": 3}
        settings = [word for name, value in shape.items() for word in ("--set", f"model.{name}={value}")]
        options = ["--tokenizer", "bytes", "--threads", "1", "--set", "train.batch=4"]
        run = [*options, "--steps", "4", "--out", "run", "--keep", "2"]
        assert called(monkeypatch, "train", "text.txt", *run, *settings) == 0
        for verb in (
            "generate run the --max-tokens 5",
            "generate run the --max-tokens 5 --edit",
            "eval run text.txt",
            "eval run text.txt --bits 8",
            "look run the",
            "look run the --out x.html",
            "look run the --by gradient",
            "look run the --out record.safetensors",
            "atlas run the --out x.png",
            "next run the",
            "effect run the --edit",
            "sweep run the",
            "heads run",
            "words run nearest t",
            "change run run the",
            "history run the",
            "export run exported",
            "show exported",
            "train text.txt --from run --out further --threads 1 --steps 2",
            "train --resume further",
        ):
            words = verb.split()
            more = ["ablate 0.1"] if words[-1] == "--edit" else []
            assert called(monkeypatch, *words, *more) == 0, (verb, capsys.readouterr().err)
        for verb in ("lens run the", "parts run the", "next run the --layers", "senses run the the the"):
            assert called(monkeypatch, *verb.split()) == 2, verb
            assert "this model has no residual stream" in capsys.readouterr().err
