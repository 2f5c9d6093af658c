"""The engine against the simplest decoding: the whole text through the model for every token."""

import pytest
import torch
from little import SEPARATOR, little, scripted, written

from clearhead import machine
from clearhead.errors import ClearheadError, MemoryNeededError, RequestError
from clearhead.generation.decoding import Decoding
from clearhead.generation.filters import next_ids
from clearhead.generation.sampling import Sampling
from clearhead.model import ScalingConfig
from clearhead.tap import Site
from clearhead.watching import watch

PROMPT = [SEPARATOR, 72, 101, 108, 108, 111]


def plainly(model, prompt, number):
    """Greedy ids and log-probabilities without cache, batch or guesses."""
    ids, logprobs = list(prompt), []
    with torch.no_grad():
        for _ in range(number):
            p_V = model(torch.tensor([ids]))[0, -1].log_softmax(-1)
            ids.append(int(p_V.argmax()))
            logprobs.append(float(p_V[ids[-1]]))
    return ids[len(prompt) :], logprobs


@pytest.mark.parametrize("shape", ["qwen3", "gpt2"])
@pytest.mark.parametrize("lookup", [False, True])
def test_greedy_decoding_is_the_full_forward_pass_again_and_again(shape, lookup):
    model = little(shape=shape)
    assert written(model, PROMPT, 50, temperature=0, lookup=lookup) == plainly(model, PROMPT, 50)[0]


def test_decoding_with_a_window_is_the_full_forward_pass_too():
    model = little(window=5)
    assert written(model, PROMPT, 40, temperature=0) == plainly(model, PROMPT, 40)[0]


def test_log_probabilities_are_the_models_own():
    model = little()
    expected_ids, expected = plainly(model, PROMPT, 20)
    sampling = Sampling(temperature=0, repetition_penalty=1.0, max_tokens=20)
    decoding = Decoding(model, [PROMPT], sampling, vocabulary=257, lookup=False)
    drawn = [token for _ in range(20) for token in decoding.step()]
    assert [token.id for token in drawn] == expected_ids
    assert [token.logprob for token in drawn] == pytest.approx(expected, abs=1e-9)


def test_log_probabilities_come_before_temperature_penalty_and_filters():
    model = little()
    sampling = Sampling(temperature=0.5, repetition_penalty=1.5, top_k=3, max_tokens=20, seed=4)
    decoding = Decoding(model, [PROMPT], sampling, vocabulary=257)
    drawn: list = []
    while len(drawn) < 20:
        drawn += decoding.step()
    ids = [token.id for token in drawn]
    with torch.no_grad():
        p_TV = model(torch.tensor([PROMPT + ids]))[0].log_softmax(-1)
    expected = [float(p_TV[len(PROMPT) - 1 + place, token]) for place, token in enumerate(ids)]
    assert [token.logprob for token in drawn] == pytest.approx(expected, abs=1e-9)


