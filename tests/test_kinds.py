"""Recurrent and convolutional models in every room: training, generation, evaluation, hub, drawing, watching."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import clearhead as ch
from clearhead import encoding, generation, hub
from clearhead.errors import OptionError
from clearhead.language_model import LanguageModel, Metadata
from clearhead.model import ModelConfig, build
from clearhead.runs import Asked
from clearhead.runs.resolve import resolve
from clearhead.text import Tokenizer
from little_configs import RIVALS
from verbs import called

BYTES = Tokenizer.bytes()


def speaking(kind: str, dtype: torch.dtype = torch.float64) -> LanguageModel:
    network = build(replace(RIVALS[kind], vocabulary=257), seed=0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" not in name:
                parameter.mul_(2 if "recurrence" in name else 12)
    return LanguageModel(network.to(dtype).eval(), BYTES, metadata=Metadata(generation={"eos_token_id": [7]}))


@pytest.mark.parametrize("kind", RIVALS)
class TestRooms:
    def test_a_batch_of_different_lengths_equals_each_alone(self, kind: str) -> None:
        model, prompts = speaking(kind), ["abcabca", "d", "ab", "bca"]
        together = ch.generate(model, prompts, temperature=0, max_tokens=9)
        alone = [ch.generate(model, prompt, temperature=0, max_tokens=9) for prompt in prompts]
        assert [each.ids for each in together] == [each.ids for each in alone]

    def test_greedy_text_is_that_of_whole_passes(self, kind: str) -> None:
        model, ids = speaking(kind), [256, *b"abca"]
        for token in ch.generate(model, "abca", temperature=0, max_tokens=9).ids:
            with torch.no_grad():
                assert int(model(torch.tensor([ids]))[0, -1].argmax()) == token
            ids.append(token)

    def test_the_last_layer_reads_as_the_prediction(self, kind: str) -> None:
        found = ch.next_words(speaking(kind), "abca", layers=True)
        assert len(found.layers) == 1 + RIVALS[kind].layers
        assert found.layers[-1].rank == 1
        assert found.layers[-1].probability == pytest.approx(found.candidates[0].probability, rel=1e-12)

    def test_watched_text_equals_unwatched_text(self, kind: str) -> None:
        model = speaking(kind)
        expected = generation.generate(model, "abcd", temperature=1.0, max_tokens=9, seed=3)
        with ch.watch(model, keep="residual") as record:
            assert generation.generate(model, "abcd", temperature=1.0, max_tokens=9, seed=3) == expected
        assert len(record) == 1

    def test_vectors_are_those_of_each_text_alone(self, kind: str) -> None:
        model = speaking(kind)
        together = encoding.vectors(model, ["abca", "bd"])
        torch.testing.assert_close(together[1], encoding.vectors(model, "bd"))

    def test_it_comes_back_from_its_folder(self, kind: str, tmp_path: Path) -> None:
        model = speaking(kind, torch.float32)
        hub.save(tmp_path, model)
        loaded = hub.load(tmp_path)
        assert loaded.config == model.config
        ids_BT = torch.tensor([list(b"abcd")])
        with torch.no_grad():
            assert torch.equal(loaded(ids_BT), model(ids_BT))

    def test_the_command_trains_it_and_every_verb_takes_it(
        self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
        sizes = ["model.context=16", "model.layers=1", "model.width=12", "model.hidden=10", "train.batch=4"]
        sizes += (
            [f"model.attention.{name}" for name in ("heads=3", "kv_heads=3", "head_width=4")]
            if "attention" in kind
            else []
        )
        settings = [word for each in sizes for word in ("--set", each)]
        options = ["--tokenizer", "bytes", "--threads", "1", "--steps", "4", "--out", "run"]
        assert called(monkeypatch, "train", "text.txt", "--model", kind, *options, *settings) == 0, capsys.readouterr()
        for verb in (["generate", "run", "the", "--max-tokens", "5"], ["eval", "run", "text.txt"], ["show", "run"]):
            assert called(monkeypatch, *verb) == 0, capsys.readouterr().err
        assert "reach" in capsys.readouterr().out
        attends = "attention" in kind
        assert called(monkeypatch, "look", "run", "the fox") == (0 if attends else 2)
        assert attends or "clearhead look --by gradient" in capsys.readouterr().err
        assert called(monkeypatch, "look", "run", "the fox", "--by", "gradient", "--query", "fox") == 0
        assert re.search(r"^ *5 f", capsys.readouterr().out, re.MULTILINE)
        assert called(monkeypatch, "look", "run", "the fox", "--by", "gradient", "--out", "x.html") == 0
        assert Path("x.html").is_file()
        assert called(monkeypatch, "look", "run", "the fox", "--by", "gradient", "--layer", "0") == 2


class TestAsked:
    @staticmethod
    def model(**options: object) -> dict[str, object]:
        return resolve(Asked(corpus="world-en", steps=3, **options)).table["model"]  # type: ignore[arg-type]

    @pytest.mark.parametrize("recipe", [None, "tiny", "small"])
    def test_a_recipe_gives_a_model_with_as_many_weights(self, recipe: str | None) -> None:
        from clearhead.plain import from_dict

        peer = from_dict(ModelConfig, {"vocabulary": 500, **self.model(recipe=recipe)})
        for kind in RIVALS:
            found = from_dict(ModelConfig, {"vocabulary": 500, **self.model(recipe=recipe, model=kind)})
            assert found.kind == kind
            assert found.parameters() == pytest.approx(peer.parameters(), rel=0.02)
            assert found.context == peer.context

    def test_a_transformer_is_the_default(self) -> None:
        assert self.model(model="transformer")["kind"] == "decoder"

    def test_the_error_for_an_unknown_kind_suggests_the_nearest(self) -> None:
        with pytest.raises(OptionError, match=r"^model: there is no 'lstn'; did you mean 'lstm'\?$"):
            self.model(model="lstn")
