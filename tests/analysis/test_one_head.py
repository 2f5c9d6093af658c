"""One head step by step: equal to the pass, to plain Python, to transformers; the errors."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers

from clearhead.analysis import by_hand, observe_ids, one_head, steps
from clearhead.attend import documents, knockout
from clearhead.drawing import steps_export
from clearhead.errors import OptionError, TextError
from clearhead.language_model import LanguageModel
from clearhead.model import PositionConfig, build, evaluating
from clearhead.tap import Site
from clearhead.watching import watch
from heads import KINDS, TEXT, lively
from looked import BYTES, speaking
from toy_recurrent import Toy, ToyConfig

# float32 sums of some tens of terms near 1: n eps of their sizes (Higham 2002, eq. 3.5)
NEAR = 2e-5


def held(found: one_head.Steps) -> dict[str, Any]:
    return json.loads(steps_export.encoded(found, 0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layer", "head"), [(0, 0), (2, 1)])
def test_plain_python_on_the_file_gives_every_step_of_the_pass(kind: str, layer: int, head: int):
    numbers = held(steps(lively(kind), TEXT, layer=layer, head=head))
    made = by_hand.attention(numbers)
    assert made.keys() == numbers["steps"].keys()
    for name, rows in made.items():
        assert by_hand.difference(rows, numbers["steps"][name]) < NEAR, name


@pytest.mark.parametrize("kind", KINDS)
def test_float64_models_leave_only_the_rounding_of_the_file(kind: str):
    found = steps(lively(kind, torch.float64), TEXT, layer=1, head=1)
    numbers = held(found)
    assert max(found.differences.values()) < 1e-12
    for name, rows in by_hand.attention(numbers).items():
        size = max(1.0, max(abs(number) for row in rows for number in row))
        assert by_hand.difference(rows, numbers["steps"][name]) < 1e-7 * size, name


@pytest.mark.parametrize("kind", KINDS)
def test_weights_output_and_joined_rows_are_those_of_the_record(kind: str):
    model = lively(kind)
    found = steps(model, TEXT, layer=2, head=1)
    with torch.inference_mode(), evaluating(model.network), watch(model, keep="heads parts") as record:
        model.network.hidden(model.ids(TEXT))
    text = record.only()
    torch.testing.assert_close(found.weights_TT.float(), text.map(found.site, 1)[:], rtol=0, atol=1e-6)
    assert torch.equal(found.taken["mixed"], text.head_outputs(found.site)[1])
    assert torch.equal(found.joined_TF, text.head_outputs(found.site).transpose(0, 1).flatten(1))
    assert torch.equal(found.output_TE, text.output(found.site))
    assert max(found.differences.values()) < NEAR


def test_the_weights_are_those_of_transformers():
    torch.manual_seed(0)
    sizes = {"vocab_size": BYTES.vocab_size, "n_positions": 23, "n_embd": 21, "n_layer": 3, "n_head": 3}
    sizes |= {"bos_token_id": 0, "eos_token_id": 0}
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, attn_implementation="eager")).double().eval()
    model = lively("biases, learned places", torch.float64)
    names = {"wte": "embedding.weight", "wpe": "positions.weight"}
    own = model.network.state_dict()
    with torch.no_grad():
        for name, short in names.items():
            getattr(theirs.transformer, name).weight.copy_(own[short])
        for layer, block in enumerate(theirs.transformer.h):
            at = f"blocks.{layer}."
            for norm, ours in (("ln_1", "attention_norm"), ("ln_2", "feed_forward_norm")):
                getattr(block, norm).weight.copy_(own[f"{at}{ours}.weight"])
                getattr(block, norm).bias.copy_(own[f"{at}{ours}.bias"])
            for part, ours in ((block.attn.c_attn, "attention.qkv"), (block.attn.c_proj, "attention.out")):
                part.weight.copy_(own[f"{at}{ours}.weight"].T)
                part.bias.copy_(own[f"{at}{ours}.bias"])
        passed: list[torch.Tensor] = []
        theirs.transformer.h[0].ln_1.register_forward_hook(lambda part, given, made: passed.append(made[0]))
        theirs.transformer.h[0].attn.register_forward_hook(lambda part, given, made: passed.append(made[0][0]))
        attentions = theirs(model.ids(TEXT), output_attentions=True).attentions
    found = steps(model, TEXT, layer=0, head=2)
    for mine, other in ((found.x_TE, passed[0]), (found.weights_TT, attentions[0][0, 2]), (found.output_TE, passed[1])):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)


def test_a_row_worked_out_by_hand():
    """Scores 0 and log 3 share one to three, so values 0 and 8 mix to 6; a sink of log 4 takes half of it."""
    scores = by_hand.masked([[0.0, math.log(3), 5.0]], [[None, None, "later"]])
    assert by_hand.softmax(scores, None)[0] == pytest.approx([0.25, 0.75, 0.0])
    assert by_hand.mixed([[0.25, 0.75, 0.0]], [[0.0], [8.0], [99.0]]) == [[6.0]]
    assert by_hand.softmax(scores, math.log(4))[0] == pytest.approx([0.125, 0.375, 0.0])
    assert by_hand.softmax([[-math.inf]], None) == [[0.0]]
    assert by_hand.turned([[1.0, 2.0, 7.0]], [[0.0, 0.0]], [[-1.0, 1.0]]) == [[-2.0, 1.0, 7.0]]  # a quarter turn
    assert by_hand.normed([[3.0, 4.0]], [1.0, 2.0], 0.0, None)[0] == pytest.approx([3 / 12.5**0.5, 8 / 12.5**0.5])
    assert by_hand.scores([[2.0]], 0.5, 3.0) == [[3 * math.tanh(1 / 3)]]


def test_grouped_heads_name_the_key_head_they_read():
    model = lively("grouped, normed, rotated")
    of_heads = [steps(model, TEXT, head=head) for head in range(4)]
    assert [found.key_head for found in of_heads] == [0, 0, 1, 1]
    assert torch.equal(of_heads[2].taken["value"], of_heads[3].taken["value"])
    assert not torch.equal(of_heads[1].taken["value"], of_heads[2].taken["value"])


def test_the_reason_for_hiding_a_key_is_given():
    window = steps(lively("window"), TEXT)
    assert window.rules == ("causal", "window 4")
    assert window.hidden[5] == ["window", "window", None, None, None, None, *["later"] * (len(window.hidden) - 6)]
    both = steps(lively("window to both sides"), TEXT)
    assert both.hidden[4][:3] == ["window", "window", None]
    assert both.hidden[4][6:8] == [None, "window"]
    model = speaking()
    ids_1T = torch.tensor([[0, 0, 1, 1]])
    apart = steps(model, "abc", mask=documents(ids_1T))
    assert apart.hidden[3] == ["document", "document", None, None]
    record = observe_ids(model, model.encode("abc"), mask=documents(ids_1T))
    torch.testing.assert_close(apart.weights_TT.float(), record[0, 0][:], rtol=0, atol=1e-6)
    assert steps(model, "abc", mask=knockout([(3, 1)])).hidden[3] == [None, "other", None, None]


def test_steps_leave_the_model_as_it_was():
    model = speaking()
    before = model.logits(TEXT)
    steps(model, TEXT, layer=1)
    assert torch.equal(model.logits(TEXT), before)
    parts = model.network.modules()
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in parts)


def test_half_precision_is_shown_with_its_rounding():
    found = steps(lively("grouped, normed, rotated", torch.bfloat16), TEXT)
    assert found.dtype == "bfloat16"
    assert 1e-4 < found.differences["mixed"] < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 2}, "layer 2: the model has layers 0 to 1"),
        ({"layer": -1}, "layer -1: the model has layers 0 to 1"),
        ({"head": 6}, "head 6: the model has heads 0 to 5 in layer 0"),
    ],
)
def test_a_missing_layer_or_head_is_refused(options: dict[str, int], message: str):
    with pytest.raises(OptionError, match=message):
        steps(speaking(), "ab", **options)


def test_texts_that_do_not_fit_are_refused():
    with pytest.raises(OptionError, match="the text is empty"):
        steps(speaking(), "")
    with pytest.raises(TextError, match="200 tokens; a page of every number takes at most 128; shorten the text"):
        steps(speaking(context=300), "a" * 199)
    with pytest.raises(TextError, match="the model's context is 101"):
        steps(speaking(), "a" * 101)


def test_too_many_numbers_are_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(one_head, "NUMBERS", 1000)
    with pytest.raises(TextError, match=r"3 tokens of this model make 1,\d+ numbers; a page takes at most 1,000"):
        steps(speaking(), "ab")


class Deaf(Toy):
    """A recurrence that attends to nothing."""

    def sites(self) -> dict[Site, int]:
        return {}


def test_models_without_attention_of_their_own_kind_are_refused():
    config = ToyConfig(vocabulary=BYTES.vocab_size, context=9, layers=1, width=8, heads=2)
    with pytest.raises(OptionError, match=r"decoder.0.self has no query, key and value matrices .* clearhead look"):
        steps(LanguageModel(Toy(config), BYTES), "ab")
    with pytest.raises(OptionError, match="steps: this model has no attention; see what it predicts"):
        steps(LanguageModel(Deaf(config), BYTES), "ab")


def test_a_bias_by_distance_is_a_step_that_is_not_shown():
    config = replace(speaking().config, positions=PositionConfig(kind="relative"))
    with pytest.raises(OptionError, match=r"steps: this model adds a bias by distance .* clearhead look"):
        steps(LanguageModel(build(config, seed=0), BYTES), "ab")
