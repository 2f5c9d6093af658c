"""The verb from the outside: what goes to which stream, exit codes, messages."""

import io
import json
import os
import re
import shutil
import sys

import pytest
from calling import call
from typer.testing import CliRunner

from clearhead import hub
from clearhead.cli import app, generate, utf8
from clearhead.errors import TextError
from clearhead.generation import Chunk, Sampling, complete, stream
from clearhead.generation import generate as write
from clearhead.language_model import LanguageModel
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, build
from clearhead.text import Tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tokenizer = Tokenizer.characters(["abcdefghij \n好"])
    config = DecoderConfig(
        vocabulary=tokenizer.vocab_size,
        context=31,
        layers=2,
        width=20,
        attention=AttentionConfig(heads=2, kv_heads=1, head_width=6),
        feed_forward=FeedForwardConfig(width=29),
    )
    folder = tmp_path_factory.mktemp("runs") / "little"
    hub.save(folder, LanguageModel(build(config, seed=3), tokenizer))
    return folder


def run(*arguments, stdin=None):
    return CliRunner().invoke(app, ["generate", *map(str, arguments), "--threads", "1"], input=stdin)


def expected(folder, *prompts, **settings):
    model = hub.load(folder)
    return write(model, prompts, **settings)


def test_standard_output_has_prompt_and_text_alone(folder):
    got = run(folder, "abc", "--max-tokens", 9, "--seed", 5)
    (completion,) = expected(folder, "abc", max_tokens=9, seed=5)
    assert got.exit_code == 0
    assert got.stdout == f"abc{completion.text}\n"
    assert completion.finish == "end"
    assert got.stderr.startswith(f"{len(completion.ids)} tokens (until the model ended the text) in ")
    assert got.stderr.endswith("tokens/s; seed 5\n")


def test_several_prompts_keep_their_order_whoever_is_done_first(folder):
    prompts = ["a", "bcd", "efghij"]
    got = run(folder, *prompts, "--max-tokens", 28, "--seed", 1)
    assert got.stdout == "\n".join(f"{one}\n" for one in expected(folder, *prompts, max_tokens=28, seed=1))


def test_a_full_context_is_reported(folder):
    got = run(folder, "abc", "--temperature", 0)
    assert "stopped after 28 of 100 tokens: the model's context of 31 tokens, prompt included, is full" in got.stderr
    assert "seed" not in got.stderr  # greedy draws nothing
    assert "prompt 2: stopped after 30 of" in run(folder, "abc", "a", "--temperature", 0).stderr


def test_json_has_one_object_a_line(folder):
    got = run(folder, "abc", "好", "--max-tokens", 4, "--seed", 2, "--json")
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    for line, one in zip(lines, expected(folder, "abc", "好", max_tokens=4, seed=2), strict=True):
        assert list(line) == ["prompt", "text", "ids", "tokens", "logprobs", "finish", "seed"]
        assert (line["prompt"], line["text"], line["finish"], line["seed"]) == (one.prompt, one.text, "length", 2)
        assert (line["ids"], line["tokens"]) == (list(one.ids), list(one.tokens))
        assert line["logprobs"] == pytest.approx(one.logprobs, abs=1e-4)
    assert "好" in got.stdout


def test_every_option_reaches_the_sampling(folder):
    options = ["--top-k", 4, "--top-p", 0.9, "--min-p", 0.05, "--repetition-penalty", 1.2, "--temperature", 0.7]
    got = run(folder, "abc", "--max-tokens", 20, "--seed", 8, "--stop", "b", "--stop", " c", "--json", *options)
    (one,) = expected(
        folder,
        "abc",
        max_tokens=20,
        seed=8,
        stop=("b", " c"),
        top_k=4,
        top_p=0.9,
        min_p=0.05,
        repetition_penalty=1.2,
        temperature=0.7,
    )
    assert json.loads(got.stdout)["ids"] == list(one.ids)


def test_without_a_seed_one_is_drawn_and_printed(folder):
    first = run(folder, "--max-tokens", 20)
    seed = first.stderr.split("seed ")[1].strip()
    assert run(folder, "--max-tokens", 20, "--seed", seed).stdout == first.stdout


def test_prompts_from_a_file_and_from_standard_input(folder, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufeffabc\r\n\nd\n".encode())
    settings = ["--max-tokens", 5, "--seed", 1]
    texts = [str(one) for one in expected(folder, "abc", "", "d", max_tokens=5, seed=1)]
    assert run(folder, "--file", path, *settings).stdout == "\n".join(f"{text}\n" for text in texts)
    assert run(folder, "--file", "-", *settings, stdin="d\n").stdout == f"{texts[2]}\n"
    assert run(folder, "abc", "--file", "-", *settings, stdin="d").stdout == f"{texts[0]}\n\n{texts[2]}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "is empty"), (b"ab\xff", "byte 2 is not UTF-8")],
)
def test_a_file_without_prompts_is_refused(folder, tmp_path, content, message):
    path = tmp_path / "prompts.txt"
    if content is not None:
        path.write_bytes(content)
    got = run(folder, "--file", path)
    assert got.stdout == ""
    assert got.exception.exit_code == 1
    assert message in str(got.exception)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--top-p", "2"], 2, "top_p is 2.0; it must be above 0 and at most 1"),
        (["--temperature", "-1"], 2, "temperature is -1.0; it must be 0 (greedy) or at least 1e-06"),
        (["--stop", ""], 2, "stop (--stop) has an empty string; give at least one character, or leave it out"),
        (["--seed", "-4"], 2, "seed is -4; it must be a whole number of at least 0 and below 2**64"),
        (["a" * 31], 1, "has 32 tokens with the separator in front; the model's context is 31; shorten it"),
        (["xyz"], 1, "'x'"),
    ],
)
def test_bad_input_gets_one_error(folder, arguments, code, message):
    got = run(folder, *arguments)
    assert got.stdout == ""
    assert got.exception.exit_code == code
    assert message in str(got.exception)


