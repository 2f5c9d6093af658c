"""log.jsonl: one line per report, none twice, none lost, read back as values."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from clearhead.errors import FolderError
from clearhead.training import Evaluated, Evaluation, Finished, Log, Stepped, read_end, read_log

STEP = Stepped(step=1, loss=2.5, rate=0.01, used=0.25, tokens=96, seconds=0.5)
LOOK = Evaluated(step=1, valid_loss=2.25, bits_per_byte=3.5, best=True, seconds=0.75, sample='line\n"你好"\u2028')


WRONG = [
    *("{", "[]", '{"kind": "stepped"}', '{"kind": "danced"}', '{"loss": 1}', "", "\xff"),
    "[" * 5000,
    '{"kind": []}',
    json.dumps({"kind": "stepped", **asdict(STEP), "loss": "2.5"}),
    json.dumps({"kind": "stepped", **asdict(STEP), "step": 1.5}),
    json.dumps({"kind": "evaluated", **asdict(LOOK), "valid_loss": None}),
]


def test_a_line_for_each_report_as_plain_json(tmp_path):
    with Log(tmp_path / "log.jsonl", 0) as log:
        log.write(STEP)
        log.write(LOOK)
        size = log.flush()
    text = (tmp_path / "log.jsonl").read_bytes()
    assert len(text) == size
    first, second = map(json.loads, text.decode().removesuffix("\n").split("\n"))
    assert first == {
        "kind": "stepped", "step": 1, "loss": 2.5, "rate": 0.01, "used": 0.25, "tokens": 96, "seconds": 0.5,
    }  # fmt: skip
    assert second["kind"] == "evaluated"
    assert second["sample"] == LOOK.sample
    assert "你好" in text.decode()
    assert read_log(tmp_path / "log.jsonl") == [STEP, LOOK]


def test_a_resumed_log_continues_at_the_known_length(tmp_path):
    path = tmp_path / "log.jsonl"
    with Log(path, 0) as log:
        log.write(STEP)
        length = log.flush()
        log.write(STEP)  # after the last saved state: to be made again
        log.write(STEP)
    with Log(path, length) as log:
        log.write(LOOK)
    assert read_log(path) == [STEP, LOOK]


def test_a_line_that_a_kill_cut_is_not_read(tmp_path):
    path = tmp_path / "log.jsonl"
    with Log(path, 0) as log:
        log.write(STEP)
        log.write(LOOK)
    path.write_bytes(path.read_bytes()[:-4])
    assert read_log(path) == [STEP]
    path.write_bytes(b"")
    assert read_log(path) == []


@pytest.mark.parametrize("line", WRONG)
def test_an_altered_line_is_reported_with_its_number(tmp_path, line):
    path = tmp_path / "log.jsonl"
    with Log(path, 0) as log:
        log.write(STEP)
    path.write_bytes(path.read_bytes() + line.encode("latin-1") + b"\n")
    with pytest.raises(FolderError, match=r"log\.jsonl: line 2 was altered"):
        read_log(path)


def test_a_missing_log_is_reported(tmp_path):
    with pytest.raises(FolderError, match=r"log\.jsonl: cannot be read: No such file"):
        read_log(tmp_path / "log.jsonl")


def test_a_log_shorter_than_the_state_says_is_reported(tmp_path):
    """It would otherwise be filled up with zeros."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"12345")
    with pytest.raises(FolderError, match="has 5 bytes, but had 9 when the state was saved"):
        Log(path, 9)
    assert path.read_bytes() == b"12345"


def test_a_log_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(FolderError, match=r"log\.jsonl: is a folder, and should be a file"):
        Log(tmp_path / "log.jsonl", 0)
    (tmp_path / "file").write_text("x")
    with pytest.raises(FolderError, match=r"log\.jsonl: cannot be written: Not a directory; make the file writable"):
        Log(tmp_path / "file" / "log.jsonl", 0)


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_another_file_is_not_written_through_a_link(tmp_path, link):
    (tmp_path / "other").write_text("a letter, not a log")
    link(tmp_path / "log.jsonl", tmp_path / "other")
    for length in (0, 8, 19):
        with pytest.raises(FolderError, match=r"log\.jsonl: is a (hard )?link"):
            Log(tmp_path / "log.jsonl", length)
    assert (tmp_path / "other").read_text() == "a letter, not a log"


@pytest.mark.usefixtures("at_once")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "log.jsonl")
    for touch in (lambda path: Log(path, 0), read_log):
        with pytest.raises(FolderError, match=r"log\.jsonl: is a pipe, and should be a file"):
            touch(tmp_path / "log.jsonl")


@pytest.mark.parametrize("when", ["while flushing", "at the end"])
def test_a_full_disk_is_reported(tmp_path, file_limit, when):
    path = tmp_path / "log.jsonl"
    long = replace(LOOK, sample="x" * 20_000)

    def fill() -> None:
        with Log(path, 0) as log:
            log.write(long)
            log.flush()
            log.write(long)
            if when == "while flushing":
                log.flush()

    with file_limit(30_000), pytest.raises(FolderError) as told:
        fill()
    assert str(told.value) == f"{path}: cannot be written: File too large; free some space"
    assert read_log(path) == [long]


@pytest.mark.parametrize("value", ["9" * 5_000, "[" * 2_000], ids=["digits", "brackets"])
def test_huge_numbers_and_deep_nesting_are_reported(tmp_path, value):
    (tmp_path / "log.jsonl").write_text(f'{{"kind": "stepped", "step": {value}}}\n')
    with pytest.raises(FolderError, match=r"log\.jsonl: line 1 was altered"):
        read_log(tmp_path / "log.jsonl")


def test_the_end_of_a_log_is_its_last_line(tmp_path):
    """What a kill left after the steps is no end; neither is one that more lines follow."""
    path = tmp_path / "log.jsonl"
    end = Finished(step=3, evaluation=Evaluation(nats=0.1, tokens=7, text_bytes=9, window=4, unit="x"), seconds=1.5)
    with Log(path, 0) as log:
        log.write(LOOK)
        log.write(end)
    assert read_end(path) == end
    assert read_log(path) == [LOOK]
    whole = path.read_bytes()
    for left in (b"", whole[:-1], whole + b"\0\0\n", whole + whole.splitlines(keepends=True)[0]):
        path.write_bytes(left)
        assert read_end(path) is None
