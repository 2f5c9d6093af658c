"""One prompt alone and in batches of up to 32, in float32: the same tokens, and bits where promised."""

from dataclasses import replace

import pytest
import torch

from clearhead.generation import Completion, generate
from clearhead.language_model import LanguageModel
from clearhead.model import AttentionConfig, ExpertsConfig, FeedForwardConfig, LayerConfig, NormConfig, build
from clearhead.text import Tokenizer
from little_configs import GPT2, QWEN3

BYTES = Tokenizer.bytes()
PROMPTS = [
    "The quick brown fox jumps over the lazy dog, and sleeps."[: 3 * n % 47] + chr(97 + n % 26) for n in range(32)
]
ROUNDING = 2e-5  # nats, of log-probabilities around -5 in float32

FAMILIES = {
    "Qwen 3": QWEN3,
    "Llama": replace(
        QWEN3,
        width=64,
        tied=False,
        attention=AttentionConfig(heads=4, kv_heads=2, head_width=16, head_norm="none"),
        feed_forward=FeedForwardConfig(width=160),
    ),
    "GPT-2": replace(
        GPT2,
        width=64,
        attention=replace(GPT2.attention, heads=4, kv_heads=4, head_width=16),
        feed_forward=replace(GPT2.feed_forward, width=256),
    ),
    "Gemma 3": replace(
        QWEN3,
        feed_forward=FeedForwardConfig(kind="geglu-tanh", width=17),
        arrangement="sandwich",
        embedding_scale=20**0.5,
        logit_softcap=30.0,
        norm=NormConfig(offset=1.0),
        pattern=(LayerConfig(window=5), LayerConfig()),
    ),
    "Mixtral": replace(QWEN3, feed_forward=FeedForwardConfig(width=7, experts=ExpertsConfig(count=5, active=2))),
    "gpt-oss": replace(QWEN3, attention=replace(QWEN3.attention, sinks=True, window=5)),
}
WAYS = {"greedy": {"temperature": 0}, "sampled": {"temperature": 1.0, "top_p": 0.95, "seed": 5}}


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    """float32, with weights wide enough that the tokens' probabilities differ much."""
    network = build(replace(FAMILIES[request.param], vocabulary=257, context=64), seed=3).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("sinks"):
                parameter.zero_()
            elif parameter.dim() > 1:
                parameter.mul_(8)
    return LanguageModel(network, BYTES)


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> dict:
    return {**WAYS[request.param], "max_tokens": 6}


@pytest.fixture(scope="module")
def alone(model: LanguageModel, way: dict) -> list[Completion]:
    return [generate(model, prompt, **way) for prompt in PROMPTS]


def test_in_batches_of_up_to_32_the_tokens_are_those_of_each_prompt_alone(
    model: LanguageModel, way: dict, alone: list[Completion]
):
    assert len({each.ids for each in alone}) > 8  # else the prompts would not matter
    for size in (3, 8, 17, 31, 32):  # also such that do not divide 32, and last batches of one
        got = generate(model, PROMPTS, together=size, **way)
        assert [each.ids for each in got] == [each.ids for each in alone], size
        for one, other in zip(got, alone, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=ROUNDING)


def test_one_by_one_the_bits_are_those_of_each_prompt_alone(model: LanguageModel, way: dict, alone: list[Completion]):
    expected = dict(zip(PROMPTS, alone, strict=True))
    for prompts in (PROMPTS[:9], PROMPTS[9::-1], PROMPTS[3:5], PROMPTS[7:8] * 3):
        got = generate(model, prompts, together=1, **way)
        assert [(each.ids, each.logprobs) for each in got] == [
            (expected[prompt].ids, expected[prompt].logprobs) for prompt in prompts
        ]
