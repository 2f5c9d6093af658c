"""The command as a whole: its start, its help, its exit codes, its streams and colours."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from calling import SMALL, TEXT, Command

from clearhead import __version__, hub
from clearhead.cli import VERBS
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.text import Tokenizer
from little_configs import QWEN3

COMMAND = str(Path(sys.executable).with_name("clearhead"))
COST = """
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_utime + used.ru_stime, "torch" in sys.modules, file=sys.stderr)
"""
HELP = """
import resource, sys
from clearhead import cli
sys.argv = ["clearhead", *{words!r}]
try:
    cli.main()
finally:"""
EVERY_HELP = """
import resource, sys
from clearhead import cli
for words in [[], *([verb] for verb in cli.VERBS)]:
    sys.argv = ["clearhead", *words, "--help"]
    try:
        cli.main()
    except SystemExit as end:
        assert not end.code
if True:"""
TORCH = """
import resource, sys
import torch
if True:"""


def seconds_of(program: str) -> tuple[float, bool, str]:
    """The CPU time of a program, whether it loaded torch, and what it printed."""
    done = subprocess.run([sys.executable, "-c", program + COST], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cost, loaded = done.stderr.split()
    return float(cost), loaded == "True", done.stdout


@pytest.fixture(scope="module")
def torch_seconds() -> float:
    return seconds_of(TORCH)[0]


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["corpora", "--help"]], ids=" ".join)
def test_help_is_quick(words: list[str], torch_seconds: float):
    """A third of the CPU time of importing torch, on any machine; what seems slower is measured beside torch again."""
    shares: list[float] = []
    while len(shares) < 3 and (not shares or min(shares) > 1 / 3):
        cost, _, printed = seconds_of(HELP.format(words=words))
        assert "Usage: clearhead" in printed
        shares.append(cost / (seconds_of(TORCH)[0] if shares else torch_seconds))
    assert min(shares) < 1 / 3


def test_help_needs_no_torch():
    _, loaded, printed = seconds_of(EVERY_HELP)
    for verb in VERBS:
        assert f"Usage: clearhead {verb} " in printed
    assert not loaded


def test_the_verbs(command: Command):
    out = command("--help").out
    for verb in ("train", "generate", "look", "eval", "show", "corpora", "doctor"):
        assert f"│ {verb} " in out
    assert command("-h").out == out


def test_the_version(command: Command):
    assert command("--version").out == f"clearhead {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--version"], 0, ""),
        (["show", "nowhere"], 1, "error: nowhere: there is no such folder"),
        ([], 2, ""),
        (["trian"], 2, "did you mean 'train'?"),
        (["show"], 2, "error: show: MODEL is missing; clearhead show --help lists what it takes"),
        (["show", "a", "b"], 2, "error: show: more arguments than it takes: b; clearhead show --help lists"),
        (["look", "a", "I", "go", "out"], 2, "error: look: more arguments than it takes: go out; put the text in"),
        (
            ["generate", "a", "--top-k", "0"],
            2,
            "--top-k is 0; it must be a whole number of at least 1; leave it out",
        ),
        (["train", "a", "--minutes", "abc"], 2, "error: --minutes: 'abc' was given; it must be a number"),
        (["train", "a", "--steps", "1e3"], 2, "error: --steps: '1e3' was given; it must be a whole number, in digits"),
        (
            ["train", "a", "--steps", "9" * 5000],
            2,
            "(str) was given; it must be a whole number of at most 4,300 digits",
        ),
        (["look", "a", "b", "--by", "magic"], 2, "error: --by: 'magic' is not one of 'attention', 'gradient'"),
        (["train", "a", "--bogus", "3"], 2, "error: train: there is no option --bogus; clearhead train --help lists"),
        (["train", "a", "--step", "3"], 2, "error: train: there is no option --step; did you mean --steps?"),
        (["train", "--steps"], 2, "error: --steps: it requires an argument"),
    ],
)
def test_exit_codes(command: Command, arguments, code, message):
    done = command(*arguments)
    assert done.code == code
    assert message in done.err
    assert len(done.err.splitlines()) <= 1


@pytest.mark.parametrize(
    "words",
    [
        ["look", "nowhere", "a", "--out", "none/x.html"],
        ["look", "nowhere", "a", "--out", "none/x.safetensors"],
        ["look", "nowhere", "a", "--by", "gradient", "--out", "none/x.html"],
        ["atlas", "nowhere", "a", "--out", "none/x.html"],
        ["next", "nowhere", "a", "--out", "none/x.html"],
        ["steps", "nowhere", "a", "--out", "none/x.html"],
        ["lens", "nowhere", "a", "--out", "none/x.html"],
        ["lens", "nowhere", "--train", "b", "--out", "none/x.safetensors"],
        ["parts", "nowhere", "a", "--out", "none/x.json"],
        ["effect", "nowhere", "a", "--edit", "ablate 1", "--out", "none/x.json"],
        ["sweep", "nowhere", "a", "--out", "none/x.json"],
        ["senses", "nowhere", "a", "--corpus", "world-en", "--out", "none/x.html"],
        ["words", "nowhere", "nearest", "a", "--map", "none/x.html"],
    ],
    ids=lambda words: " ".join(words[:1] + words[-2:]),
)
def test_a_file_in_a_missing_folder_is_refused_at_once_and_no_folder_is_made(
    words: list[str], command: Command, tmp_path: Path
):
    done = command(*words)
    said = f"error: {words[-1]}: there is no folder none; create it, or choose another place\n"
    assert (done.code, done.err) == (2, said)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "words", [["train", "-"], ["eval", "run", "-"], ["generate", "run", "--file", "-"]], ids=" ".join
)
def test_a_standard_input_that_is_closed_is_empty(words: list[str], tmp_path: Path):
    hub.save(tmp_path / "run", LanguageModel(build(replace(QWEN3, vocabulary=257), seed=0), Tokenizer.bytes()))
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", COMMAND, *words]
    done = subprocess.run(closed, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "empty" in done.stderr.splitlines()[-1]


TRAIN = ["train", "text.txt", "--steps", "1"]


@pytest.mark.parametrize(
    ("closed", "words"),
    [(">&-", ["corpora", "world-en"]), ("2>&-", TRAIN), ("<&- >&- 2>&-", TRAIN)],
    ids=["out", "err", "all"],
)
def test_output_to_a_closed_stream_is_dropped(closed: str, words: list[str], tmp_path: Path):
    """None of it ends up in a file that was given the number of the closed stream."""
    (tmp_path / "text.txt").write_text(TEXT)
    more = [*SMALL, "--out", "new"] if words[0] == "train" else []
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", COMMAND, *words, *more]
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if words[0] == "train":
        assert hub.load(tmp_path / "new").config.width == 16


INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
class Press:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Press())
from clearhead.__main__ import main
sys.argv = ["clearhead", "show", "x"]
main()
"""


