"""chat from a pipe and on a terminal: transformers' answers, commands, limits, and Ctrl-C."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from calling import Done, call
from transformers import AutoModelForCausalLM, AutoTokenizer

from clearhead import hub
from clearhead.language_model import LanguageModel
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, build
from clearhead.text import Tokenizer

TEMPLATE = """{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}
{% endfor %}
{% if add_generation_prompt %}<assistant>{% endif %}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A little model with a chat template whose answers never end by themselves."""
    tokenizer = Tokenizer.characters(["".join(map(chr, range(32, 127))) + "\n你好"])
    config = DecoderConfig(
        vocabulary=tokenizer.vocab_size,
        context=400,
        layers=2,
        width=20,
        attention=AttentionConfig(heads=2, kv_heads=1, head_width=6),
        feed_forward=FeedForwardConfig(width=29),
    )
    model = build(config, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    folder = tmp_path_factory.mktemp("runs") / "little"
    hub.save(folder, LanguageModel(model, tokenizer))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": False, "eos_token_id": []}))
    return folder


def chat(folder: Path, *arguments: object, lines: str = "") -> Done:
    words = ["--threads", 1, "--max-tokens", 9, *arguments]
    return call("chat", folder, *words, stdin=lines.encode(), folder=folder.parent)


def theirs(folder: Path, questions: list[str], *, system: str | None = None) -> list[str]:
    """The greedy answers of transformers, each after the whole conversation."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    messages = [] if system is None else [{"role": "system", "content": system}]
    for question in questions:
        messages.append({"role": "user", "content": question})
        found = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
        ids_BT = model.generate(**found, max_new_tokens=9, do_sample=False, pad_token_id=0)
        answer = tokenizer.decode(ids_BT[0, found["input_ids"].shape[1] :])
        messages.append({"role": "assistant", "content": answer})
    return [message["content"] for message in messages if message["role"] == "assistant"]


@pytest.mark.filterwarnings("ignore:.*generation flags.*")
@pytest.mark.parametrize("system", [None, "Be brief."])
def test_the_answers_are_those_of_transformers(folder: Path, system: str | None) -> None:
    questions = ["Hello there!", "你好", "//set is no command"]
    words = [] if system is None else ["--system", system]
    done = chat(folder, *words, lines="\n".join(questions))
    answers = theirs(folder, [*questions[:2], questions[2][1:]], system=system)
    assert done.code == 0
    assert done.out == "".join(f"{answer}\n" for answer in answers)
    assert done.err.count("cut after 9 tokens; /set max_tokens changes the limit") == 3


def test_the_settings_of_the_folder_and_those_that_are_set(folder: Path) -> None:
    done = chat(
        folder, "--top-k", 5, "--seed", 1, lines="/set temperature 0.7\n/set top_k off\n/set\n/bye\nnever said\n"
    )
    assert done.code == 0
    assert done.out == ""
    assert done.err.startswith("note: from the model's generation_config.json: temperature 0.0\n")
    values = dict(re.findall(r"^(\w+) +(\S+)$", done.err, re.MULTILINE))
    assert values == {
        "max_tokens": "9",
        "repetition_penalty": "1.0",
        "temperature": "0.7",
        "top_k": "off",
        "top_p": "off",
        "min_p": "off",
        "seed": "1",
    }


def test_a_seed_and_the_same_messages_give_the_same_answers(folder: Path) -> None:
    first, same, other = (chat(folder, "--temperature", 3, "--seed", seed, lines="Hello\n") for seed in (1, 1, 2))
    assert first.out == same.out != other.out


def test_clear_starts_over_and_keeps_the_system_message(folder: Path) -> None:
    words = ["--system", "Be brief."]
    (alone,) = chat(folder, *words, lines="Hello\n").out.splitlines()
    done = chat(folder, *words, lines="How are you?\n/clear\nHello\n")
    assert done.out.splitlines()[-1] == alone
    assert "starting over" in done.err