def test_the_settings_are_checked_before_the_model_is_loaded(tmp_path):
    assert "max_tokens is 0" in str(run(tmp_path / "none", "--max-tokens", "0").exception)


@pytest.mark.parametrize(
    "draft", [["--draft-bits", "8"], ["--draft", "FOLDER"], ["--draft", "FOLDER", "--draft-bits", "4"]]
)
def test_a_draft_leaves_the_text_as_it_is(draft, tmp_path):
    tokenizer = Tokenizer.characters(["abcdefghij \n"])
    config = DecoderConfig(
        vocabulary=tokenizer.vocab_size,
        context=80,
        layers=2,
        width=32,
        attention=AttentionConfig(heads=2, kv_heads=1, head_width=16),
        feed_forward=FeedForwardConfig(width=32),
    )
    hub.save(tmp_path / "run", LanguageModel(build(config, seed=3), tokenizer))
    words = [str(tmp_path / "run") if word == "FOLDER" else word for word in draft]
    options = ("abc", "de", "--max-tokens", 40, "--seed", 5, "--together", 1)
    wanted, found = run(tmp_path / "run", *options), run(tmp_path / "run", *options, *words)
    assert found.stdout == wanted.stdout
    guessed, right = re.fullmatch(
        r"the draft guessed (\d+) tokens; (\d+) were right", found.stderr.splitlines()[-1]
    ).groups()
    assert int(guessed) >= int(right) > 20


def test_what_comes_early_waits():
    def chunk(prompt, text, finish=None):
        return Chunk(prompt=prompt, text=text, id=0, logprob=0.0, finish=finish)

    coming = [
        chunk(0, "a"),
        chunk(1, "x"),
        chunk(2, "q", "end"),
        chunk(1, "y", "end"),
        chunk(0, "b"),
        chunk(0, "c", "end"),
    ]
    seen = []
    out = []
    for one in generate.in_order(seen.append(one) or one for one in coming):
        out.append((one.text, len(seen)))
    assert out == [("a", 1), ("b", 5), ("c", 6), ("x", 6), ("y", 6), ("q", 6)]


@pytest.fixture
def released(folder, tmp_path):
    """The same model in a folder whose generation_config.json says more."""
    copied = shutil.copytree(folder, tmp_path / "released")
    settings = {"do_sample": True, "temperature": 0.5, "top_p": 0.9, "max_new_tokens": 7}
    settings |= {"eos_token_id": [0, 1], "num_beams": 2}
    (copied / "generation_config.json").write_text(json.dumps(settings))
    return copied


def test_settings_of_the_folder_are_reported_and_options_override_them(released, tmp_path):
    got = call("generate", released, "ab", "--seed", 3, "--json", "--threads", 1, folder=tmp_path)
    line = json.loads(got.out)
    model = hub.load(released)
    settings = {"temperature": 0.5, "top_k": 50, "top_p": 0.9, "max_tokens": 7, "seed": 3}
    one = complete(model, "ab", list(stream(model, ["ab"], Sampling(**settings))))
    assert (line["ids"], line["finish"]) == (list(one.ids), one.finish)
    assert (
        "note: from the model's generation_config.json: temperature 0.5, top_k 50, max_tokens 7, top_p 0.9" in got.err
    )
    assert "asks for num_beams = 2, which is not supported" in got.err
    got = call("generate", released, "ab", "--temperature", 0, "--max-tokens", 3, "--threads", 1, folder=tmp_path)
    assert "from the model's" not in got.err  # its filters have no effect in a greedy text
    one = complete(model, "ab", list(stream(model, ["ab"], Sampling(temperature=0, max_tokens=3))))
    assert got.out == f"{one}\n"


def test_the_same_settings_hold_from_python(released):
    model = hub.load(released)
    one = complete(model, "ab", list(stream(model, ["ab"], Sampling(temperature=0, max_tokens=7))))
    assert write(model, "ab", temperature=0) == one
    assert set(one.ids[:-1]).isdisjoint({0, 1})


@pytest.mark.usefixtures("at_once")
def test_endless_input_is_not_read_forever(folder, tmp_path, monkeypatch):
    """A device is refused; a pipe, a file and standard input are read up to a limit."""
    with pytest.raises(TextError, match=r"^/dev/zero: is a device, and should be a file"):
        utf8.read_text("/dev/zero")
    with pytest.raises(TextError, match=r"is a folder; give a file with the text in it"):
        utf8.read_text(str(tmp_path))
    monkeypatch.setattr(utf8, "AT_MOST", 100)
    (tmp_path / "long.txt").write_text("a" * 101)
    names = [str(tmp_path / "long.txt"), "-"]
    reading, writing = os.pipe()
    os.write(writing, b"a" * 101)
    for name in [*names, f"/dev/fd/{reading}"]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a" * 101)))
        with pytest.raises(TextError, match=r"has more than 100 bytes; give less at once"):
            utf8.read_text(name)
    os.write(writing, b"a\nb")
    os.close(writing)
    assert utf8.read_text(f"/dev/fd/{reading}") == "a\nb"
    os.close(reading)
