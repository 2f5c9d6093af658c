"""Records whose queries and keys are in files: the same numbers, no names on the disk, and what is refused."""

from __future__ import annotations

import errno
import gc
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import clearhead as ch
from clearhead import machine
from clearhead.analysis.room import record_bytes
from clearhead.attend import attend
from clearhead.errors import MemoryNeededError, WatchError, WriteError
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.watching import TextRecord, watch
from clearhead.watching.text_record import KEPT
from definition import BATCH, MASKS, SCORES, SITE, Watched, tensors, weights
from heads import KINDS, lively
from little_configs import RIVALS
from little_translators import made_up, translator
from looked import BYTES, assert_same_atlas, speaking

TEXT = "the cat sat on the cat"
EVERYTHING = " ".join(KEPT)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("score", SCORES)
def test_maps_are_the_definition(mask: str, score: str, tmp_path: Path) -> None:
    heads = (6, 3)
    q, k, v = tensors(*heads, 11)
    case, rules = MASKS[mask], SCORES[score]
    with watch(Watched({SITE: heads[0]}), spill=tmp_path) as record:
        attend(q, k, v, mask=case.mask, score=rules.score(heads[0]), site=SITE)
    p_BHQK = weights(q, k, case.sees, rules)
    q.zero_(), k.zero_()  # the record has copies
    for row in range(BATCH):
        for head in range(heads[0]):
            wanted_QK = case.own(p_BHQK[row, head], row)
            if wanted_QK.size:
                np.testing.assert_allclose(record.map(SITE, head, row)[:, :].numpy(), wanted_QK, atol=1e-14)


def assert_same(found: TextRecord, wanted: TextRecord) -> None:
    """Every kept tensor, to the bit; every map and measure, up to rounding."""
    assert found.seen() == wanted.seen() != []
    assert_same_atlas(found.atlas().to_dict(), wanted.atlas().to_dict())
    for site in wanted.seen():
        for head in range(wanted.heads(site)):
            torch.testing.assert_close(found.map(site, head)[:, :], wanted.map(site, head)[:, :], rtol=1e-5, atol=1e-6)
        for kept in (
            TextRecord.queries,
            TextRecord.keys,
            TextRecord.values,
            TextRecord.head_outputs,
            TextRecord.output,
        ):
            assert torch.equal(kept(found, site), kept(wanted, site))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_as_from_memory_and_the_size_that_was_expected(kind: str, tmp_path: Path) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        model = lively(kind, dtype)
        text = TEXT[:8]
        wanted, found = (
            ch.observe(model, text, keep=EVERYTHING),
            ch.observe(model, text, keep=EVERYTHING, spill=tmp_path),
        )
        assert_same(found, wanted)
        lengths = [(len(wanted.tokens), 0)]
        assert record_bytes(model, lengths, EVERYTHING) == found.nbytes() == wanted.nbytes()
        assert record_bytes(model, lengths, "values") == ch.observe(model, text, keep="values").nbytes()


@pytest.mark.parametrize("kind", ["lstm-attention", "gru-attention"])
def test_rivals_that_attend(kind: str, tmp_path: Path) -> None:
    model = LanguageModel(build(replace(RIVALS[kind], vocabulary=BYTES.vocab_size), seed=0).eval(), BYTES)
    wanted, found = (ch.observe(model, "a cat", spill=spill) for spill in (None, tmp_path))
    assert_same_atlas(found.atlas().to_dict(), wanted.atlas().to_dict())
    assert record_bytes(model, [(len(wanted.tokens), 0)], "") == found.nbytes() == wanted.nbytes()


def test_a_translator_and_several_texts(tmp_path: Path) -> None:
    model, (source, target) = translator(steps=1), made_up(1)[0]
    wanted, found = (ch.observe(model, source, target=target, spill=spill) for spill in (None, tmp_path))
    for part in ("encoder", "decoder", "cross"):
        assert_same_atlas(*(record.of(part).atlas().to_dict() for record in (found, wanted)))
    lengths = [(len(wanted.tokens), len(wanted.tokenized("encoder").tokens))]
    assert record_bytes(model, lengths, "") == found.nbytes()
    both = ch.observe(speaking(), [TEXT, "a cat"], spill=str(tmp_path))
    for text, one in zip([TEXT, "a cat"], both.each(), strict=True):
        assert_same_atlas(one.atlas().to_dict(), ch.observe(speaking(), text).atlas().to_dict())


def test_it_saves_as_the_one_in_memory_does(tmp_path: Path) -> None:
    for name, spill in (("memory", None), ("spilled", tmp_path)):
        ch.observe(speaking(), TEXT, keep=EVERYTHING, spill=spill).save(tmp_path / f"{name}.safetensors")
    assert (tmp_path / "memory.safetensors").read_bytes() == (tmp_path / "spilled.safetensors").read_bytes()


