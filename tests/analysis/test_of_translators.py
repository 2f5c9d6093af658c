"""Lens, parts, gradients and sweeps of models that translate: by hand, by small steps, and against transformers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import little_pieces
import shapes
from clearhead import hub
from clearhead.analysis import (
    attribution,
    diff,
    direction,
    effect,
    every,
    find_heads,
    kl,
    kl_from,
    lens,
    logit_parts,
    logprob,
    next_words,
    nll,
    observe,
    path,
    senses,
    sweep,
    tune_lens,
)
from clearhead.errors import OptionError, TextError, WatchError
from clearhead.language_model import LanguageModel
from clearhead.model import FeedForwardConfig, ModelConfig, NormConfig, PositionConfig
from clearhead.tap import Site
from clearhead.watching import Ablate, Knockout, Patch, TextRecord
from little_configs import GPT2, RIVAL_TRANSLATORS, TRANSLATOR
from little_translators import LETTERS, SEPARATOR, translator
from looked import BYTES

# No letter twice, on either side, so that a row of an embedding belongs to one place.
TEXT, TARGET = "abcd", "xyzuv"
PLAIN = replace(TRANSLATOR.attention, bias=False, out_bias=False)
SHAPES: dict[str, ModelConfig] = {
    "Marian": TRANSLATOR,
    "T5": replace(
        TRANSLATOR,
        arrangement="pre",
        attention=replace(PLAIN, scale=1.0, kv_heads=2),
        feed_forward=FeedForwardConfig(kind="geglu", width=17),
        norm=NormConfig(),
        positions=PositionConfig(kind="relative", buckets=6, distance=5),
        embedding_scale=None,
        output_bias=False,
        output_scale=20**-0.5,
    ),
    "mBART": replace(TRANSLATOR, arrangement="pre", positions=PositionConfig(kind="learned"), embedding_norm=True),
    "two vocabularies": replace(TRANSLATOR, source_vocabulary=31, tied=False),
}


def model(config: ModelConfig) -> LanguageModel:
    network = shapes.lively(replace(config, vocabulary=LETTERS.vocab_size), dtype=torch.float64)
    return LanguageModel(network, LETTERS)


def inputs(text: str = TEXT, target: str = TARGET) -> dict[str, Tensor]:
    """As training has it: the source ends with the separator, and the target begins with it."""
    return {
        "source_BS": torch.tensor([[*LETTERS.encode(text), SEPARATOR]]),
        "ids_BT": torch.tensor([[SEPARATOR, *LETTERS.encode(target)]]),
    }


@torch.no_grad()
def logits(lm: LanguageModel, **texts: str) -> Tensor:
    return lm.network(**inputs(**texts))[0]


class TestNextWords:
    @pytest.mark.parametrize("target", [None, "eins zwei"])
    @torch.no_grad()
    def test_they_are_those_of_transformers(self, target: str | None, tmp_path: Path) -> None:
        theirs = little_pieces.marian_model(tmp_path).double()
        ours = hub.load(tmp_path, dtype="float64")
        found = next_words(ours, "one two three", target=target, top=4, layers=True)
        source_BS = torch.tensor([observe(ours, "one two three", target="eins").of("encoder").ids])
        ids_BT = torch.tensor([[theirs.config.decoder_start_token_id, *ours.tokenizer.encode(target or "")]])
        most = theirs(input_ids=source_BS, decoder_input_ids=ids_BT).logits[0, -1].softmax(-1).topk(4)
        assert [each.id for each in found.candidates] == most.indices.tolist()
        assert [each.probability for each in found.candidates] == pytest.approx(most.values.tolist(), rel=1e-9)
        assert (found.source, found.text, len(found.tokens)) == ("one two three", target or "", ids_BT.shape[1])
        assert {each.site.stack for each in found.layers} == {"decoder"}
        assert found.layers[-1].probability == pytest.approx(found.candidates[0].probability)

    def test_an_edit_of_the_encoder_changes_them(self) -> None:
        lm, change = translator(), Ablate(layer=0, head=1, stack="encoder")
        plain, edited = (next_words(lm, TEXT, target="xy", edits=each) for each in ((), change))
        assert plain.candidates != edited.candidates
        by_id = {each.id: each.probability for each in edited.candidates}
        known = [each for each in effect(lm, TEXT, change, target="xy").candidates if each.id in by_id]
        assert known
        assert [by_id[each.id] for each in known] == pytest.approx([each.after for each in known])


class TestParts:
    @pytest.mark.parametrize("kind", SHAPES)
    def test_the_shares_sum_to_the_logit(self, kind: str) -> None:
        lm = model(SHAPES[kind])
        logits_TV = logits(lm)
        for query, token, other in ((None, "b", None), (2, "b", "你"), (0, 7, None)):
            found = logit_parts(lm, TEXT, target=TARGET, query=query, token=token, against=other)
            row_V = logits_TV[-1 if query is None else query]
            expected = float(row_V[found.token_id] - (0 if found.against is None else row_V[found.against]))
            assert found.logit == pytest.approx(expected, abs=1e-12)
            assert found.total == pytest.approx(expected, abs=1e-10)  # float64 throughout
            c = lm.config
            assert len(found.of("head")) == len(found.of("cross_head")) == c.layers * c.attention.heads
            assert len(found.of("feed_forward")) == c.layers
            assert found.source is not None
            assert (found.source.text, found.tokenized.text) == (TEXT, TARGET)

    def test_a_cross_head_adds_what_it_read_of_the_text(self) -> None:
        """By the definition: attention weights, values, W_O, at the scale that the final norm had."""
        lm = model(SHAPES["T5"])
        network: Any = lm.network
        kept: dict[str, Tensor] = {}
        cross = network.blocks[1].cross
        hooks = [
            network.blocks[1].cross_norm.register_forward_hook(lambda *given: kept.update(read=given[2])),
            network.norm.register_forward_hook(lambda *given: kept.update(stream=given[1][0])),
            network.encoder.norm.register_forward_hook(lambda *given: kept.update(source=given[2])),
        ]
        logits(lm)
        for hook in hooks:
            hook.remove()
        head, D, x_E = 3, 5, kept["stream"][0, -1]
        with torch.no_grad():
            q_D = network.blocks[1].cross.query.weight[head * D : (head + 1) * D] @ kept["read"][0, -1]
            k_SD, v_SD = (  # heads 2 and 3 share the second group of keys and values
                kept["source"][0] @ cross.kv.weight[first : first + D].T for first in (D, 3 * D)
            )
            o_D = (k_SD @ q_D).softmax(0) @ v_SD  # T5's scores are not scaled
            added_E = cross.out.weight[:, head * D : (head + 1) * D] @ o_D
            scale_E = network.norm.weight * (x_E.square().mean() + lm.config.norm.eps).rsqrt()
            found = logit_parts(lm, TEXT, target=TARGET, token="b")
            expected = float(network.embedding.weight[found.token_id] * 20**-0.5 @ (scale_E * added_E))
        (share,) = (share for share in found.of("cross_head") if (share.layer, share.head) == (1, head))
        assert share.value == pytest.approx(expected, abs=1e-10)
        assert str(share) == "cross-head 1.3"

    def test_the_token_is_the_translations_next_one(self) -> None:
        found = logit_parts(model(TRANSLATOR), TEXT, target=TARGET, query=1)
        assert (found.token, found.given) == ("y", True)


class TestLens:
    @pytest.mark.parametrize("apart", [False, True])
    @torch.no_grad()
    def test_it_reads_what_transformers_decoder_has_between_its_layers(self, apart: bool, tmp_path: Path) -> None:
        theirs = little_pieces.marian_model(tmp_path, apart=apart).double()
        ours = hub.load(tmp_path, dtype="float64")
        found = lens(ours, "one two three", target="eins zwei", top=3)
        source_BS, ids_BT = (torch.tensor([each.ids]) for each in (found.source, found.tokenized))
        out = theirs(input_ids=source_BS, decoder_input_ids=ids_BT, output_hidden_states=True)
        last_TV = out.logits[0].log_softmax(-1)
        assert len(found.sites) == len(out.decoder_hidden_states)
        for row, x_BTE in enumerate(out.decoder_hidden_states):
            logp_TV = (theirs.lm_head(x_BTE) + theirs.final_logits_bias)[0].log_softmax(-1)
            most = logp_TV.exp().topk(3)
            torch.testing.assert_close(found.p_RTN[row], most.values, rtol=1e-9, atol=0)
            assert torch.equal(found.ids_RTN[row], most.indices)
            divergence_T = (last_TV.exp() * (last_TV - logp_TV)).sum(-1)
            torch.testing.assert_close(found.kl_RT[row], divergence_T, rtol=1e-9, atol=1e-12)
        assert found.tokenized.ids[0] == theirs.config.decoder_start_token_id
        assert found.source.ids[-1] == 0

    def test_without_a_target_it_reads_the_models_own_translation(self) -> None:
        lm = translator()
        found = lens(lm, TEXT)
        assert found.tokenized.ids == observe(lm, TEXT).ids
        assert {site.stack for site in found.sites} == {"decoder"}
        assert [str(site) for site in found.sites] == [
            "decoder.0.embedding",
            "decoder.0.residual",
            "decoder.1.residual",
        ]


UNTIED: dict[str, ModelConfig] = {
    **{name: replace(config, tied=False) for name, config in SHAPES.items()},
    **{name: replace(config, tied=False) for name, config in RIVAL_TRANSLATORS.items()},
}


class TestAttribution:
    @pytest.mark.parametrize("kind", UNTIED)
    def test_it_is_the_slope_of_the_log_probability_in_both_texts(self, kind: str) -> None:
        """By small steps of one row of an embedding, which no other place and no output layer uses."""
        lm, place, step = model(UNTIED[kind]), 3, 1e-5
        network: Any = lm.network
        found = attribution(lm, TEXT, target=TARGET, query=place)
        assert (found.token, found.given) == ("u", True)
        assert found.logprob == pytest.approx(float(logits(lm)[place].log_softmax(-1)[found.token_id]), abs=1e-12)
        apart = getattr(lm.config, "source_vocabulary", None) is not None
        read = network.encoder.embedding if apart else network.embedding

        def slope(weight_VE: Tensor, token: int) -> list[float]:
            slopes = list[float]()
            for e in range(weight_VE.shape[1]):
                at = list[float]()
                for move in (step, -step):
                    with torch.no_grad():
                        weight_VE[token, e] += move
                        at.append(float(logits(lm)[place].log_softmax(-1)[found.token_id]))
                        weight_VE[token, e] -= move
                slopes.append((at[0] - at[1]) / (2 * step))
            return slopes

        sides = [
            (read, found.source, found.source_norms, found.source_products, range(len(TEXT))),
            (network.embedding, found.tokenized, found.norms, found.products, range(1, 1 + len(TARGET))),
        ]
        for embedding, text, norms, products, places in sides:
            assert len(norms) == len(products) == len(text.ids)
            for at in places:
                slopes, x_E = slope(embedding.weight, text.ids[at]), embedding.weight[text.ids[at]].tolist()
                assert norms[at] == pytest.approx(math.hypot(*slopes), rel=1e-5, abs=1e-8)
                product = sum(a * b for a, b in zip(slopes, x_E, strict=True))
                assert products[at] == pytest.approx(product, rel=1e-4, abs=1e-7)
        assert found.norms[place + 1 :] == (0.0,) * (len(found.norms) - place - 1)
        assert sum(found.shares) + sum(found.source_shares) == pytest.approx(1)

    @pytest.mark.parametrize("kind", ["Marian", "T5", "two vocabularies", "lstm"])
    def test_an_integrated_gradient_adds_up_over_both_texts(self, kind: str) -> None:
        """From a text of one letter alone, between the same special tokens, to the text."""
        lm = model({**SHAPES, **RIVAL_TRANSLATORS}[kind])
        options: dict[str, Any] = {"by": "integrated-gradient", "baseline": "k", "tolerance": 1e-6}
        found = attribution(lm, TEXT, target=TARGET, query=4, **options)
        before = logits(lm, text="kkkk", target="kkkkk")[4].log_softmax(-1)[found.token_id]
        assert found.baseline is not None
        assert (found.baseline.name, found.baseline.logprob) == ("k", pytest.approx(float(before), abs=1e-10))
        change = found.logprob - float(before)
        assert sum(found.products) + sum(found.source_products) == pytest.approx(change, abs=1e-6)
        assert found.products[0] == found.source_products[-1] == 0  # the separators stay


class TestSweep:
    @pytest.mark.parametrize("kind", ["Marian", "T5", "two vocabularies"])
    def test_each_head_taken_out_and_predicted(self, kind: str) -> None:
        """A head without its columns of W_O; its prediction is the slope as these columns shrink."""
        lm = model(SHAPES[kind])
        measure = diff("b", "你")
        found = sweep(lm, TEXT, "heads", measure, target=TARGET, place=2)
        by_gradient = sweep(lm, TEXT, "heads", measure, target=TARGET, place=2, by="gradient")
        yes, no = LETTERS.encode("b你")

        def value() -> float:
            row_V = logits(lm)[2]
            return float(row_V[yes] - row_V[no])

        base, step, D = value(), 1e-4, 5
        assert found.base == by_gradient.base == pytest.approx(base, abs=1e-12)
        assert len(found.entries) == 4 * (3 + 2 + 2)
        for entry, predicted in zip(found.entries, by_gradient.entries, strict=True):
            (edit,) = entry.edits
            stack: Any = lm.network.encoder if edit.stack == "encoder" else lm.network
            block = stack.blocks[edit.layer]
            out: Any = (block.cross if edit.kind == "cross" else block.attention).out
            columns = slice(edit.head * D, (edit.head + 1) * D)
            with torch.no_grad():
                kept = out.weight[:, columns].clone()
                at = list[float]()
                for factor in (0.0, 1 + step, 1 - step):
                    out.weight[:, columns] = factor * kept
                    at.append(value())
                out.weight[:, columns] = kept
            assert entry.change == pytest.approx(at[0] - base, abs=1e-10)
            assert predicted.change == pytest.approx(-(at[1] - at[2]) / (2 * step), rel=1e-5, abs=1e-7)

    @pytest.mark.parametrize("kind", [*SHAPES, *RIVAL_TRANSLATORS])
    @pytest.mark.parametrize("what", ["places", "edges", "parts"])
    def test_by_name_as_one_at_a_time(self, kind: str, what: str) -> None:
        lm = model({**SHAPES, **RIVAL_TRANSLATORS}[kind])
        found = sweep(lm, TEXT, what, logprob("b"), target=TARGET)
        edits = every(lm, what, TEXT, target=TARGET)
        assert [entry.edits for entry in found.entries] == [(edit,) for edit in edits]
        S, T, sites = len(TEXT) + 1, len(TARGET) + 1, lm.sites()
        if what == "places":
            streams = [site for site in sites if site.kind in ("embedding", "residual")]
            assert len(edits) == sum(S if site.stack == "encoder" else T for site in streams)
        if what == "edges":
            own = [site for site in sites if site.attends and site.stack == "decoder"]
            assert len(edits) == sum(S if site.kind == "cross" else T for site in own)
            assert {edit.query for edit in edits if isinstance(edit, Knockout)} == {T - 1}
        for entry in found.entries[:: max(1, len(edits) // 5)]:
            alone = effect(lm, TEXT, entry.edits, target=TARGET, measures=logprob("b"))
            ((before, after),) = alone.measures.values()
            assert entry.change == pytest.approx(after - before, abs=1e-10)
            assert alone.heading == f"{TEXT} → {TARGET}" == found.heading

    def test_the_loss_is_that_of_the_translation(self) -> None:
        lm = model(TRANSLATOR)
        found = sweep(lm, TEXT, [Ablate(layer=1, kind="cross", head=2)], nll, target=TARGET)
        logits_TV, ids = logits(lm), inputs()["ids_BT"][0]
        assert found.base == pytest.approx(float(cross_entropy(logits_TV[:-1], ids[1:])), abs=1e-12)

    def test_patches_come_from_another_text_under_the_same_translation(self) -> None:
        """All of what the last layer of the encoder gives, so that the prediction is that of the other text."""
        lm = model(TRANSLATOR)
        other = observe(lm, "efgh", target=TARGET, keep="residual parts heads")
        whole = Patch(layer=2, kind="residual", stack="encoder", source=other)
        found = sweep(lm, TEXT, [whole], kl_from(other), target=TARGET)
        there = logits(lm, text="efgh")[-1].log_softmax(-1)
        here = logits(lm)[-1].log_softmax(-1)
        assert found.base == pytest.approx(float((there.exp() * (there - here)).sum()), abs=1e-10)
        assert found.entries[0].value == pytest.approx(0, abs=1e-10)
        heads = sweep(lm, TEXT, "heads", kl, target=TARGET, source=other)
        assert len(heads.entries) == 28
        longer = observe(lm, "efghi", target=TARGET, keep="residual parts heads")
        with pytest.raises(OptionError, match=r"sweep: the source has 6 tokens and the text 5"):
            sweep(lm, TEXT, "heads", kl, target=TARGET, source=longer)

    def test_a_place_beyond_its_own_text_is_refused(self) -> None:
        lm = model(TRANSLATOR)
        sweep(lm, "abcdefgh", [Knockout(layer=1, kind="cross", query=2, key=8)], kl, target="x" * 5)
        with pytest.raises(WatchError, match="the text has places 0 to 5"):
            sweep(lm, "abcdefgh", [Knockout(layer=1, kind="cross", query=8, key=2)], kl, target="x" * 5)
        with pytest.raises(WatchError, match="the text has places 0 to 4"):
            sweep(lm, TEXT, [Ablate(layer=1, kind="residual", stack="encoder", at=5)], kl, target="x" * 9)


class TestInterventions:
    def test_a_direction_of_either_stack(self) -> None:
        """The encoder's last stream is what the decoder reads; the decoder's, what the output layer reads."""
        lm = model(TRANSLATOR)
        with torch.no_grad():
            read = [lm.network.read(inputs(text)["source_BS"]).x_BSE[0, -1] for text in (TEXT, "efgh")]  # pyright: ignore
        found = direction(lm, TEXT, "efgh", layer=2, stack="encoder")
        torch.testing.assert_close(torch.tensor(found.vector, dtype=torch.float64), read[0] - read[1])
        short = translator()
        with torch.no_grad():
            ends = [
                short.network.hidden(**inputs(text, observe(short, text).text or ""))[0, -1] for text in ("ab", "cd")
            ]
        found = direction(short, "ab", "cd", layer=1, stack="decoder")
        torch.testing.assert_close(torch.tensor(found.vector, dtype=torch.float64), ends[0] - ends[1])

    def test_a_path_from_the_encoder_into_a_cross_head(self) -> None:
        """What the reader takes as values changes by the head's own share of the last stream, and by nothing else."""
        lm = model(SHAPES["T5"])
        network: Any = lm.network
        out, D, head = network.encoder.blocks[2].attention.out.weight, 5, 1
        record = observe(lm, TEXT, target=TARGET, keep="residual heads")
        with torch.no_grad():
            o_SD = record.head_outputs(Site(2, "self", "encoder"))[head]
            x_SE = record.output(Site(2, "residual", "encoder")) - o_SD @ out[:, head * D : (head + 1) * D].T
            values_SF = network.encoder.norm(x_SE) @ network.blocks[0].cross.kv.weight[2 * D :].T
        change = Ablate(layer=2, head=head, stack="encoder")
        patch = path(lm, TEXT, change, target=TARGET, layer=0, kind="cross", head=3, what="value")
        assert isinstance(patch.source, TextRecord)
        values_GSD = patch.source.values(Site(0, "cross"))
        torch.testing.assert_close(values_GSD[1], values_SF[:, D:])  # head 3's group
        assert patch.source.text == TARGET


