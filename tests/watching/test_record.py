"""Watching: what is kept, what it costs, and errors."""

from __future__ import annotations

import gc
import threading
import weakref
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from clearhead import tap
from clearhead.attend import Score, attend, causal, knockout, left_padding, padding, window
from clearhead.errors import WatchError
from clearhead.tap import Site, begin, watchers
from clearhead.watching import Ablate, Record, Scale, watch
from definition import KEYS, MASKS, SCORES, SITE, Watched, tensors

MODEL = Watched({SITE: 6})
OTHER = Site(4)


def one_pass(
    mask: str = "causal", score: str = "plain", dtype: torch.dtype = torch.float32, queries: int = 5
) -> Tensor:
    q, k, v = (t.to(dtype) for t in tensors(6, 3, queries))
    return attend(q, k, v, mask=MASKS[mask].mask, score=SCORES[score].score(6), site=SITE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("mask", MASKS)
def test_a_watched_pass_is_bit_identical(mask: str, score: str, dtype: torch.dtype) -> None:
    alone = one_pass(mask, score, dtype)
    with watch(MODEL) as record:
        watched = one_pass(mask, score, dtype)
    assert torch.equal(watched, alone)
    assert torch.equal(one_pass(mask, score, dtype), alone)
    assert len(list(record)) == 6


def test_gradients_are_the_same_while_watched() -> None:
    gradients: list[Tensor] = []
    for watched in (False, True):
        q, k, v = (t.requires_grad_() for t in tensors(6, 3, 5))
        if watched:
            with watch(MODEL) as record:
                o = attend(q, k, v, mask=causal(), site=SITE)
            assert not record[0][3, 0][:, :].requires_grad
        else:
            o = attend(q, k, v, mask=causal(), site=SITE)
        o.square().sum().backward()
        gradients.append(torch.cat([t.grad.flatten() for t in (q, k, v) if t.grad is not None]))
    assert torch.equal(*gradients)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("x", r"record: 'x' was asked for; name a text by its number, record\[1\], or a map, record\[layer, head\]"),
        (3, "record: text 3 was asked for; it holds 0, 1"),
        ((3, 0), r"record: it holds the texts 0, 1; name one, record\[0\], and then a map"),
    ],
)
def test_a_record_of_several_texts_is_asked_for_one(place: object, message: str) -> None:
    with watch(MODEL) as record:
        attend(*tensors(6, 3, 5), mask=causal(), site=SITE)
    with pytest.raises(WatchError, match=message):
        record[place]
    assert repr(record) == f"Record(2 texts, 6 heads, {record.nbytes() / 1e6:.1f} MB)"
    assert torch.equal(record[-1][3, 0][:, :], record[1][3, 0][:, :])


@pytest.mark.parametrize("place", ["x", 3, (1, 2, 3)])
def test_a_map_is_named_by_layer_and_head(place: object) -> None:
    with watch(MODEL) as record:
        attend(*tensors(6, 3, 5, batch=1), mask=causal(), site=SITE)
    with pytest.raises(WatchError, match=r"name a map by two numbers, record\[layer, head\]"):
        record[0][place]
    assert repr(record) == f"Record(6 heads, {record.nbytes() / 1e6:.1f} MB)"


def test_layers_and_heads_count_from_the_end_and_come_in_slices() -> None:
    with watch(Watched({SITE: 6, Site(4): 6})) as record:
        for site in (SITE, Site(4)):
            attend(*tensors(6, 3, 5, batch=1, seed=site.layer), mask=causal(), site=site)
    last = record[4, 5][:, :]
    for same in (record[-1, -1], record[-1, :][5], record[:, -1][1], record[:, :][11]):
        assert torch.equal(same[:, :], last)
    assert [(a.site.layer, a.head) for a in record[-1, 1:3]] == [(4, 1), (4, 2)]