@pytest.mark.parametrize("module", ["clearhead.cli", "typer", "torch"])
def test_ctrl_c_during_startup_exits_quietly(module: str):
    program = [sys.executable, "-c", INTERRUPTED.format(module=module)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr


def test_python_runs_the_package():
    done = subprocess.run([sys.executable, "-m", "clearhead", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"clearhead {__version__}\n")


def test_an_error_of_the_system_is_one_line(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An OSError that no code expects."""

    def outline(folder: Path, **options: str) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(hub, "outline", outline)
    done = command("show", "x")
    assert (done.code, done.err) == (1, "error: x: Permission denied\n")
    with pytest.raises(PermissionError):
        command("show", "x", "--debug")


LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from clearhead import analysis, cli, drawing, generation, hub
pages = int(Path("/proc/self/statm").read_text().split()[0])
room = pages * resource.getpagesize() + (128 << 20)
resource.setrlimit(resource.RLIMIT_AS, (room, room))
sys.argv = ["clearhead", "generate", "far", "a", "--max-tokens", str(1 << 22), "--threads", "1", *sys.argv[1:]]
cli.main()
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the size of a process is read from Linux's files")
@pytest.mark.parametrize("debug", [False, True])
def test_memory_that_cannot_be_had_is_one_line(tmp_path: Path, debug: bool):
    """Keys and values of four million tokens, 192 MB each, where the process may grow by 128 MB."""
    tokenizer = Tokenizer.characters(["ab"])
    config = replace(QWEN3, vocabulary=tokenizer.vocab_size, context=1 << 23, layers=1)
    hub.save(tmp_path / "far", LanguageModel(build(config, seed=0), tokenizer))
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, *["--debug"] * debug],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert ("Traceback" in done.stderr) == debug
    if not debug:
        assert done.stderr.startswith("error: out of memory: 201.3 MB could not be allocated; close other programs")
        assert done.stderr.count("\n") == 1


def test_another_error_of_torch_is_no_lack_of_memory(command: Command, monkeypatch: pytest.MonkeyPatch):
    def outline(*anything: object, **options: str) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(hub, "outline", outline)
    with pytest.raises(RuntimeError, match="mat1"):
        command("show", "x")


@pytest.mark.parametrize("argument", ["－－max-tokens", "——minutes", "–o", "—out=x"])
def test_dashes_instead_of_hyphens_are_an_error(command: Command, argument: str):
    """Chinese input methods and word processors turn hyphens into dashes, which would be taken as a prompt or file."""
    done = command("generate", "runs/book", "那天晚上", argument, "3")
    assert (done.code, done.out) == (2, "")
    assert f"error: {argument}: these dashes are not hyphens; options start with two ASCII hyphens: --" in done.err


@pytest.mark.parametrize("arguments", [["——那天"], ["— and then"], ["--", "—and"], ["-"]])
def test_texts_that_begin_with_a_dash_are_texts(command: Command, arguments: list[str]):
    done = command("generate", "nowhere", *arguments)
    assert "error: nowhere: there is no such folder" in done.err


def test_debug_after_two_dashes_is_a_text(command: Command):
    done = command("generate", "nowhere", "--", "--debug")
    assert "error: nowhere: there is no such folder" in done.err


class TestTerminalsThatLackCharacters:
    """Standard output that is not UTF-8: LC_ALL=zh_CN.GBK, or PYTHONIOENCODING as here."""

    @staticmethod
    def out(encoding: str, *arguments: str | Path) -> str:
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([COMMAND, *arguments], capture_output=True, check=False, env=environment)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr.decode()
        return done.stdout.decode(encoding.partition(":")[0])

    def test_they_show_its_number(self, trained: tuple[Path, object]):
        assert r"你\u2081" in self.out("gbk", "look", trained[0], "你好", "--threads", "1")
        assert r"\u5973" in self.out("ascii", "corpora", "world-zh")

    def test_json_reads_it_back(self, trained: tuple[Path, object]):
        prompt = "你\U0001f600\x9b"  # Python's own escapes of the last two, \U0001f600 and \x9b, are not JSON
        words = ["generate", trained[0], prompt, "--max-tokens", "5", "--threads", "1", "--json"]
        assert json.loads(self.out("ascii", *words))["prompt"] == prompt

    def test_what_the_user_chose_stays(self):
        assert "??" in self.out("ascii:replace", "corpora", "world-zh")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path):
    """clearhead corpora world-en | head -1."""
    process = subprocess.Popen(
        [COMMAND, "corpora", "world-en"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait()


class TestColour:
    """On a terminal errors are red, unless NO_COLOR says no (https://no-color.org: set and not empty)."""

    @staticmethod
    def error(**environment: str) -> bytes:
        import pty

        terminal, inside = pty.openpty()
        subprocess.run(
            [COMMAND, "corpora", "nowhere"], stderr=inside, stdin=inside, check=False, env={**os.environ, **environment}
        )
        os.close(inside)
        written = os.read(terminal, 10_000)
        os.close(terminal)
        return written

    def test_a_terminal_shows_it(self):
        assert self.error().startswith(b"\x1b[31merror: no corpus")
        assert self.error(NO_COLOR="").startswith(b"\x1b[31merror: no corpus")

    def test_no_color_is_honoured(self):
        assert self.error(NO_COLOR="1").startswith(b"error: no corpus")

    def test_nor_is_any_in_the_progress(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """The bar is drawn, without colours (SGR 30 to 49 and 90 to 107)."""
        import io
        import re

        from rich.console import Console

        from clearhead.cli.progress import Display
        from clearhead.training import Stepped

        for no_color, expected in (("1", False), ("", True)):
            monkeypatch.setenv("NO_COLOR", no_color)
            screen = io.StringIO()
            console = Console(file=screen, force_terminal=True, color_system="standard", width=100)
            display = Display(console)
            with display.steps():
                display.report(Stepped(step=1, loss=2.0, rate=0.1, used=0.5, tokens=9, seconds=1.0))
            codes = re.findall(r"\x1b\[(\d+(?:;\d+)*)m", screen.getvalue())
            coloured = [code for code in codes if any(30 <= int(n) < 50 or 90 <= int(n) < 108 for n in code.split(";"))]
            assert bool(coloured) == expected
            assert "━" in screen.getvalue()