def mapped(folder: Path) -> int:
    """Number of mapped files of a folder."""
    return sum(str(folder) in line for line in Path("/proc/self/maps").read_text().splitlines())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="there is no list of what is mapped")
def test_the_files_have_no_names_and_vanish_with_the_record(tmp_path: Path) -> None:
    record: TextRecord | None = ch.observe(speaking(), TEXT, spill=tmp_path)
    assert mapped(tmp_path) > 0
    assert list(tmp_path.iterdir()) == []
    kept = record.record.calls()[record.seen()[0]][0].k_BGKD
    wanted = kept.clone()
    record = None
    gc.collect()
    assert mapped(tmp_path) == 1  # a tensor that is in use holds its file
    assert torch.equal(kept, wanted)
    del kept
    assert mapped(tmp_path) == 0


class TestRefusals:
    def test_a_missing_folder_and_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(WriteError, match=r"nowhere: there is no folder .*nowhere; create it"):
            ch.observe(speaking(), TEXT, spill=tmp_path / "nowhere")
        missing = pytest.raises(WriteError, match="nowhere/record: cannot be written: there is no folder")
        with missing, watch(speaking(), spill=tmp_path / "nowhere"):
            speaking().network(torch.tensor([[1, 2]]))

    def test_neither_memory_nor_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        need = ch.observe(speaking(), TEXT).nbytes()
        one_pass = speaking().network.pass_bytes(1, 101)
        monkeypatch.setattr(machine, "free_memory", lambda device: need)
        with pytest.raises(MemoryNeededError, match=r"a record of 23 tokens .* are free; .*\(\.\.\., spill=FOLDER\)"):
            ch.observe(speaking(), TEXT)
        monkeypatch.setattr(machine, "free_memory", lambda device: one_pass)
        assert ch.observe(speaking(), TEXT, spill=tmp_path).nbytes() == need
        usage = namedtuple("usage", ["total", "used", "free"])
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(need, 1, need - 1))
        with pytest.raises(WriteError, match=r"needs about .* GB; .* has .* GB free; choose another disk"):
            ch.observe(speaking(), TEXT, spill=tmp_path)
        monkeypatch.setattr(machine, "free_memory", lambda device: 0)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(need, 0, need))
        with pytest.raises(MemoryNeededError, match="a pass needs about"):
            ch.observe(speaking(), TEXT, spill=tmp_path)

    def test_a_disk_that_others_fill_in_the_meantime(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class Full(io.BytesIO):
            def write(self, buffer: object) -> int:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: Full())
        with pytest.raises(WriteError, match="No space left on device; free some space"):
            ch.observe(speaking(), TEXT, spill=tmp_path)

    def test_a_text_that_goes_on_from_a_cache(self, tmp_path: Path) -> None:
        model = speaking()
        refused = pytest.raises(WatchError, match=r"1 queries go on from a cache of keys, .*; leave out spill")
        with refused, watch(model, spill=tmp_path):
            ch.generate(model, "ab", max_tokens=3, temperature=0.0)


LONG = """
import resource, sys
from pathlib import Path
import torch
import clearhead as ch
from clearhead.language_model import LanguageModel
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, build
from clearhead.text import Tokenizer

torch.set_num_threads(1)
config = DecoderConfig(
    vocabulary=257, context=1024, layers=32, width=16, feed_forward=FeedForwardConfig(width=16),
    attention=AttentionConfig(heads=16, kv_heads=16, head_width=32, window=64),
)
model = LanguageModel(build(config, seed=0).eval(), Tokenizer.bytes())
ch.observe(model, "ab").atlas()

def private():  # what RLIMIT_DATA limits: memory that no file stands behind
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData:")]
    return int(line.split()[1]) * 1024

limit = private() + 96 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
record = ch.observe(model, "x" * 1023, spill=sys.argv[1])
print(record.nbytes(), record[31, 3][1000].sum().item())
record.save(Path(sys.argv[1], "r.safetensors"))
ch.observe(model, "x" * 1023)  # in memory: too much
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_DATA counts other things elsewhere")
def test_a_record_larger_than_the_memory_that_may_be_used(tmp_path: Path) -> None:
    """128 MB of queries and keys with 96 MB allowed; without a folder, that is too little."""
    command = [sys.executable, "-c", LONG, str(tmp_path)]
    # Every tensor is mapped apart: the heap's fragments make up to 70 MB otherwise, from run to run.
    env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.stderr.count("DefaultCPUAllocator: can't allocate memory") == 1, done.stderr
    nbytes, row = map(float, done.stdout.split())
    assert nbytes == 32 * 2 * 16 * 32 * 1024 * 4
    assert row == pytest.approx(1.0, abs=1e-6)
    assert (tmp_path / "r.safetensors").stat().st_size > nbytes
