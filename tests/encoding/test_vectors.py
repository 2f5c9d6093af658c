"""Texts as vectors: pooling by definition, batched texts as if alone, and the files beside a model."""

from __future__ import annotations

import json
import logging
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import clearhead as ch
from clearhead import hub
from clearhead.encoding import vectors
from clearhead.encoding.vectors import _batches
from clearhead.errors import ConfigError, FolderError, TextError
from clearhead.hub.sentences import read_pooling
from clearhead.language_model import LanguageModel
from clearhead.model.parts.pooling import RULES, Pooling
from little_encoders import saved

TEXTS = ["paris is the capital of france .", "a", "berlin", "", "is germany the capital of france ? a b c"]


def by_definition(kind: str, x_TE: np.ndarray) -> np.ndarray:
    """Of one text without padding."""
    if kind == "max":
        return x_TE.max(axis=0)
    if kind in ("first", "last"):
        return x_TE[0 if kind == "first" else -1]
    return x_TE.sum(axis=0) / (math.sqrt(len(x_TE)) if kind == "mean-root" else len(x_TE))


class TestPooling:
    @pytest.mark.parametrize("kind", RULES)
    def test_padding_is_left_out(self, kind: str) -> None:
        x_BTE = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
        found = Pooling(kind=kind)(x_BTE, torch.tensor([5, 1, 3]))
        expected = [by_definition(kind, x_BTE[text, :length].numpy()) for text, length in enumerate((5, 1, 3))]
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-7)

    def test_normalised(self) -> None:
        """(3, 4) has length 5."""
        x_BTE = torch.tensor([[[2.0, 8.0], [4.0, 0.0]]])
        assert Pooling()(x_BTE, torch.tensor([2])).tolist() == [[3.0, 4.0]]
        found = Pooling(normalised=True)(x_BTE, torch.tensor([2]))
        torch.testing.assert_close(found, torch.tensor([[0.6, 0.8]]))

    def test_bfloat16_is_summed_in_float32(self) -> None:
        assert Pooling()(torch.ones(1, 1000, 2, dtype=torch.bfloat16), torch.tensor([1000])).dtype == torch.float32

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"kind": "median"}, "pooling: there is no kind 'median'; did you mean 'mean'"),
            ({"context": 0}, "pooling: context is 0; it must be at least 1, or left out"),
        ],
    )
    def test_refused(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError) as caught:
            Pooling(**options)
        assert said in str(caught.value)


def pooled(model: LanguageModel, pooling: Pooling) -> LanguageModel:
    return LanguageModel(model.network, model.tokenizer, metadata=replace(model.metadata, pooling=pooling))


