"""An encoder's text and a decoder's in one record: shapes by map, tokens by stack, edits by word, and a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from clearhead.errors import WatchError
from clearhead.watching import Ablate, Edit, Knockout, TokenizedText, read_record
from clearhead.watching.places import placed
from two_stacks import CROSS, OWN, READ, READS, SOURCE, TARGET, one, translated

EVERY = [(READ, 5, 5), (OWN, 3, 3), (CROSS, 3, 5)]


def test_every_map_has_its_own_shape() -> None:
    record = one()
    assert [(site, *record.map(site, 0).shape) for site in record.seen()] == EVERY
    for site, Q, K in EVERY:
        blocks = [tile for _, tile in record.visible_blocks(site)]
        assert torch.cat(blocks, dim=1).shape == (1, Q, K)
    torch.testing.assert_close(record.map(CROSS, 0)[:, :], torch.tensor(READS))


def test_the_texts_own_tokens_are_the_decoders_and_each_stack_has_its_own() -> None:
    record = one()
    assert (record.stack, record.tokens, record.text) == ("decoder", TARGET, "le chat")
    assert (record.tokenized("encoder").tokens, record.tokenized("encoder").text) == (SOURCE, "the red cat sat")
    assert [record.first_place(site) for site, *_ in EVERY] == [0, 0, 0]
    part = record.of("encoder")
    assert (part.tokens, part.seen(), part.stack) == (SOURCE, [READ], "encoder")
    assert record.of("decoder").seen() == [OWN, CROSS]
    assert part != record
    with pytest.raises(WatchError, match="it has no part 'coder'; there is decoder, encoder, cross"):
        record.of("coder")


def test_unset_tokens_are_numbers_and_there_must_be_one_for_each_place() -> None:
    record = translated()
    record.tokenized.clear()
    assert record.only().tokenized("encoder").tokens == ["0", "1", "2", "3", "4"]
    assert record.only().tokens == ["0", "1", "2"]
    record.tokenized[0, "encoder"] = TokenizedText(tokens=["a"])
    with pytest.raises(WatchError, match="1 tokens were set for 5 places; set one per place"):
        record.only().tokenized("encoder")


def test_an_atlas_has_the_places_of_each_map() -> None:
    atlas = one().atlas()
    assert [row.name for row in atlas] == [
        f"{name}.{head}" for name in ("encoder.0", "decoder.0", "decoder.0.cross") for head in (0, 1)
    ]
    assert [row.values["distance"] is None for row in atlas] == [False] * 4 + [True] * 2


def test_a_file_keeps_both_texts(tmp_path: Path) -> None:
    wanted = one()
    wanted.save(tmp_path / "r.safetensors")
    found = read_record(tmp_path / "r.safetensors").only()
    assert (found.stack, found.tokens, found.ids, found.text) == (wanted.stack, wanted.tokens, wanted.ids, wanted.text)
    assert found.tokenized("encoder") == wanted.tokenized("encoder")
    for site, *_ in EVERY:
        assert torch.equal(found.map(site, 1)[:, :], wanted.map(site, 1)[:, :])


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        (
            Knockout(layer=0, kind="cross", query="chat", key="cat"),
            Knockout(layer=0, kind="cross", query=2, key=2),
        ),
        (Knockout(layer=0, kind="cross", query=-1, key=-1), Knockout(layer=0, kind="cross", query=2, key=4)),
        (
            Ablate(layer=0, stack="encoder", at=("cat", -1)),
            Ablate(layer=0, stack="encoder", at=(2, 4)),
        ),
        (Ablate(layer=0, stack="decoder", at="chat"), Ablate(layer=0, stack="decoder", at=2)),
    ],
)
def test_words_of_an_edit_are_those_of_the_stack_it_acts_on(edit: Edit, wanted: Edit) -> None:
    assert placed([edit], translated().tokenized) == (wanted,)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Ablate(layer=0, at="cat"), "its places could be of the decoder or the encoder; name the stack"),
        (Ablate(layer=0, stack="decoder", at="cat"), "at is 'cat': the text has no such word"),
    ],
)
def test_an_edit_by_word_names_its_stack(edit: Edit, message: str) -> None:
    with pytest.raises(WatchError, match=message):
        placed([edit], translated().tokenized)


def test_a_model_of_one_stack_has_no_other() -> None:
    with pytest.raises(WatchError, match="there is no text of the encoder; the model has the decoder"):
        placed([Ablate(layer=0, stack="encoder", at=-1)], {(0, "decoder"): translated().tokenized[0, "decoder"]})