def test_look_shows_what_the_answer_read(folder: Path) -> None:
    done = chat(folder, lines="Hello\n/look\n/look 1.0\n")
    answer, _, tables = done.out.partition("\n")
    assert answer
    ours = hub.load(folder)
    prompt = ours.tokenizer.encode(ours.tokenizer.chat([{"role": "user", "content": "Hello"}]))
    heads, tokens = re.split(r"what\s+each\s+token\s+of\s+the\s+answer\s+attends\s+to,\s+layer\s+1,\s+head\s+0", tables)
    assert f"what place {len(prompt) + 8} " in heads
    assert re.findall(r"^(\d\.\d)  ", heads, re.MULTILINE) == ["0.0", "0.1", "1.0", "1.1"]
    places = re.findall(r"^(\d+) \S+  ", tokens, re.MULTILINE)
    assert [int(place) for place in places] == list(range(len(prompt), len(prompt) + 9))


def test_a_conversation_that_no_longer_fits_is_reported_and_nothing_is_dropped(folder: Path) -> None:
    long = "Hello there! " * 40
    done = chat(folder, "--max-tokens", 30, lines=f"{long}\n{long}\n{long}\n")
    assert done.code == 1
    assert re.search(
        r"no longer fits: with this message it has \d+ tokens, and the model's context length is 400; nothing was drop",
        done.err,
    )
    full = chat(folder, "--max-tokens", 2000, lines="Hello\n")
    assert full.code == 0
    assert "cut: the context of 400 tokens is full, and nothing was dropped; /clear starts over" in full.err


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("/st", 2, "/st: no such command; did you mean 'set'?"),
        ("/set temprature 1", 2, "/set temprature: no such setting; did you mean 'temperature'?"),
        ("/set temperature hot", 2, "'hot' is not a number"),
        ("/set temperature -1", 2, "temperature is -1.0; it must be 0 (greedy) or at least"),
        ("/set temperature", 2, "give a name and a value"),
        ("/set seed off", 2, "seed is None"),
        ("/look", 2, "there is no answer to look at yet"),
        ("/look 9.9", 2, "there is no answer to look at yet"),
        ("Hello\n/look 9.9", 2, "layer 9"),
        ("/look x", 2, "name a head as layer.head"),
        ("/clear all", 2, "/clear takes no arguments"),
    ],
)
def test_what_is_wrong_ends_a_pipe_with_one_error(folder: Path, line: str, code: int, message: str) -> None:
    done = chat(folder, lines=f"{line}\nHello\n")
    assert done.code == code
    assert message in done.err
    assert done.out.count("\n") == line.count("Hello")


def test_help_lists_every_command_and_setting(folder: Path) -> None:
    done = chat(folder, lines="/help\n\n   \n")
    assert all(word in done.err for word in ("/set", "/clear", "/look", "/bye", "repetition_penalty"))
    assert done.out == ""


def test_lines_that_are_not_utf_8_are_refused(folder: Path) -> None:
    done = call("chat", folder, "--max-tokens", 2, stdin=b"\xef\xbb\xbfHello\n\xff\n", folder=folder.parent)
    assert done.code == 1
    assert "standard input: line 2 is not UTF-8" in done.err


def test_a_model_without_a_template_says_so_and_what_to_do(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "plain")
    (copied / "chat_template.jinja").unlink()
    done = chat(copied, lines="Hello\n")
    assert (done.code, done.out) == (1, "")
    assert "this model has no chat template" in done.err
    assert "`clearhead generate`" in done.err


def test_a_template_that_refuses_leaves_the_conversation(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "strict")
    strict = "{% if messages|length > 1 %}{{ raise_exception('one message only') }}{% endif %}" + TEMPLATE
    (copied / "chat_template.jinja").write_text(strict)
    done = chat(copied, lines="Hello\nHello\n")
    assert done.code == 1
    assert "error: chat template: one message only" in done.err
    assert done.out.count("\n") == 1


def asleep(process: subprocess.Popen[bytes]) -> None:
    """Returns when the process waits for input: a signal between its prompt and that moment is seen a key later.

    It may sleep for other reasons too, but not for a fifth of a second.
    """
    state, looks = Path(f"/proc/{process.pid}/stat"), 0
    while state.exists() and looks < 10:
        assert process.poll() is None
        looks = looks + 1 if state.read_text().rpartition(")")[2].split()[0] == "S" else 0
        time.sleep(0.02)


