"""One watched pass: the right tokens, the right weights, what each query could see, and errors."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

import clearhead as ch
from clearhead.analysis import observe
from clearhead.attend import causal, knockout, padding
from clearhead.errors import OptionError, TextError, WatchError
from clearhead.language_model import LanguageModel
from clearhead.model import DecoderConfig, build
from clearhead.tap import Site
from clearhead.text import SEPARATOR, Tokenizer
from clearhead.watching import Knockout, Record, TextRecord, TokenizedText, watch
from clearhead.watching.map import BLOCK
from looked import BYTES, HEAD_WIDTH, HEADS, LAYERS, by_hand, heads_by_hand, looked_at, small, speaking


def test_the_separator_is_in_front_as_in_training():
    record = looked_at("é a")
    assert record.tokens == [SEPARATOR, "é₁", "é₂", "·", "a"]
    assert record.ids == [256, 0xC3, 0xA9, 0x20, 0x61]
    assert record.pieces == ["", "", "é", " ", "a"]
    assert record.text == "é a"
    assert record[0, 0].shape == (5, 5)


@pytest.mark.parametrize("window", [None, 5])
def test_weights_equal_the_definition_in_numpy(window: int | None):
    record = looked_at("I crashed the server.", window=window)
    expected = by_hand(small(window=window), record.ids)
    seen = torch.stack([torch.stack([record[layer, head][:] for head in range(HEADS)]) for layer in range(LAYERS)])
    np.testing.assert_allclose(seen.numpy(), expected, atol=2e-5)
    assert expected.max(-1).mean() > 0.5  # the model is far from reading everything evenly
    for layer in range(LAYERS):
        visible_HQK = record.visible(Site(layer), slice(0, record[0, 0].shape[0]))
        assert visible_HQK.shape[0] == 1
        np.testing.assert_array_equal(visible_HQK[0].numpy(), expected[0, 0] > 0)


def test_the_model_is_left_as_it_was_and_dropout_is_off():
    config = DecoderConfig(**{**vars(small().config), "dropout": 0.9})
    model = build(config, seed=1).train()
    first, second = observe(LanguageModel(model, BYTES), "abc"), observe(LanguageModel(model, BYTES), "abc")
    assert model.training
    assert torch.equal(first[1, 0][:], second[1, 0][:])


def test_a_knocked_out_key_is_hidden_from_one_query_in_one_head():
    edit = Knockout(layer=1, query=3, key=2, head=4)
    record = observe(speaking(), "abcd", edits=[edit])
    assert record[1, 4][3, 2] == 0
    assert record[1, 3][3, 2] > 0
    visible_HQK = record.visible(Site(1), slice(3, 4))
    assert visible_HQK.shape == (HEADS, 1, 5)
    assert [int(seen) for seen in visible_HQK[:, 0, 2]] == [1, 1, 1, 1, 0, 1]
    assert record.visible(Site(0), slice(3, 4)).all(dim=0)[0].tolist() == [True] * 4 + [False]


def test_blocks_of_rows_join_to_the_whole(monkeypatch: pytest.MonkeyPatch):
    record = looked_at("a longer text, 23 bytes.", window=7)
    whole = record.visible(Site(0), slice(0, record[0, 0].shape[0]))
    assert BLOCK // record[0, 0].shape[1] > record[0, 0].shape[0]  # so far one block
    monkeypatch.setattr("clearhead.watching.text_record.BLOCK", 3 * record[0, 0].shape[1])
    parts = list(record.visible_blocks(Site(0)))
    assert len(parts) == math.ceil(record[0, 0].shape[0] / 3)
    assert torch.equal(torch.cat([tile for _, tile in parts], dim=1), whole)


def test_a_text_seen_in_two_steps_of_a_cache_is_one_text():
    model, ids = small(), [256, *b"abcdefg"]
    with torch.inference_mode(), watch(model) as record:
        cache = model.state(1, 8)
        model(torch.tensor([ids[:5]]), state=cache)
        model(torch.tensor([ids[5:]]), state=cache)
    record.tokenized[0, "decoder"] = TokenizedText(tokens=BYTES.labels(ids))
    steps, whole = record.only(), observe(LanguageModel(model, BYTES), "abcdefg")
    assert steps[0, 0].shape == whole[0, 0].shape
    for head in range(HEADS):
        torch.testing.assert_close(steps[1, head][:], whole[1, head][:], atol=1e-5, rtol=0)
    assert torch.equal(steps.visible(Site(1), slice(0, 8)), whole.visible(Site(1), slice(0, 8)))
    assert torch.equal(steps.visible(Site(1), slice(3, 7)), whole.visible(Site(1), slice(3, 7)))


def test_a_watch_that_begins_in_the_middle_has_fewer_queries_than_keys():
    model, ids = small(), [256, *b"abcdefg"]
    with torch.inference_mode():
        cache = model.state(1, 8)
        model(torch.tensor([ids[:5]]), state=cache)
        with watch(model) as record:
            model(torch.tensor([ids[5:]]), state=cache)
    seen = record.only()
    assert (seen[0, 0].shape, seen[0, 0].first_place, seen.first_place(Site(0))) == ((3, 8), 5, 5)
    assert seen.tokens == [str(place) for place in range(8)]
    assert seen.visible(Site(0), slice(0, 1))[0, 0].tolist() == [True] * 6 + [False] * 2


def test_sites_with_one_mask_share_its_key_and_others_do_not():
    record = observe(speaking(), "abc", edits=[Knockout(layer=1, query=2, key=1)])
    assert record.mask_key(Site(0)) != record.mask_key(Site(1))
    plain = observe(speaking(), "abc")
    assert plain.mask_key(Site(0)) == plain.mask_key(Site(1))
    assert (causal() & knockout([(1, 0)])).parts != causal().parts


def test_an_observation_is_taken_as_it_is():
    record = looked_at("abc")
    assert record.only() is record


def test_a_text_longer_than_the_context_names_both_lengths():
    with pytest.raises(TextError, match=r"102 tokens with the separator in front.*context is 101"):
        looked_at("x" * 101)
    assert looked_at("x" * 100)[0, 0].shape == (101, 101)


def test_texts_that_are_none():
    with pytest.raises(OptionError, match="the text is empty"):
        looked_at("")
    with pytest.raises(TextError, match="half a character"):
        looked_at("\udce4")


def test_a_tokenizer_of_another_model_is_refused():
    tokenizer = Tokenizer.train_bpe(["the server and the server " * 9], vocab_size=300)
    with pytest.raises(TextError, match=r"ids 0 to 256; leave it out, or use the tokenizer"):
        observe(LanguageModel(small(), tokenizer), "the server")


def test_records_that_are_not_one_text_are_refused():
    with pytest.raises(WatchError, match="holds nothing yet"):
        Record(small().sites()).only()
    with torch.inference_mode(), watch(small()) as record:
        small()(torch.tensor([[1, 2], [3, 4]]), mask=padding(torch.tensor([2, 1])))
    with pytest.raises(WatchError, match="it holds the texts 0, 1; name one"):
        record.only()
    with torch.inference_mode(), watch(small()) as record:
        small()(torch.tensor([[1, 2]]))
    record.tokenized[0, "decoder"] = TokenizedText(tokens=["only one"])
    with pytest.raises(WatchError, match="1 tokens were set for 2 places"):
        record.only()


def test_several_texts_are_told_apart():
    model, texts = speaking(), ["abcd", "x", "server"]
    record = observe(model, texts, edits=[Knockout(layer=1, query=3, key=2, text=0)])
    assert record.texts == [0, 1, 2]
    assert [record[n].text for n in record.texts] == texts
    assert record[0][1, 4][3, 2] == 0
    assert record[2][1, 4][3, 2] > 0
    for number in (1, 2):
        alone = observe(model, texts[number])
        assert record[number].tokens == alone.tokens
        assert torch.equal(record[number][1, 3][:], alone[1, 3][:])


@pytest.mark.parametrize("given", [None, 3, ["a", 3], b"abc"])
def test_anything_but_text_is_refused(given: object):
    with pytest.raises(OptionError, match=r"observe: .* was given; it takes one text or a list of texts"):
        observe(speaking(), given)


def test_what_a_head_gives_is_read_by_its_site():
    """Values, outputs and the stream as the guide says, against the definition in numpy."""
    model = speaking()
    record = observe(model, "I crashed the server.", keep="values heads parts residual")
    weights, added = heads_by_hand(small(), record.ids)
    out_EHD = small().get_submodule("blocks.1.attention.out").weight.detach().unflatten(1, (HEADS, -1))
    o_HTD = record.head_outputs(ch.Site(1))
    np.testing.assert_allclose(torch.einsum("htd,ehd->hte", o_HTD, out_EHD).numpy(), added[1], atol=1e-3)
    v_HTD = record.values(ch.Site(1)).repeat_interleave(2, dim=0)
    np.testing.assert_allclose((torch.tensor(weights[1]).float() @ v_HTD).numpy(), o_HTD.numpy(), atol=1e-3)
    np.testing.assert_allclose(record.output(ch.Site(1)).numpy(), added[1].sum(0), atol=1e-3)
    before, after = record.output(ch.Site(0, "residual")), record.output(ch.Site(1, "residual"))
    torch.testing.assert_close(
        after, before + record.output(ch.Site(1)) + record.output(ch.Site(1, "feed_forward")), atol=1e-3, rtol=0
    )
    q, k = record.queries(ch.Site(0)), record.keys(ch.Site(0)).repeat_interleave(2, dim=0)
    scores_HTT = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~torch.ones(q.shape[1], q.shape[1]).tril().bool(), -np.inf)
    np.testing.assert_allclose(scores_HTT.softmax(-1).numpy(), weights[0], atol=2e-5)


def test_what_a_record_gives_can_be_multiplied_with_trained_weights():
    model, site = speaking(), ch.Site(1)
    record = observe(model, "ab", keep="values heads parts residual")
    out = small().get_submodule("blocks.1.attention.out").weight
    assert out.requires_grad
    for x_XTD in (record.queries(site), record.keys(site), record.values(site), record.head_outputs(site)):
        assert (x_XTD[0] @ out[:, :HEAD_WIDTH].T).requires_grad
    assert (record.output(site) @ out).requires_grad


def test_ids_are_observed_as_the_text_they_are_of():
    model = speaking()
    ids = model.encode("abab")
    for given in (ids, torch.tensor(ids)):
        record = ch.observe_ids(model, given)
        assert record.ids == ids
        assert torch.equal(
            record.measure("induction")[Site(1)]["induction"],
            looked_at("abab").measure("induction")[Site(1)]["induction"],
        )


@pytest.mark.parametrize("given", [[5, 6], torch.tensor([5, 6]), [torch.tensor([5, 6])]])
def test_ids_in_place_of_a_text_are_told_where_they_go(given: object):
    with pytest.raises(OptionError, match=r"observe: .* was given; it takes texts, and observe_ids\(model, ids\)"):
        observe(speaking(), given)


def test_tokens_that_a_record_does_not_know_are_asked_for():
    with torch.inference_mode(), watch(small()) as record:
        small()(torch.tensor([[1, 2, 1, 2]]))
    with pytest.raises(WatchError, match=r"compares tokens, and the record knows none .*observe_ids\(model, ids\)"):
        record.only().measure("induction")


@pytest.mark.parametrize(
    "ask",
    [
        lambda record: record.queries(1),
        lambda record: record.heads("1.2"),
        lambda record: record.values((1, 2)),
        lambda record: record.output(0),
    ],
)
def test_a_layer_in_place_of_a_site_is_told_what_a_site_is(ask: Callable[[TextRecord], object]):
    with pytest.raises(WatchError, match=r"was given; it takes a site: one of record.seen\(\), or clearhead.Site\(3\)"):
        ask(looked_at("abc"))


def test_a_site_that_the_model_does_not_have_and_one_that_was_not_kept():
    record = looked_at("abc")
    with pytest.raises(WatchError, match=r"the model has no decoder\.0\.mlp; it has decoder\.0\.embedding, decoder"):
        record.output(Site(0, "mlp"))
    with pytest.raises(WatchError, match=r"nothing was kept at decoder\.0\.feed_forward; ask for it"):
        record.output(Site(0, "feed_forward"))