class TestKept:
    def test_no_more_than_q_and_k(self) -> None:
        q, k, v = tensors(6, 3, 5)
        with watch(MODEL) as record:
            attend(q, k, v, mask=causal(), site=SITE)
        assert record.nbytes() == q.nbytes + k.nbytes
        held = weakref.ref(v)
        del v
        gc.collect()
        assert held() is None

    def test_no_more_when_one_projection_gave_all_three(self) -> None:
        """GPT-2's queries and keys are views of a tensor that holds the values too."""
        qkv = torch.randn(2, 5, 12, 7)
        q, k, v = (t.transpose(1, 2) for t in qkv.split((6, 3, 3), dim=2))
        with watch(MODEL) as record:
            attend(q, k, v, mask=causal(), site=SITE)
        assert record.nbytes() == q.nbytes + k.nbytes
        held = weakref.ref(qkv)
        del qkv, q, k, v
        gc.collect()
        assert held() is None

    def test_what_was_turned_together_is_kept_as_it_is(self) -> None:
        """Qwen 3's queries and keys share one tensor with nothing else in it, so a copy would save nothing."""
        qk = torch.randn(2, 5, 9, 7)
        q, k = (t.transpose(1, 2) for t in qk.split((6, 3), dim=2))
        with watch(MODEL) as record:
            attend(q, k, torch.randn(2, 3, 5, 7), mask=causal(), site=SITE)
        assert record.nbytes() == qk.nbytes
        qk.zero_()
        # equal logits: the record reads qk itself
        assert record.map(SITE, 0, text=0)[4].tolist() == pytest.approx([0.2] * 5)

    def test_a_cache_is_shared_and_counted_once(self) -> None:
        q, _, v = tensors(6, 3, KEYS)
        cache = torch.randn(2, 3, 20, 7, dtype=torch.float64)
        with watch(MODEL) as record:
            for done, stop in ((0, 9), (9, 10), (10, 11)):
                attend(q[:, :, done:stop], cache[:, :, :stop], v[:, :, :stop], mask=causal(), site=SITE)
        assert record.nbytes() == q.nbytes + cache.nbytes

    def test_the_kernels_array_is_not_kept(self) -> None:
        mask = causal() & window(3)
        with watch(MODEL) as record:
            q, k, v = (t.float() for t in tensors(6, 3, KEYS))
            attend(q, k, v, mask=mask, site=SITE)
        (array,) = (added for added, _ in mask._kept["array"][1])
        held = weakref.ref(array)
        del mask, array
        gc.collect()
        assert held() is None
        assert record[0][3, 0][5].count_nonzero() == 3

    def test_batches_and_sites_and_back_ends(self) -> None:
        q, k, v = tensors(6, 3, 5)
        with watch(Watched({SITE: 6, OTHER: 6})) as record:
            attend(q, k, v, mask=causal(), site=SITE)
            attend(q, k, v, mask=causal(), score=Score(softcap=3.0), site=OTHER)
        assert record.backends() == {SITE: {"sdpa"}, OTHER: {"reference"}}
        assert list(record) == [(site, head) for site in (SITE, OTHER) for head in range(6)]
        assert record.sites == {SITE: 6, OTHER: 6}
        assert torch.equal(record[0][3, 2][:, :], record.map(SITE, 2, text=0)[:, :])
        assert not torch.equal(record[0][3, 2][:, :], record.map(SITE, 2, text=1)[:, :])
        assert record.map(OTHER, 2, text=1)[:, :].shape == (5, KEYS)

    def test_cross_attention_beside_self_attention(self) -> None:
        """Two rows written in three passes, the second padded on the left, read texts of seven and of four places."""
        cross, state, own_mask = Site(3, "cross"), Site(9), left_padding(torch.tensor([0, 2])) & causal()
        x_BHTD, read_BHKD = torch.randn(2, 6, 12, 4, generator=torch.Generator().manual_seed(1)).split((5, 7), dim=2)
        with watch(Watched({SITE: 6, cross: 6})) as record:
            for first, last in ((0, 3), (3, 4), (4, 5)):
                begin(last - first, first, ((0, last), (2, last)), state, "decoder")
                new_BHQD, seen_BHKD = x_BHTD[:, :, first:last], x_BHTD[:, :, :last]
                attend(new_BHQD, seen_BHKD, seen_BHKD, mask=own_mask, site=SITE)
                attend(new_BHQD, read_BHKD, read_BHKD, mask=padding(torch.tensor([7, 4])), site=cross)
        for text, (own, keys) in enumerate(((5, 7), (3, 4))):
            assert record.map(SITE, 2, text).shape == (own, own)
            assert record.map(cross, 2, text).shape == (own, keys)
            assert record.map(cross, 2, text).row_sum_error() < 1e-6
            assert record[text].tokens == [str(place) for place in range(own)]
            assert len(record[text].tokenized("encoder").tokens) == keys
        p_QK = (x_BHTD[1, 2, 2:] @ read_BHKD[1, 2, :4].T / 2).softmax(dim=1)
        torch.testing.assert_close(record.map(cross, 2, 1)[:, :], p_QK)

    @pytest.mark.parametrize("numbers", [None, (4, 1)], ids=["new texts", "numbered by the caller"])
    def test_an_encoder_and_a_decoder_over_the_same_texts(self, numbers: tuple[int, int] | None) -> None:
        read, cross, state = Site(0, "self", "encoder"), Site(3, "cross"), Site(9)
        x_BHTD = torch.randn(2, 6, 7, 4, generator=torch.Generator().manual_seed(1))
        with (
            watch(Watched({read: 6, SITE: 6, cross: 6})) as record,
            nullcontext() if numbers is None else tap.rows(numbers),
        ):
            begin(7, 0, ((0, 7), (0, 4)), None, "encoder")
            attend(x_BHTD, x_BHTD, x_BHTD, mask=padding(torch.tensor([7, 4])), site=read)
            for first, last in ((0, 2), (2, 3), (3, 4)):
                begin(last - first, first, ((0, last), (0, last)), state, "decoder")
                new_BHQD, seen_BHKD = x_BHTD[:, :, first:last], x_BHTD[:, :, :last]
                attend(new_BHQD, seen_BHKD, seen_BHKD, mask=causal(), site=SITE)
                attend(new_BHQD, x_BHTD, x_BHTD, mask=padding(torch.tensor([7, 4])), site=cross)
            record.rewound(state, 3)
        first, second = numbers or (0, 1)
        assert record.texts == sorted((first, second))
        for text, keys in ((first, 7), (second, 4)):
            assert record.map(read, 5, text).shape == (keys, keys)
            assert record.map(SITE, 5, text).shape == (3, 3)
            assert record.map(cross, 5, text).shape == (3, keys)
        p_QK = (x_BHTD[0, 1] @ x_BHTD[0, 1].T / 2).softmax(dim=1)
        torch.testing.assert_close(record.map(read, 1, first)[:, :], p_QK)

    def test_sinks_as_they_were(self) -> None:
        """Training changes them in place, between the pass and the picture."""
        q, k, v = tensors(6, 3, 5)
        sinks_H = torch.zeros(6, dtype=torch.float64, requires_grad=True)
        with watch(MODEL) as record:
            attend(q, k, v, mask=causal(), score=Score(sinks_H=sinks_H), site=SITE)
        before = record[0][3, 0][:, :]
        with torch.no_grad():
            sinks_H.fill_(9.0)
        assert torch.equal(record[0][3, 0][:, :], before)


