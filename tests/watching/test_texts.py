"""Texts of a record: padded batches, several passes, caches that are rewound, edits by each text's own places."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from clearhead.attend import left_padding, padding
from clearhead.encoding.vectors import vectors
from clearhead.errors import WatchError
from clearhead.generation.completion import stream_ids
from clearhead.generation.sampling import Sampling
from clearhead.language_model import LanguageModel, Metadata
from clearhead.model import ScalingConfig, build
from clearhead.tap import Site
from clearhead.text import Tokenizer
from clearhead.watching import Knockout, Record, TextRecord, watch
from little_configs import BERT, QWEN3

BYTES = Tokenizer.bytes()
LONG, SHORT = [3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1]


def lively(config=QWEN3):
    model = build(config, seed=1).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(10)
    return model


def alone(model, ids: list[int], edits=()) -> TextRecord:
    with torch.no_grad(), watch(model, edits=edits) as record:
        model(torch.tensor([ids]))
    return record.only()


def same(one: TextRecord, other: TextRecord) -> None:
    """Every map is, within the rounding of other shapes of the products."""
    assert list(one) == list(other)
    for site, head in one:
        torch.testing.assert_close(one.map(site, head)[:, :], other.map(site, head)[:, :], rtol=0, atol=1e-12)


def padded(model, texts: list[list[int]], edits=()) -> tuple[Record, Tensor]:
    """One pass over texts padded on the left."""
    longest = max(map(len, texts))
    starts = [longest - len(text) for text in texts]
    ids_BT = torch.tensor([[0] * start + text for start, text in zip(starts, texts, strict=True)])
    places_BT = (torch.arange(longest) - torch.tensor(starts)[:, None]).clamp(min=0)
    with torch.no_grad(), watch(model, edits=edits) as record:
        logits_BTV = model(ids_BT, mask=left_padding(torch.tensor(starts)), places_BT=places_BT)
    return record, logits_BTV


def test_a_padded_text_has_the_maps_it_has_alone() -> None:
    model = lively()
    record, _ = padded(model, [LONG, SHORT])
    same(record[0], alone(model, LONG))
    same(record[1], alone(model, SHORT))
    assert record[1][0, 0].mass_on_first()[0] == 1


def test_an_encoders_texts_are_padded_on_the_right() -> None:
    model = lively(BERT)
    with torch.no_grad(), watch(model) as record:
        model(torch.tensor([LONG, SHORT + [0] * 5]), mask=padding(torch.tensor([8, 3])))
    same(record[1], alone(model, SHORT))


def test_a_knock_out_is_at_each_texts_own_places() -> None:
    model, edit = lively(), Knockout(layer=0, query=2, key=1)
    record, logits_BTV = padded(model, [LONG, SHORT], edits=[edit])
    same(record[0], alone(model, LONG, [edit]))
    same(record[1], alone(model, SHORT, [edit]))
    assert record[1][0, 2][2, 1] == 0
    plain_BTV = padded(model, [LONG, SHORT])[1]
    assert not torch.equal(logits_BTV[1, -1], plain_BTV[1, -1])


def test_a_knock_out_of_one_text_leaves_the_others_bits() -> None:
    model = lively()
    _, plain_BTV = padded(model, [LONG, SHORT])
    record, logits_BTV = padded(model, [LONG, SHORT], edits=[Knockout(layer=0, query=2, key=1, text=1)])
    assert record[0][0, 0][2, 1] > 0
    torch.testing.assert_close(logits_BTV[0], plain_BTV[0], rtol=0, atol=1e-12)
    assert not torch.equal(logits_BTV[1, -1], plain_BTV[1, -1])
    with pytest.raises(WatchError, match="has places 0 to 2; nothing was knocked out"):
        padded(model, [LONG, SHORT], edits=[Knockout(layer=0, query=5, key=1, text=1)])


def test_each_pass_from_place_0_is_a_new_text() -> None:
    model = lively()
    with torch.no_grad(), watch(model) as record:
        model(torch.tensor([LONG]))
        model(torch.tensor([SHORT]))
    assert record.texts == [0, 1]
    same(record[0], alone(model, LONG))
    same(record[1], alone(model, SHORT))


def test_two_caches_continue_in_turn() -> None:
    model = lively()
    with torch.no_grad(), watch(model) as record:
        one, other = model.state(1, 8), model.state(1, 8)
        model(torch.tensor([LONG[:3]]), state=one)
        model(torch.tensor([SHORT]), state=other)
        model(torch.tensor([LONG[3:]]), state=one)
    same(record[0], alone(model, LONG))
    same(record[1], alone(model, SHORT))


def test_a_cache_that_is_rewound_shortens_the_record() -> None:
    model = lively()
    with torch.no_grad(), watch(model) as record:
        state = model.state(1, 8)
        model(torch.tensor([[*LONG[:4], 8, 8]]), state=state)
        state.rewind(4)
        assert record[0][0, 0].shape == (4, 4)
        model(torch.tensor([LONG[4:]]), state=state)
    same(record[0], alone(model, LONG))


def test_what_a_rewound_cache_forgets_is_freed() -> None:
    model = lively()
    with torch.no_grad(), watch(model) as record:
        state = model.state(1, 8)
        model(torch.tensor([LONG[:4]]), state=state)
        model(torch.tensor([[8, 8]]), state=state)
        held = weakref.ref(record.calls()[Site(0)][-1])
        state.rewind(4)
        gc.collect()
        assert held() is None
        state.rewind(0)
        model(torch.tensor([SHORT]), state=state)
    assert record.texts == [0]
    same(record[0], alone(model, SHORT))


def speaking(model) -> LanguageModel:
    """No token ends a text, so that all are as long as asked for."""
    return LanguageModel(model, BYTES, metadata=Metadata(generation={"eos_token_id": []}))


def written(model, prompts: list[list[int]], **options) -> list[list[int]]:
    sampling = Sampling(**{"max_tokens": 9, "temperature": 0, **options})
    texts: list[list[int]] = [[] for _ in prompts]
    for piece in stream_ids(speaking(model), prompts, sampling, together=4):
        texts[piece.prompt].append(piece.id)
    return texts


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_watched_generation_has_the_ids_and_bits_of_an_unwatched_one(dtype: torch.dtype) -> None:
    """Guesses ahead, texts that leave the batch, and more prompts than one batch holds, in half precision as well."""
    model = lively(replace(QWEN3, vocabulary=257, context=61)).to(dtype)
    prompts = [[5, 6, 5, 6, 5], *([n, 2 * n % 256] * (1 + n % 3) for n in range(1, 7))]
    for chosen in (prompts, prompts[:1]):
        plain = written(model, chosen, max_tokens=30)
        with watch(model) as record:
            assert written(model, chosen, max_tokens=30) == plain
        assert record.texts == list(range(len(chosen)))
        for text, (prompt, ids) in enumerate(zip(chosen, plain, strict=True)):
            assert record[text][0, 0].shape == (len(prompt) + len(ids) - 1,) * 2


def test_the_record_of_a_generation_is_that_of_its_whole_texts() -> None:
    model = lively(replace(QWEN3, vocabulary=257, context=61))
    prompts = [[5, 6, 5, 6, 5], [9], [1, 2, 3, 4, 5, 6, 7], [8, 8], [200, 100, 50]]
    with watch(model) as record:
        texts = written(model, prompts, max_tokens=20)
    for text, (prompt, ids) in enumerate(zip(prompts, texts, strict=True)):
        same(record[text], alone(model, prompt + ids[:-1]))


def test_prompts_at_full_context_are_watched() -> None:
    """The cache drops padding to make room; the record goes on."""
    model = lively(replace(QWEN3, vocabulary=257, context=30))
    prompts = [list(range(1, 29)), [3, 4]]
    plain = written(model, prompts, max_tokens=27)
    with watch(model) as record:
        assert written(model, prompts, max_tokens=27) == plain
    assert [len(ids) for ids in plain] == [3, 27]
    for text, (prompt, ids) in enumerate(zip(prompts, plain, strict=True)):
        same(record[text], alone(model, (prompt + ids)[:-1]))


def test_a_text_that_crosses_longropes_border_is_watched() -> None:
    scaling = ScalingConfig(kind="longrope", factor=2.0, original=9, short=(1.0, 1.1, 1.2), long=(2.0, 2.1, 2.2))
    positions = replace(QWEN3.positions, scaling=scaling)
    model = lively(replace(QWEN3, vocabulary=257, context=30, positions=positions))
    plain = written(model, [[3, 4, 5]], max_tokens=15)
    with watch(model) as record:
        assert written(model, [[3, 4, 5]], max_tokens=15) == plain
    same(record[0], alone(model, [3, 4, 5, *plain[0][:-1]]))


def test_vectors_are_recorded_in_the_order_of_their_texts() -> None:
    model = lively(replace(BERT, vocabulary=257))
    texts = ["\x01\x02\x03", "\x04", "\x05\x06"]
    with watch(model) as record:
        vectors(LanguageModel(model, BYTES), texts)
    assert [record[text][0, 0].shape[0] for text in record.texts] == [len(BYTES.encode_document(t)) for t in texts]