class TestVectors:
    @pytest.mark.parametrize("name", ["BERT", "RoBERTa"])
    @torch.no_grad()
    def test_each_text_is_as_if_alone(self, name: str, tmp_path: Path) -> None:
        model = saved(tmp_path, name)
        texts = TEXTS if name == "BERT" else [text[:14] for text in TEXTS]
        found = ch.vectors(model, texts)
        assert found.dtype == torch.float32
        for text, vector in zip(texts, found, strict=True):
            ids = torch.tensor([model.tokenizer.encode_document(text)])
            alone_TE = model.network.hidden(ids)[0]
            torch.testing.assert_close(vector, alone_TE.mean(0), rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(ch.vectors(model, text), alone_TE.mean(0), rtol=1e-5, atol=1e-5)

    def test_no_texts_no_vectors(self, tmp_path: Path) -> None:
        assert ch.vectors(saved(tmp_path, "BERT"), []).shape == (0, 14)

    def test_a_text_longer_than_the_context(self, tmp_path: Path) -> None:
        with pytest.raises(TextError, match=r"text 1 has 42 tokens .*; the model's context is 16; shorten it"):
            ch.vectors(saved(tmp_path, "BERT"), ["a", "a " * 40])

    @torch.no_grad()
    def test_the_end_beyond_the_pooling_s_context_is_not_read(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """[CLS] a b [SEP]: the special tokens at the end stay."""
        model = saved(tmp_path, "BERT")
        with caplog.at_level(logging.INFO, "clearhead"):
            found = vectors(pooled(model, Pooling(context=4)), ["a b c d", "a"])
        assert caplog.messages == ["1 of 2 texts are longer than 4 tokens and were cut to that length"]
        torch.testing.assert_close(found, ch.vectors(model, ["a b", "a"]), rtol=1e-5, atol=1e-5)

    def test_batches_are_of_similar_length_and_not_too_large(self) -> None:
        lengths = [7, 8000, 3, 5000, 4]
        assert _batches(sorted(range(5), key=lengths.__getitem__), lengths) == [[2, 4, 0], [3], [1]]


def beside(folder: Path, **files: object) -> None:
    """Files of sentence-transformers: modules, pooling, length."""
    names = {
        "modules": "modules.json",
        "pooling": "1_Pooling/config.json",
        "length": "sentence_bert_config.json",
        "prompts": "config_sentence_transformers.json",
    }
    (folder / "1_Pooling").mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / names[name]).write_text(json.dumps(content))


def steps(*names: str) -> list[dict[str, Any]]:
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    return [
        {"idx": n, "name": str(n), "path": paths.get(name, name), "type": f"sentence_transformers.models.{name}"}
        for n, name in enumerate(names)
    ]


STEPS = ("Transformer", "Pooling")
MEAN = {"word_embedding_dimension": 14, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


class TestBesideAModel:
    def test_nothing_is_said(self, tmp_path: Path) -> None:
        assert saved(tmp_path, "BERT").metadata.pooling is None

    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            ({"modules": steps(*STEPS), "pooling": MEAN}, Pooling()),
            (
                {
                    "modules": steps("Transformer", "Pooling", "Normalize"),
                    "pooling": MEAN,
                    "length": {"max_seq_length": 9},
                },
                Pooling(normalised=True, context=9),
            ),
            (
                {"modules": steps(*STEPS), "pooling": {"pooling_mode_cls_token": True}},
                Pooling(kind="first"),
            ),
            (
                {"modules": steps(*STEPS), "pooling": {"pooling_mode_lasttoken": True}},
                Pooling(kind="last"),
            ),
            ({"modules": steps(*STEPS), "pooling": {"pooling_mode": "cls"}}, Pooling(kind="first")),
        ],
    )
    def test_read(self, files: dict[str, Any], expected: Pooling, tmp_path: Path) -> None:
        model = saved(tmp_path, "BERT")
        beside(tmp_path, **files)
        assert hub.load(tmp_path).metadata.pooling == expected
        found = ch.vectors(hub.load(tmp_path), ["a b", "c"])
        torch.testing.assert_close(found, vectors(pooled(model, expected), ["a b", "c"]))

    @pytest.mark.parametrize("kind", RULES)
    def test_written_and_read_again(self, kind: str, tmp_path: Path) -> None:
        model = saved(tmp_path / "one", "BERT")
        pooling = Pooling(kind=kind, normalised=kind != "max", context=7 if kind == "mean" else None)
        metadata = replace(model.metadata, pooling=pooling)
        hub.save(tmp_path / "two", LanguageModel(model.network, model.tokenizer, metadata=metadata))
        assert hub.load(tmp_path / "two").metadata == metadata

    def test_prompts_to_choose_from_are_kept(self, tmp_path: Path) -> None:
        """None of them is put in front of every text."""
        plain = ch.vectors(saved(tmp_path / "model", "BERT"), "paris")
        prompts = {"query": "query: ", "document": ""}
        for default in (None, "document"):
            written = {"prompts": prompts, "default_prompt_name": default, "similarity_fn_name": "dot"}
            beside(tmp_path / "model", modules=steps(*STEPS), pooling=MEAN, prompts=written)
            model = hub.load(tmp_path / "model")
            assert torch.equal(ch.vectors(model, "paris"), plain)
            out = tmp_path / f"out {default}"
            hub.export(out, model)
            assert json.loads((out / "config_sentence_transformers.json").read_text()) == written

    @pytest.mark.parametrize(
        ("files", "said"),
        [
            (
                {"modules": steps("Transformer", "Dense")},
                "modules.json: not supported: Dense; the steps must be Transformer, Pooling and",
            ),
            (
                {"modules": steps("Pooling", "Transformer")},
                "json: not supported: Pooling, Transformer; .* in this order",
            ),
            ({"modules": {"idx": 0}}, "modules.json: altered: not a list of steps"),
            ({"modules": [3]}, "modules.json: altered: not a list of steps"),
            ({"modules": []}, "modules.json: not supported: no steps; "),
            (
                {"modules": steps(*STEPS), "pooling": {"pooling_mode_weightedmean_tokens": True}},
                r"\['pooling_mode_weightedmean_tokens'\] is not supported; choose one of",
            ),
            (
                {
                    "modules": steps(*STEPS),
                    "pooling": {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True},
                },
                r"\['pooling_mode_cls_token', 'pooling_mode_max_tokens'\] is not supported",
            ),
            (
                {"modules": [*steps("Transformer"), {"type": "x.Pooling", "path": "../elsewhere"}]},
                r"altered: '../elsewhere' is not a folder in it",
            ),
            (
                {"modules": steps(*STEPS), "pooling": MEAN, "length": {"do_lower_case": True}},
                r"do_lower_case is not supported; lower-case your texts",
            ),
            (
                {"modules": steps(*STEPS), "prompts": {"prompts": {"q": "query: "}, "default_prompt_name": "q"}},
                r"default_prompt_name 'q' is not supported; put 'query: ' before your texts, and set it to null",
            ),
            ({"modules": steps(*STEPS), "prompts": {"prompts": ["q"]}}, r"transformers.json: prompts: \["),
            ({"modules": steps(*STEPS), "prompts": {"default_prompt_name": 3}}, r"default_prompt_name: 3 was given"),
            (
                {"modules": steps(*STEPS), "pooling": MEAN, "length": {"max_seq_length": "all"}},
                r"max_seq_length: 'all' was given; it must be a whole number or left out",
            ),
            (
                {"modules": steps(*STEPS), "pooling": MEAN, "length": {"max_seq_length": 0}},
                r"pooling: context is 0",
            ),
        ],
    )
    def test_refused(self, files: dict[str, Any], said: str, tmp_path: Path) -> None:
        beside(tmp_path, **files)
        with pytest.raises(FolderError, match=said):
            read_pooling(tmp_path)

    @pytest.mark.parametrize(
        "files",
        [
            {"modules": steps(*STEPS, "Dense"), "pooling": MEAN},
            {"modules": steps(*STEPS), "pooling": {"pooling_mode_weightedmean_tokens": True}},
            {"modules": steps(*STEPS), "pooling": MEAN, "length": {"do_lower_case": True}},
            {"modules": steps(*STEPS), "pooling": MEAN, "prompts": {"prompts": {"q": "a"}, "default_prompt_name": "q"}},
        ],
    )
    def test_a_step_that_is_not_known_stops_vectors_alone(self, files: dict[str, Any], tmp_path: Path) -> None:
        """And what could not be written again is not exported."""
        before = ch.fill(saved(tmp_path / "model", "BERT"), "[MASK] is")
        beside(tmp_path / "model", **files)
        model = hub.load(tmp_path / "model")
        assert ch.fill(model, "[MASK] is") == before
        assert ch.observe(model, "paris").tokens == ["[CLS]", "paris", "[SEP]"]
        assert hub.outline(tmp_path / "model").metadata == model.metadata
        with pytest.raises(FolderError, match=r"not supported") as caught:
            ch.vectors(model, "paris")
        with pytest.raises(
            FolderError, match=re.escape(str(caught.value)) + r"; not exported, since without that step"
        ):
            hub.export(tmp_path / "out", model)
        assert not (tmp_path / "out").exists()
        (tmp_path / "model" / "modules.json").unlink()
        hub.export(tmp_path / "out", hub.load(tmp_path / "model"))
        assert ch.vectors(hub.load(tmp_path / "out"), "paris").shape == (14,)

    def test_a_missing_pooling_is_named(self, tmp_path: Path) -> None:
        beside(tmp_path, modules=steps(*STEPS))
        with pytest.raises(FolderError, match=r"1_Pooling/config.json: cannot be read"):
            read_pooling(tmp_path)