class TestErrors:
    def test_a_cache_with_other_texts(self) -> None:
        q, k, v = tensors(6, 3, KEYS)
        with watch(MODEL):
            attend(q, k, v, mask=causal(), site=SITE)
            longer = [torch.cat([t, t[:, :, :1]], dim=2)[:1] for t in (k, v)]
            with pytest.raises(WatchError) as caught:
                attend(q[:1, :, :1], *longer, mask=causal(), site=SITE)
        assert str(caught.value) == (
            "record: a pass of 1 batch rows starts at place 11, after one of 2 that ended at place 11; within one "
            "watch, continue with the same cache or start a new text"
        )

    def test_a_pass_that_leaves_places_out(self) -> None:
        q, k, v = tensors(6, 3, 5)
        with watch(MODEL):
            attend(q, k[:, :, :5], v[:, :, :5], mask=causal(), site=SITE)
            with pytest.raises(WatchError, match="starts at place 6, after one of 2 that ended at place 5"):
                attend(q[:, :, :1], k[:, :, :7], v[:, :, :7], mask=causal(), site=SITE)
            state = Site(9)  # any object: what a model keeps of the texts it has read
            begin(5, 0, ((0, 5), (0, 5)), state, "decoder")
            with pytest.raises(WatchError, match="starts at place 6 of text 2, but only 5 places were watched"):
                begin(1, 6, ((0, 7), (0, 7)), state, "decoder")

    @pytest.mark.parametrize(("heads", "site"), [(3, SITE), (6, OTHER)])
    def test_another_model_inside_the_block(self, heads: int, site: Site) -> None:
        q, k, v = tensors(heads, 3, 5)
        with watch(MODEL), pytest.raises(WatchError, match="call only the watched model"):
            attend(q, k, v, mask=causal(), site=site)

    @pytest.mark.parametrize(
        ("place", "message"),
        [
            ((2, 0), "record: no attention in layer 2; the layers that have it are 1, 3$"),
            ((1, 0), "record: no attention of the decoder to itself in layer 1; .* record.of"),
            ((3, 6), "record: decoder.3.self: head 6 was asked for; there are 6, counted from 0"),
            ((3, -7), "record: decoder.3.self: head -7 was asked for; there are 6, counted from 0"),
            ((3, "x"), "record: decoder.3.self: head 'x' was asked for; it must be a whole number"),
            ((3.0, 0), "record: layer 3.0 was asked for; it must be a whole number"),
        ],
    )
    def test_a_map_it_does_not_hold(self, place: tuple[int, int], message: str) -> None:
        sites = (SITE, Site(1, "self", "encoder"), Site(1, "cross", "encoder"))
        q, k, v = tensors(6, 3, 5)
        with watch(Watched(dict.fromkeys(sites, 6))) as record:
            for site in sites:
                attend(q, k, v, mask=causal(), site=site)
        with pytest.raises(WatchError, match=message):
            record[0][place]

    def test_a_site_or_text_it_does_not_hold(self) -> None:
        with watch(MODEL) as record:
            one_pass()
        with pytest.raises(WatchError, match=r"nothing was seen at decoder.4.self; it holds decoder.3.self"):
            record.map(OTHER, 0, text=0)
        with pytest.raises(WatchError, match="text 2 was asked for; it holds 0, 1"):
            record.map(SITE, 0, text=2)

    def test_an_empty_record(self) -> None:
        with watch(MODEL) as record:
            pass
        with pytest.raises(WatchError, match="it holds nothing yet; run the model inside"):
            record[0][3, 0]
        assert (list(record), record.nbytes(), record.backends()) == ([], 0, {})


