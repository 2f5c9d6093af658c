"""Records on disk: what is read gives the maps of what was saved, and a damaged file is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import clearhead as ch
from clearhead.attend import attend, causal
from clearhead.errors import FolderError, WatchError
from clearhead.tap import Site
from clearhead.tensorfile import read_tensors, write_tensors
from clearhead.watching import Record, TextRecord, TokenizedText, read_record, watch
from clearhead.watching.measures import NAMES
from clearhead.watching.saved import NOTE
from definition import BATCH, MASKS, SCORES, SITE, Watched, tensors, weights
from looked import assert_same_atlas, speaking

TEXT = "the cat sat on the cat"


def again(record: Record | TextRecord, folder: Path) -> Record:
    record.save(folder / "r.safetensors")
    return read_record(folder / "r.safetensors")


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("score", SCORES)
def test_maps_are_the_definition(mask: str, score: str, tmp_path: Path) -> None:
    heads = (6, 3)
    q, k, v = tensors(*heads, 5)
    case, rules = MASKS[mask], SCORES[score]
    with watch(Watched({SITE: heads[0]})) as record:
        attend(q, k, v, mask=case.mask, score=rules.score(heads[0]), site=SITE)
    p_BHQK = weights(q, k, case.sees, rules)
    found = again(record, tmp_path)
    for row in range(BATCH):
        for head in range(heads[0]):
            wanted_QK = case.own(p_BHQK[row, head], row)
            if wanted_QK.size:
                np.testing.assert_allclose(found.map(SITE, head, row)[:, :].numpy(), wanted_QK, atol=1e-14)
        assert found.each()[row].backends() == record.each()[row].backends()


def test_a_generated_text_of_many_passes_and_its_words(tmp_path: Path) -> None:
    model = speaking()
    with ch.watch(model) as record:
        ch.generate(model, TEXT, max_tokens=9, seed=1)
    places = record.only()[0, 0].shape[1]
    record.tokenized[0, "decoder"] = TokenizedText(
        tokens=list("abc" * places)[:places], ids=[5, 3, 5] * (places // 3) + [1] * (places % 3)
    )
    wanted, found = record.only(), again(record, tmp_path).only()
    for name in ("tokens", "ids", "pieces", "text", "model"):
        assert getattr(found, name) == getattr(wanted, name)
    assert len(wanted.segments(Site(0))) == len(found.segments(Site(0))) > 5
    _, notes = read_tensors(tmp_path / "r.safetensors")
    (text,) = json.loads(notes[NOTE])["texts"]
    assert [len(site["passes"]) for site in text["sites"]] == [2] * len(text["sites"])  # the prompt, and all others
    names = [name for name in NAMES if name != "moved"]
    for site, measured in wanted.measure(*names).items():
        for name, value in measured.items():
            torch.testing.assert_close(found.measure(name)[site][name], value, rtol=0, atol=1e-6)


def test_whatever_was_kept_and_the_size_of_values(tmp_path: Path) -> None:
    wanted = ch.observe(speaking(), TEXT, keep="heads values parts residual")
    found = again(wanted, tmp_path).only()
    for site in wanted.seen():
        assert torch.equal(found.head_outputs(site), wanted.head_outputs(site))
        assert torch.equal(found.values(site), wanted.values(site))
        torch.testing.assert_close(found.sizes(site), wanted.sizes(site), rtol=1e-5, atol=1e-6)
        assert torch.equal(found.output(site), wanted.output(site))
    assert torch.equal(found.output(Site(1, "residual")), wanted.output(Site(1, "residual")))
    assert_same_atlas(found.atlas().to_dict(), wanted.atlas().to_dict())


def test_a_text_of_several_by_itself(tmp_path: Path) -> None:
    record = ch.observe(speaking(), ["one", TEXT, "three and more"])
    second = record[1]
    assert isinstance(second, TextRecord)
    found = again(second, tmp_path)
    assert found.texts == [1]
    assert found.only().text == TEXT
    assert again(record, tmp_path).texts == [0, 1, 2]


def test_a_knock_out_belongs_to_the_saved_mask(tmp_path: Path) -> None:
    wanted = ch.observe(speaking(), TEXT, edits=ch.Knockout(layer=0, query=5, key=2))
    found = again(wanted, tmp_path).only()
    assert found[0, 0][5, 2].item() == 0.0 == wanted[0, 0][5, 2].item()
    assert found[1, 0][5, 2].item() == wanted[1, 0][5, 2].item() > 0


def test_the_same_record_gives_the_same_file_in_one_dtype(tmp_path: Path) -> None:
    record = ch.observe(speaking(), TEXT)
    record.save(tmp_path / "a.safetensors")
    again(again(record, tmp_path), tmp_path / "..").save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert {tensor.dtype for tensor in read_tensors(tmp_path / "a.safetensors")[0].values()} == {record[0, 0][:1].dtype}


def test_keys_that_changed_between_passes_are_refused(tmp_path: Path) -> None:
    q, k, v = tensors(3, 3, 6)
    with watch(Watched({SITE: 3})) as record:
        attend(q[:1], k[:1, :, :6], v[:1, :, :6], mask=causal(), site=SITE)
        attend(q[:1, :, :1], k[:1, :, :7] + 1, v[:1, :, :7], mask=causal(), site=SITE)
    with pytest.raises(WatchError, match=r"decoder\.3\.self: the keys of text 0 changed between passes"):
        record.save(tmp_path / "r.safetensors")
    assert not list(tmp_path.iterdir())


def _first(note: dict[str, Any]) -> dict[str, Any]:
    return note["texts"][0]["sites"][0]


DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda note: note.update(version=2),
    "no version": lambda note: note.pop("version"),
    "a site by an odd name": lambda note: note.update(sites=["decoder"] * len(note["sites"])),
    "too few heads": lambda note: note.update(heads=[1] * len(note["heads"])),
    "a layer that is not there": lambda note: _first(note).update(layer=99),
    "a mask that is not there": lambda note: _first(note)["passes"][0].update(mask=7),
    "more queries than there are": lambda note: _first(note)["passes"][0].update(queries=10**6),
    "passes without end": lambda note: _first(note)["passes"][0].update(passes=2**62),
    "no queries": lambda note: _first(note)["passes"][0].update(queries=0),
    "fewer keys": lambda note: _first(note)["passes"][0].update(keys=1),
    "a window below 1": lambda note: note["texts"][0]["masks"][0].update(window=0),
    "a scale that is not finite": lambda note: _first(note).update(scale=float("inf")),
    "documents without their numbers": lambda note: note["texts"][0]["masks"][0].update(documents=True),
    "a head that is not there": lambda note: note["texts"][0]["masks"][0].update(
        knocked=[{"queries": [1], "keys": [0], "head": 99}]
    ),
    "pairs of unequal length": lambda note: note["texts"][0]["masks"][0].update(
        knocked=[{"queries": [1, 2], "keys": [0]}]
    ),
    "fewer tokens": lambda note: note["texts"][0].update(tokens=["a"]),
    "a text twice": lambda note: note["texts"].append(note["texts"][0]),
    "a negative text": lambda note: note["texts"][0].update(number=-1),
    "texts that are no list": lambda note: note.update(texts={"a": 1}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_note_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "r.safetensors"
    ch.observe(speaking(), TEXT).save(path)
    tensors, notes = read_tensors(path)
    note = json.loads(notes[NOTE])
    DAMAGE[damage](note)
    write_tensors(path, tensors, {NOTE: json.dumps(note)})
    with pytest.raises(FolderError, match=r"r\.safetensors: (the record is damaged|a record of version)"):
        read_record(path)


@pytest.mark.parametrize("note", ["[" * 5000, "{}", "7", "null", '{"version": ' + "9" * 5000 + "}"])
def test_a_note_that_is_no_record_is_refused(note: str, tmp_path: Path) -> None:
    path = tmp_path / "r.safetensors"
    write_tensors(path, {"x": torch.zeros(1)}, {NOTE: note})
    with pytest.raises(FolderError, match="the record is damaged"):
        read_record(path)


def test_other_files_and_missing_tensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.safetensors"
    with pytest.raises(FolderError, match="there is no such file"):
        read_record(path)
    write_tensors(path, {"x": torch.zeros(1)})
    with pytest.raises(FolderError, match="not a record; look --out"):
        read_record(path)
    ch.observe(speaking(), TEXT).save(path)
    tensors, notes = read_tensors(path)
    for name in tensors:
        rest = {other: tensor for other, tensor in tensors.items() if other != name}
        write_tensors(path, rest, notes)
        with pytest.raises(FolderError, match="the record is damaged"):
            read_record(path)


def test_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.safetensors"
    ch.observe(speaking(), TEXT).save(path)
    whole = bytearray(path.read_bytes())
    whole[-5] ^= 1
    path.write_bytes(whole)
    with pytest.raises(FolderError, match="altered since it was written"):
        read_record(path)
