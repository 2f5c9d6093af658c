"""Masks as values: what they show, how they join, and that a kept rendering is never a stale one."""

from __future__ import annotations

import threading

import pytest
import torch

from clearhead.attend import (
    FULL,
    Mask,
    Score,
    attend,
    band,
    causal,
    documents,
    knockout,
    left_padding,
    padding,
    window,
)
from clearhead.attend.backends import sdpa
from clearhead.errors import RequestError
from definition import KEYS, MASKS, SITE, Case, request, tensors

CPU = torch.device("cpu")


def picture(mask: Mask, queries: int, keys: int) -> list[str]:
    """What the first head of the first text sees, one line per query."""
    tile = mask.tile(slice(0, queries), batch=1, heads=1, queries=queries, keys=keys, device=CPU)
    return ["".join(".x"[int(cell)] for cell in row) for row in tile.expand(1, 1, queries, keys)[0, 0]]


class TestPictures:
    def test_i_love_you(self) -> None:
        assert picture(causal(), 3, 3) == ["x..", "xx.", "xxx"]

    def test_the_last_queries_of_a_longer_text(self) -> None:
        assert picture(causal(), 2, 5) == ["xxxx.", "xxxxx"]

    def test_a_window_alone_hides_nothing_ahead(self) -> None:
        assert picture(window(2), 4, 4) == ["xxxx", "xxxx", ".xxx", "..xx"]

    def test_a_causal_window_counts_the_query_itself(self) -> None:
        assert picture(causal() & window(2), 4, 4) == ["x...", "xx..", ".xx.", "..xx"]

    def test_a_band_sees_as_far_ahead_as_back(self) -> None:
        assert picture(band(2), 4, 4) == ["xx..", "xxx.", ".xxx", "..xx"]
        assert picture(band(2), 1, 4) == ["..xx"]

    def test_padding_on_the_right_and_on_the_left(self) -> None:
        assert picture(padding(torch.tensor([2])), 3, 4) == ["xx.."] * 3
        assert picture(left_padding(torch.tensor([3])), 2, 5) == ["...xx"] * 2

    def test_documents(self) -> None:
        assert picture(documents(torch.tensor([[7, 7, 1, 7]])), 4, 4) == ["xx.x", "xx.x", "..x.", "xx.x"]

    def test_knock_outs_name_places_of_the_whole_text(self) -> None:
        assert picture(knockout([(4, 0), (3, 2), (0, 0)]), 2, 5) == ["xx.xx", ".xxxx"]

    def test_joined(self) -> None:
        assert picture(causal() & window(2) & knockout([(2, 2)]), 3, 3) == ["x..", "xx.", ".x."]

    def test_full(self) -> None:
        assert picture(FULL, 2, 3) == ["xxx", "xxx"]