def heeding_interrupts() -> None:
    """Runs in the child: tests that a shell runs in the background ignore SIGINT, and so would their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """The command on a terminal of its own; what it shows is read as it comes."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        command = [sys.executable, "-m", "clearhead.cli", "chat", str(folder), *arguments]
        code = "import sys; from clearhead.cli import main; sys.argv = ['clearhead', *sys.argv[1:]]; main()"
        command = [sys.executable, "-c", code, *command[3:]]
        environment = {**os.environ, "TERM": "dumb", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=environment,
            preexec_fn=self._in_the_child,
        )  # fmt: skip
        os.close(slave)
        self.shown = ""

    @staticmethod
    def _in_the_child() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        heeding_interrupts()

    def until(self, pattern: str) -> str:
        """The output since the last call, up to and including the pattern."""
        end = time.monotonic() + 60
        while (found := re.search(pattern, self.shown)) is None:
            assert time.monotonic() < end, self.shown
            if select.select([self._master], [], [], 1)[0]:
                try:
                    self.shown += os.read(self._master, 1 << 16).decode(errors="replace")
                except OSError:  # the other end was closed
                    break
        assert found is not None, self.shown
        before, self.shown = self.shown[: found.end()], self.shown[found.end() :]
        return before

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def terminal(folder: Path, tmp_path: Path) -> Iterator[Terminal]:
    slow = shutil.copytree(folder, tmp_path / "slow")
    opened = Terminal(slow, "--threads", "1", "--max-tokens", "390")
    yield opened
    opened.close()


def test_on_a_terminal(terminal: Terminal) -> None:
    terminal.until("a context of 400 tokens; /help lists the commands")
    terminal.until(">>> ")
    terminal.type("/nothing\n")  # an error is printed, and the chat goes on
    terminal.until(r"error: /nothing: no such command")
    terminal.until(">>> ")
    asleep(terminal.process)
    terminal.type("\x03")  # Ctrl-C at the prompt
    terminal.until("Ctrl-D ends the chat")
    terminal.until(">>> ")
    terminal.type("/set max_tokens 3\nHello\n")
    terminal.until("cut after 3 tokens")
    terminal.until(">>> ")
    terminal.type("/bye\n")
    assert terminal.process.wait(timeout=30) == 0


def test_ctrl_c_stops_the_answer_and_not_the_chat(terminal: Terminal) -> None:
    terminal.until(">>> ")
    terminal.type("Hello\n")
    terminal.until("Hello\r?\n")
    terminal.until(".")  # the answer has begun
    terminal.type("\x03")
    terminal.until("(stopped|cut)")
    terminal.until(">>> ")
    terminal.type("/look\n")
    terminal.until("attends most to")
    terminal.until(">>> ")
    terminal.type("\x04")  # Ctrl-D
    assert terminal.process.wait(timeout=30) == 0


def test_an_interrupt_ends_a_pipe_with_130(folder: Path) -> None:
    code = "import sys; from clearhead.cli import main; sys.argv[0] = 'clearhead'; main()"
    words = ["chat", str(folder), "--threads", "1", "--max-tokens", "2"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=heeding_interrupts,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"Hello\n")
        process.stdin.flush()
        assert process.stdout.readline().endswith(b"\n")
        asleep(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130


def test_edits_change_the_answers_from_then_on(folder: Path):
    plain = chat(folder, lines="Hello\n").out
    done = chat(folder, lines="/edit ablate 0\nHello\n/edit\n/edit off\n/clear\nHello\n")
    assert done.code == 0, done.err
    edited, again = done.out.splitlines()
    assert again + "\n" == plain
    assert edited + "\n" != plain
    assert "edits: ablate 0\n" in done.err
    assert "edits: none\n" in done.err
    after = chat(folder, lines="Hello\n/edit ablate 0\nHello\n").out.splitlines()
    both = chat(folder, lines="/edit ablate 0\nHello\n/clear\nHello\n").out.splitlines()
    assert both == [edited, edited]
    assert after[0] + "\n" == plain


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("ablat 0", "there is no 'ablat'; did you mean 'ablate'?"),
        ("ablate 2", "the model has no site of layer 2"),
        ("ablate 0 at -1", "name places by number, and no text: a conversation is one text"),
        ("ablate 0 text 1", "name places by number, and no text: a conversation is one text"),
        ("ablate 0 at 399", "the watched text has places 0 to"),
    ],
)
def test_an_edit_that_cannot_be_made_ends_a_piped_chat(folder: Path, form: str, message: str):
    done = chat(folder, lines=f"/edit {form}\nHello\n")
    assert done.code in (1, 2)
    assert message in done.err