class TestContext:
    def test_a_watch_ends_with_its_block_even_by_an_error(self) -> None:
        assert watchers() == ()

        def fails() -> None:
            with watch(MODEL):
                assert len(watchers()) == 1
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fails()
        assert watchers() == ()
        one_pass()
        one_pass()  # nobody watches, nothing is a second pass

    def test_watches_compose(self) -> None:
        """Both records keep the pass, and both watches' edits act on it."""
        alone = one_pass()
        with watch(MODEL, edits=[Ablate(layer=3, head=0)]) as outer:
            with watch(MODEL, edits=[Scale(layer=3, head=1, factor=2.0)]) as inner:
                o = one_pass()
            assert not o[:, 0].any()
            assert torch.equal(o[:, 1], 2 * alone[:, 1])
            assert torch.equal(o[:, 2:], alone[:, 2:])
        assert torch.equal(inner[0][3, 0][:, :], outer[0][3, 0][:, :])

    def test_a_watch_in_one_thread_does_not_see_anothers(self) -> None:
        alone = one_pass()
        ready, done = threading.Barrier(2, timeout=30), threading.Barrier(2, timeout=30)
        records: dict[str, Record] = {}
        outputs: dict[str, Tensor] = {}

        def work(name: str, edits: list[Ablate]) -> None:
            with watch(MODEL, edits=edits) as record:
                ready.wait()
                outputs[name] = one_pass("causal" if name == "plain" else "causal & window")
                done.wait()
            records[name] = record

        threads = [
            threading.Thread(target=work, args=("plain", [])),
            threading.Thread(target=work, args=("edited", [Ablate(layer=3, head=0)])),
        ]
        with watch(MODEL) as mine:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert list(mine) == []  # a new thread starts unwatched
        assert torch.equal(outputs["plain"], alone)
        assert torch.equal(outputs["edited"][:, 0], torch.zeros_like(alone[:, 0]))
        assert records["plain"][0][3, 0][0].count_nonzero() == KEYS - 4
        assert records["edited"][0][3, 0][0].count_nonzero() == 3
        assert watchers() == ()


def test_a_knock_out_written_into_the_models_own_mask_is_in_the_picture() -> None:
    q, k, v = tensors(6, 3, 5)
    with watch(MODEL) as record:
        attend(q, k, v, mask=causal() & knockout([(10, 4)], head=2), site=SITE)
    assert record[0][3, 2][-1, 4] == 0
    assert record[0][3, 1][-1, 4] > 0