@pytest.mark.parametrize("queries", [1, 5, KEYS])
@pytest.mark.parametrize("case", MASKS.values(), ids=MASKS)
def test_a_tile_is_the_rule_in_every_cell_and_block(case: Case, queries: int) -> None:
    for rows in (slice(0, queries), slice(queries // 2, queries)):
        tile = case.mask.tile(rows, batch=2, heads=3, queries=queries, keys=KEYS, device=CPU)
        places = range(KEYS - queries + rows.start, KEYS - queries + rows.stop)
        wanted = [[[[case.sees(b, h, q, k) for k in range(KEYS)] for q in places] for h in range(3)] for b in range(2)]
        assert tile.expand(2, 3, len(places), KEYS).tolist() == wanted


@pytest.mark.parametrize("queries", [1, 5, KEYS])
@pytest.mark.parametrize("case", MASKS.values(), ids=MASKS)
def test_what_is_left_out_as_needless_hid_nothing(case: Case, queries: int) -> None:
    needed = case.mask.needed(queries, KEYS)
    sizes = {"batch": 2, "heads": 3, "queries": queries, "keys": KEYS, "device": CPU}
    whole = case.mask.tile(slice(0, queries), **sizes).expand(2, 3, queries, KEYS)
    assert torch.equal(needed.tile(slice(0, queries), **sizes).expand(2, 3, queries, KEYS), whole)


@pytest.mark.parametrize("case", MASKS.values(), ids=MASKS)
def test_an_axis_a_mask_does_not_read_changes_nothing(case: Case) -> None:
    tile = case.mask.tile(slice(0, KEYS), batch=2, heads=3, queries=KEYS, keys=KEYS, device=CPU)
    for number, axis in enumerate("BHQK"):
        if not case.mask.reads(axis):
            assert torch.equal(tile, tile.narrow(number, 0, 1).expand(tile.shape)), axis


def test_needless_parts_are_named() -> None:
    mask = causal() & window(8) & knockout([(5, 0), (9, 1)])
    assert mask.needed(1, 6) == knockout([(5, 0), (9, 1)])  # one query sees all before it, within 8 places
    assert mask.needed(1, 5) == FULL  # the knocked-out query place 5 is not there yet
    assert mask.needed(1, 9) == window(8)
    assert mask.needed(3, 6) == causal() & knockout([(5, 0), (9, 1)])
    assert causal().needed(2, 2) == causal()
    assert (band(4) & band(3)).needed(4, 4) == band(3)


def test_equal_masks_are_equal_and_hash_alike() -> None:
    assert causal() & window(3) == causal() & window(3)
    assert hash(causal() & window(3)) == hash(causal() & window(3))
    assert causal() != causal() & window(3)
    assert causal() & window(3) & causal() == causal() & window(3)
    assert FULL & causal() == causal() & FULL == causal()
    ids = torch.tensor([[0, 1]])
    assert documents(ids) != documents(ids)  # tensors are told apart by identity, not compared on every call
    assert repr(causal() & window(3)) == "Mask(parts=(Causal(), Window(size=3)))"


def test_a_knock_out_without_pairs_is_refused() -> None:
    with pytest.raises(RequestError, match=r"no \(query, key\) pairs were given; name at least one"):
        knockout([])


class TestNothingStale:
    """A mask keeps one rendering for its layers: here, requests that an earlier rendering must not answer."""

    def fresh(self, mask: Mask) -> Mask:
        return Mask(mask.parts)  # the same rule with nothing kept

    def answers(self, mask: Mask, queries: int = KEYS, score: Score | None = None) -> None:
        q, k, v = (t.float() for t in tensors(6, 3, queries))
        kept = sdpa.run(request(q, k, v, mask, score))
        assert torch.equal(kept, sdpa.run(request(q, k, v, self.fresh(mask), score)))
        assert torch.equal(kept, sdpa.run(request(q, k, v, mask, score)))

    def test_layers_share_one_rendering(self) -> None:
        renderings: list[int] = []

        def render() -> int:
            renderings.append(1)
            return 7

        mask = causal()
        assert [mask.rendered("key", render) for _ in range(3)] == [7, 7, 7]
        assert len(renderings) == 1
        mask.rendered("other key", render)
        assert len(renderings) == 2

    def test_other_shapes(self) -> None:
        mask = causal() & window(3)
        for queries in (KEYS, 5, 1, 5, KEYS):
            self.answers(mask, queries)

    def test_another_number_of_heads(self) -> None:
        mask = causal() & knockout([(9, 9)], head=1)
        for heads in (6, 3, 6):
            q, k, v = (t.float() for t in tensors(heads, 3, KEYS))
            assert torch.equal(sdpa.run(request(q, k, v, mask)), sdpa.run(request(q, k, v, self.fresh(mask))))

    def test_other_dtypes(self) -> None:
        mask = causal() & window(3)
        for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float32):
            q, k, v = (t.to(dtype) for t in tensors(6, 3, KEYS))
            assert sdpa.run(request(q, k, v, mask)).dtype == dtype

    def test_a_mask_made_of_fewer_parts_of_another(self) -> None:
        whole = causal() & documents(torch.tensor([[0] * 5 + [1] * 6] * 2))
        self.answers(whole)
        self.answers(whole.needed(1, KEYS))  # without causal, and asked for all queries
        self.answers(whole)

    def test_a_joined_mask(self) -> None:
        mask = causal() & window(3)
        self.answers(mask)
        self.answers(mask & knockout([(9, 9)]))
        self.answers(mask)

    def test_other_scores(self) -> None:
        mask = causal() & window(3)
        for score in (None, Score(scale=0.3), Score(sinks_H=torch.ones(6)), Score(sinks_H=torch.zeros(6)), None):
            self.answers(mask, score=score)

    def test_sinks_that_were_written_to(self) -> None:
        mask, sinks = causal() & window(3), torch.zeros(6)
        self.answers(mask, score=Score(sinks_H=sinks))
        sinks.fill_(1.0)
        self.answers(mask, score=Score(sinks_H=sinks))

    def test_tensors_that_were_written_to_change_nothing(self) -> None:
        """A training loop may refill one buffer; the record of the pass before must not follow it."""
        ids, lengths, starts = torch.tensor([[0] * 5 + [1] * 6] * 2), torch.tensor([4, 7]), torch.tensor([1, 2])
        masks = [documents(ids), padding(lengths), left_padding(starts)]
        before = [picture(mask, KEYS, KEYS) for mask in masks]
        for mask in masks:
            self.answers(mask)
        for tensor in (ids, lengths, starts):
            tensor.zero_()
        assert [picture(mask, KEYS, KEYS) for mask in masks] == before
        for mask in masks:
            self.answers(mask)

    def test_a_rendering_made_while_generating_serves_training(self) -> None:
        mask = causal() & window(3)
        q, k, v = (t.float() for t in tensors(6, 3, KEYS))
        with torch.inference_mode():
            attend(q, k, v, mask=mask, site=SITE)
        q.requires_grad_()
        attend(q, k, v, mask=mask, site=SITE).sum().backward()
        assert q.grad is not None

    def test_a_pass_with_gradients_twice(self) -> None:
        mask = causal() & left_padding(torch.tensor([0, 4]))
        sinks = torch.ones(6, requires_grad=True)
        for score in (Score(), Score(sinks_H=sinks)):
            q, k, v = (t.float().requires_grad_() for t in tensors(6, 3, KEYS))
            gradients = []
            for _ in range(2):
                q.grad = None
                attend(q, k, v, mask=mask, score=score, site=SITE).square().sum().backward()
                gradients.append(q.grad)
            assert torch.equal(*gradients)

    def test_a_request_made_in_the_middle_of_another(self) -> None:
        """As another thread would: between any two steps of one request, the kept rendering is replaced."""
        mask = causal()

        class Interrupting:
            busy = False

            def interrupt(self) -> None:
                if not self.busy:
                    self.busy = True
                    mask.rendered(object(), lambda: "another thread's")
                    self.busy = False

            def __eq__(self, other: object) -> bool:
                self.interrupt()
                return self is other

            def __hash__(self) -> int:
                self.interrupt()
                return 0

        key = Interrupting()
        for _ in range(3):
            assert mask.rendered(key, lambda: "mine") == "mine"

    def test_threads(self) -> None:
        mask, failures = causal() & window(3), list[str]()

        def work(queries: int) -> None:
            q, k, v = (t.float() for t in tensors(6, 3, queries))
            wanted = sdpa.run(request(q, k, v, self.fresh(mask)))
            for _ in range(100):
                if not torch.equal(sdpa.run(request(q, k, v, mask)), wanted):
                    failures.append(f"{queries} queries")

        threads = [threading.Thread(target=work, args=(queries,)) for queries in (2, 5, 7, KEYS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