class TestRefusals:
    @pytest.mark.parametrize("verb", [lens, attribution, logit_parts])
    def test_a_target_of_what_does_not_translate(self, verb: Any) -> None:
        lm = LanguageModel(shapes.lively(replace(GPT2, vocabulary=257)), BYTES)
        with pytest.raises(OptionError, match=r"looking at a translation \(target\) needs a model that translates"):
            verb(lm, "ab", target="cd")

    @pytest.mark.parametrize(
        "call",
        [
            lambda lm, **given: lens(lm, ["a", "b"], **given),
            lambda lm, **given: sweep(lm, ["a", "b"], "heads", kl, **given),
            lambda lm, **given: effect(lm, ["a", "b"], Ablate(layer=0, kind="cross", head=0), **given),
        ],
    )
    def test_one_target_of_several_texts(self, call: Any) -> None:
        with pytest.raises(OptionError, match="a target was given with 2 texts; give it with one text"):
            call(model(TRANSLATOR), target="c")
        assert len(call(model(TRANSLATOR))) == 2

    def test_ids_and_empty_and_long_texts(self) -> None:
        lm = model(TRANSLATOR)
        with pytest.raises(
            OptionError, match=r"lens: this model reads one text and writes another, and one row of ids"
        ):
            lens(lm, [1, 2])
        with pytest.raises(OptionError, match="sweep: the text is empty"):
            sweep(lm, "", "heads", kl)
        with pytest.raises(TextError, match=r"parts: the translation has 31 tokens.*context is 23"):
            logit_parts(lm, TEXT, target="x" * 30)

    @pytest.mark.parametrize("kind", RIVAL_TRANSLATORS)
    def test_layers_without_a_residual_stream(self, kind: str) -> None:
        lm = model(RIVAL_TRANSLATORS[kind])
        with pytest.raises(OptionError, match="lens: this model has no residual stream"):
            lens(lm, TEXT, target=TARGET)
        with pytest.raises(OptionError, match="parts: this model has no residual stream"):
            logit_parts(lm, TEXT, target=TARGET)

    def test_what_translators_do_not_have(self, tmp_path: Path) -> None:
        (tmp_path / "x.txt").write_text("abc " * 100)
        with pytest.raises(OptionError, match="a tuned lens needs a model that predicts"):
            tune_lens(model(TRANSLATOR), tmp_path / "x.txt")
        with pytest.raises(OptionError, match=r"find_heads: its kinds are about random text"):
            find_heads(model(TRANSLATOR))
        with pytest.raises(OptionError, match="senses needs a model that turns texts into vectors; with this one you"):
            senses(model(TRANSLATOR), "abc", ["abc ab", "ab abc"])