SETTINGS = [
    {"temperature": 0},
    {"temperature": 0, "repetition_penalty": 1.3},
    {"temperature": 1.0, "seed": 3},
    {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.1, "seed": 5},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("shape", ["qwen3", "gpt2"])
def test_guesses_change_no_token(settings, shape):
    model = little(shape=shape)
    prompt = [SEPARATOR, *b"again and again and again and"]
    assert written(model, prompt, 30, **settings) == written(model, prompt, 30, **settings, lookup=False)


def test_guesses_save_passes_where_a_text_repeats_itself():
    model, passes = scripted([5, 6, 7, 8], prompt=0), 0
    decoding = Decoding(model, [[SEPARATOR]], Sampling(temperature=0, max_tokens=60), vocabulary=257)
    ids: list[int] = []
    while len(ids) < 60:
        ids += [token.id for token in decoding.step()]
        passes += 1
    assert ids[:60] == [5, 6, 7, 8] * 15
    assert passes <= 12  # 6 until the first guess, 2 with few, then 16 tokens a pass


def test_wrong_guesses_are_forgotten():
    circle = [1, 2, 4, 1, 2, 5, 1, 2, 6, 3]  # 1 2 goes on differently each time
    model = scripted(circle)
    assert written(model, [SEPARATOR], 60, temperature=0) == circle * 6


def batch(model, prompts, **settings):
    """All ids of every prompt, written together until each has as many as the context or max_tokens allows."""
    sampling = Sampling(**settings)
    decoding = Decoding(model, prompts, sampling, vocabulary=257)
    ids: list[list[int]] = [[] for _ in prompts]
    while decoding.live:
        for token in decoding.step():
            if token.sequence not in decoding.live:
                continue
            ids[token.sequence].append(token.id)
            length = len(prompts[token.sequence]) + len(ids[token.sequence])
            if len(ids[token.sequence]) == sampling.max_tokens or length > model.config.context:
                decoding.drop(token.sequence)
    return ids


LENGTHS = [6, 1, 41, 6, 60, 61, 17]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("shape", ["qwen3", "gpt2"])
@pytest.mark.parametrize("max_tokens", [9, 100])
def test_every_text_of_a_batch_is_what_it_is_alone(settings, shape, max_tokens):
    model = little(shape=shape)
    random = torch.Generator().manual_seed(1)
    prompts = [[SEPARATOR, *torch.randint(256, (n - 1,), generator=random).tolist()] for n in LENGTHS]
    together = batch(model, prompts, **settings, max_tokens=max_tokens)
    assert together == [batch(model, [prompt], **settings, max_tokens=max_tokens)[0] for prompt in prompts]
    assert [len(ids) for ids in together] == [min(max_tokens, 62 - n) for n in LENGTHS]


def test_a_batch_with_a_window_too():
    model = little(window=4)
    prompts = [[SEPARATOR, 1, 2], [SEPARATOR], [SEPARATOR, 5, 6, 7, 8, 9, 10, 11]]
    together = batch(model, prompts, temperature=0, max_tokens=100)
    assert together == [batch(model, [prompt], temperature=0, max_tokens=100)[0] for prompt in prompts]


LONGROPE = ScalingConfig(kind="longrope", factor=4.0, original=13, short=(1.0, 1.5, 2.0), long=(2.0, 5.0, 9.0))


def test_a_batch_whose_texts_come_to_the_border_of_longrope_one_after_the_other():
    """Each is recomputed when it crosses; the first is dropped in between."""
    model = little(scaling=LONGROPE)
    prompts = [[SEPARATOR, 1, 2], [SEPARATOR, *range(11)], [SEPARATOR, *range(3, 20)], [SEPARATOR, 5, 6, 7, 8]]
    together = batch(model, prompts, temperature=0, max_tokens=30)
    assert together == [batch(model, [prompt], temperature=0, max_tokens=30)[0] for prompt in prompts]
    for prompt, new in zip(prompts, together, strict=True):
        for length in (len(prompt), 13, 14, 20):
            text = [*prompt, *new][: max(length, len(prompt))]
            following = [*prompt, *new][len(text)]
            assert int(model(torch.tensor([text]))[0, -1, :257].argmax()) == following


def test_a_cache_is_not_filled_across_the_border_of_longrope():
    model = little(scaling=LONGROPE)
    cache = model.state(batch=1, capacity=30)
    model(torch.arange(12).view(1, 12), state=cache)
    with pytest.raises(RequestError, match=r"reaches place 13, .* pass the whole text$"):
        model(torch.arange(2).view(1, 2), state=cache)


def test_logits_of_a_padded_batch_are_those_of_each_text_alone():
    model = little().float()
    prompts = [[SEPARATOR, 1, 2], [SEPARATOR, *range(30)]]
    sampling = Sampling(temperature=0, max_tokens=5)
    together = Decoding(model, prompts, sampling, vocabulary=257)
    alone = [Decoding(model, [prompt], sampling, vocabulary=257, lookup=False) for prompt in prompts]
    for _ in range(5):
        drawn = together.step()
        expected = [one.step()[0] for one in alone]
        assert [token.id for token in drawn] == [token.id for token in expected]
        assert [token.logprob for token in drawn] == pytest.approx([token.logprob for token in expected], abs=1e-4)


def test_different_texts_get_unrelated_numbers_and_the_same_text_the_same():
    model = scripted([0])
    model.forward = lambda ids_BT, **rest: torch.zeros(*ids_BT.shape, 257).double()[:, -1:]  # all tokens equal
    prompts = [[SEPARATOR, n % 200] for n in range(201)]
    drawn = Decoding(model, prompts, Sampling(temperature=1, seed=9), vocabulary=257).step()
    ids = [token.id for token in drawn]
    assert ids[0] == ids[200]
    assert len(set(ids[:200])) > 100  # 139 are expected of 200 even draws among 257
    again = Decoding(model, prompts, Sampling(temperature=1, seed=10), vocabulary=257).step()
    assert sum(a.id == b.id for a, b in zip(drawn, again, strict=True)) < 10


def test_the_global_random_state_is_left_alone():
    state = torch.get_rng_state()
    written(little(), PROMPT, 5, temperature=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_ids_that_the_tokenizer_does_not_know_are_never_chosen():
    model = scripted([240])
    sampling = Sampling(temperature=0, max_tokens=3)
    decoding = Decoding(model, [PROMPT], sampling, vocabulary=200, lookup=False)
    assert all(token.id < 200 for _ in range(3) for token in decoding.step())


def test_a_watched_generation_appends_its_queries_and_changes_no_token():
    model = little()
    unwatched = written(model, PROMPT, 12, temperature=0, lookup=False)
    with watch(model) as record:
        assert written(model, PROMPT, 12, temperature=0) == unwatched
    assert record[2, 4].shape == (len(PROMPT) + 11, len(PROMPT) + 11)
    rows_QK = record.map(Site(1), 0)[:, :]
    with watch(model) as whole, torch.no_grad():
        model(torch.tensor([PROMPT + unwatched[:-1]]))
    assert torch.allclose(rows_QK, whole.map(Site(1), 0)[:, :], atol=1e-9)


def test_a_model_in_training_is_asked_without_dropout_and_stays_in_training():
    model = little()
    expected = written(model, PROMPT, 10, temperature=0)
    model.dropout.p = 0.5
    model.train()
    assert written(model, PROMPT, 10, temperature=0) == expected
    assert model.training
    assert all(module.training for module in model.modules())


def test_numbers_that_are_not_finite_stop_the_text():
    for temperature in (0, 1):
        model = little()
        with torch.no_grad():
            model.norm.weight[3] = float("nan")
        with pytest.raises(ClearheadError, match="not finite"):
            written(model, PROMPT, 3, temperature=temperature)


def test_memory_is_estimated_before_it_is_taken(monkeypatch):
    model = little()
    asked = []
    monkeypatch.setattr(machine, "free_memory", lambda device: asked.append(device) or 1_000_000)
    Decoding(model, [PROMPT], Sampling(max_tokens=10), vocabulary=257)
    with pytest.raises(MemoryNeededError, match=r"generating 99 texts of up to 61 tokens .* 0\.0 GB are free"):
        Decoding(model, [PROMPT] * 99, Sampling(max_tokens=100), vocabulary=257)
    assert asked == [model.embedding.weight.device] * 2


def test_half_precision_is_chosen_from_in_float32():
    model = little().bfloat16()
    with torch.inference_mode():
        logits_BV = model(torch.tensor([PROMPT]))[:, -1].float()
    expected = next_ids(logits_BV, Sampling(temperature=0), seen_BV=None, uniform_B=None).tolist()
    decoding = Decoding(model, [PROMPT], Sampling(temperature=0, max_tokens=1), vocabulary=257)
    (drawn,) = decoding.step()
    assert [drawn.id] == expected
    assert drawn.logprob == pytest.approx(float(logits_BV.log_softmax(-1)[0, drawn.id]), abs=1e-5)


def test_a_cache_continues_from_an_earlier_place_and_with_some_of_its_texts():
    model = little()
    cache = model.state(3, 9)
    ids_BT = torch.tensor([[1, 2, 3, 4], [0, 5, 6, 7], [0, 0, 8, 9]])
    with torch.no_grad():
        model(ids_BT, state=cache)
        k_LBGKD = cache.k_LBGKD.clone()
        cache.select(torch.tensor([2, 1]), 1)
        assert (cache.length, cache.capacity) == (3, 9)
        assert torch.equal(cache.k_LBGKD[:, :, :, :3], k_LBGKD[:, [2, 1], :, 1:4])
        cache.rewind(2)
        model(ids_BT[:2, :1], state=cache)
    assert cache.length == 3
    assert torch.equal(cache.k_LBGKD[:, :, :, :2], k_LBGKD[:, [2, 1], :, 1:3])
    with pytest.raises(RequestError, match="3 places are filled; it cannot be rewound to 4"):
        cache.rewind(4)
