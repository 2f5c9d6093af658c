"""Proves, on this machine, that a run killed and resumed ends with the same bits as one never killed."""

from __future__ import annotations

import json
import platform
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import tomli_w
import torch
from torch import Tensor

from clearhead import hub, machine, recipes
from clearhead.errors import FolderError, OptionError, TrainingError, many, nearest
from clearhead.files import temporary_folder
from clearhead.plain import to_dict
from clearhead.recipes import Table, TextConfig
from clearhead.runs.folder import LOG, RECIPE, STATE, STDIN
from clearhead.runs.killing import BELOW, SERVER, Answer, Killer
from clearhead.tensorfile import read_tensors
from clearhead.text import LEARNED
from clearhead.training import load_state

CORPUS, MEGABYTES = "world-en", 0.1  # the text if a recipe names none
EVALUATIONS, EVALUATED = 4, 1_000  # evaluations, each of which saves the state, and tokens in one
TIMES = ("seconds", "begun", "reserve", "log_bytes")  # of a state's progress
KILLS_OF_A_RUN = (1, 1, 2, 3)  # drawn at random; after its last kill a run goes on to its end


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was proved, and on what machine.

    runs: number of killed runs. bits: of their tensors, each compared with the run that was never killed
    """

    steps: int
    kills: int
    runs: int
    bits: int
    threads: int
    seconds: float
    torch: str = torch.__version__
    processor: str = ""


def prove(
    what: str,
    *,
    kills: int = 10,
    steps: int = 20,
    seed: int = 0,
    threads: int = 1,
    say: Callable[[str], None] = lambda line: None,
    server: Sequence[str] = SERVER,
) -> Proof:
    """Kills (SIGKILL) shortened runs at random moments, resumes them, and compares each with one never killed.

    what: a run folder, whose recipe and text are used; or a shipped recipe or a TOML file, on a built-in text unless it
    names one
    kills: at least 1; seed: for drawing the moments; threads: OpenMP threads of the runs, which use the CPU

    Everything happens in a temporary folder, which is removed; if this process is killed, the next proof removes it.
    Raises TrainingError naming the first tensor that differs, OptionError or FolderError for invalid arguments.
    """
    for name, value in (("kills", kills), ("steps", steps), ("threads", threads)):
        if value < 1:
            raise OptionError.of(name, value, "at least 1")
    began = time.perf_counter()
    table = shortened(what, steps, threads)
    draw = random.Random(seed)
    killed = runs = bits = 0
    with temporary_folder(
        Path(tempfile.gettempdir()) / "clearhead-prove", mode=0o700
    ) as folder:  # texts may be private
        _write(folder / "prove.toml", table)
        # The process that forks uses one thread: OpenMP's threads do not survive a fork.
        least = {"threads": 1, "steps": 1} | ({"keep": 2} if "keep" in table["train"] else {})
        _write(folder / "warm.toml", recipes.joined([table, {"train": least}]))
        own = {"CLEARHEAD_CACHE": str(folder / "cache"), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        with Killer(folder, server, own) as killer:
            for name, config in (("warm", "warm"), ("first", "prove"), ("whole", "prove")):  # first: fills the cache
                took = _checked(killer.do([f"{config}.toml", f"{BELOW}{name}"]))
            while killed < kills:
                here = f"{BELOW}{runs}"
                wanted = min(kills - killed, draw.choice(KILLS_OF_A_RUN))
                done = _killed(killer, here, wanted, draw, took)
                if done:
                    runs, killed = runs + 1, killed + done
                    bits += _compared(folder / f"{BELOW}whole", folder / here, f"run {runs}, killed {done} times")
                    say(f"{many(killed, 'kill')} of {kills:,}, {many(runs, 'run')}: no bit differs")
                else:  # it ended before the kill, faster than the timed run
                    took = replace(took, seconds=0.9 * took.seconds)
                shutil.rmtree(folder / here)
    return Proof(
        steps=steps,
        kills=killed,
        runs=runs,
        bits=bits,
        threads=threads,
        seconds=time.perf_counter() - began,
        processor=f"{machine.processor()}, {platform.system()}",
    )


def shortened(what: str, steps: int, threads: int) -> Table:
    """The recipe of a run folder, a file or a name, cut to ``steps`` steps, as nested tables."""
    path = Path(what)
    if path.is_dir():
        table = _of_run(path)
    else:
        if path.suffix != ".toml" and what not in recipes.names():
            raise OptionError(
                f"prove: give a run folder, a TOML file (NAME.toml) or a recipe; there is no {what!r}"
                + nearest(what, recipes.names())
            )
        table = recipes.read_file(path) if path.suffix == ".toml" else recipes.read(what)
        recipes.check_names(table)
        text: Table = {name: value for name, value in table.get("text", {}).items() if name != "fingerprint"}
        if not (text.get("sources") or text.get("corpus")):
            text = {"tokenizer": "bytes", **text, "corpus": CORPUS, "megabytes": MEGABYTES}
        if "-" in (*text.get("sources", ()), *text.get("valid", ())):
            raise OptionError(f"{what}: its text is standard input, which can be read only once; name a file instead")
        table = _placed({**table, "text": text})
    train = {name: value for name, value in table.get("train", {}).items() if name != "minutes"}
    optimizer = {"precision": "float32", **train.get("optimizer", {})}  # otherwise each run would measure it
    short = {"steps": steps, "threads": threads, "evaluations": min(EVALUATIONS, steps), "optimizer": optimizer}
    short |= {"keep": min(train["keep"], steps + 1)} if "keep" in train else {}
    return {**table, "train": {**train, **short, "evaluation_tokens": EVALUATED, "final_tokens": EVALUATED}}


def _of_run(folder: Path) -> Table:
    """A run's recipe, with paths to its text and tokenizer."""
    if not (folder / RECIPE).exists():
        raise FolderError(f"{folder / RECIPE}: there is no such file; {folder} is not a run folder")
    recipe = recipes.read_recipe(folder / RECIPE)
    text: TextConfig = replace(recipe.text, fingerprint=None, vocabulary=None, tokenizer=str(folder.resolve()))
    kept = str((folder / STDIN[bool(text.field)]).resolve())
    names = {
        name: tuple(kept if each == "-" else each for each in getattr(text, name)) for name in ("sources", "valid")
    }
    whole = to_dict(replace(recipe, text=replace(text, **names)))
    if recipe.origin is not None:
        del whole["text"]["tokenizer"]  # the origin's is used
    return _placed(whole)


def _placed(table: Table) -> Table:
    """The recipe with absolute paths, since the runs have a working directory of their own."""
    base, text = Path.cwd(), dict(table["text"])
    for name in ("sources", "valid"):
        if text.get(name):
            text[name] = [str(base / each) for each in text[name]]
    if text.get("tokenizer") is not None and text["tokenizer"] not in LEARNED:
        text["tokenizer"] = str(base / text["tokenizer"])
    origin = table.get("origin")
    if origin is not None and (base / hub.named(base / origin).name).is_dir():  # else a name on the hub
        return {**table, "origin": str(base / origin), "text": text}
    return {**table, "text": text}


def _write(path: Path, table: Table) -> None:
    path.write_text(tomli_w.dumps(table), encoding="utf-8")


def _checked(answer: Answer) -> Answer:
    if answer.end:
        raise TrainingError(f"the run failed with code {answer.end}: {answer.output.strip()}")
    return answer


def _killed(killer: Killer, run: str, kills: int, draw: random.Random, took: Answer) -> int:
    """Begins a run, kills and resumes it up to ``kills`` times, and lets it end. Returns the number of kills."""
    killed = 0
    while killed < kills:
        done = killer.do(["prove.toml", run], **moment(draw, took))
        if not done.killed:
            _checked(done)
            return killed
        killed += 1
    _checked(killer.do(["prove.toml", run]))
    return killed


def moment(draw: random.Random, took: Answer) -> dict[str, float]:
    """When to kill: half the time after random seconds, half at a random touch of a file, which is mostly saving."""
    if draw.random() < 0.5:
        return {"seconds": draw.uniform(0, took.seconds)}
    return {"touches": draw.randrange(1, took.touches + 1)}


def difference(one: Path, other: Path) -> str | None:
    """The first difference between two run folders: a tensor, a line of the log, or a byte of another file.

    Only times may differ: the log is compared without its ``seconds``, and a state without the clocks of its progress
    and the length of the log, which counts the digits of those seconds.
    """
    names, others = ({str(p.relative_to(each)) for p in each.rglob("*") if p.is_file()} for each in (one, other))
    if names != others:
        return f"{sorted(names ^ others)[0]}: is in only one of the two folders"
    mine, theirs = _tensors(one), _tensors(other)
    for name in dict.fromkeys([*mine, *theirs]):
        if name not in mine or name not in theirs:
            return f"{name}: is in only one of the two"
        if why := _unlike(mine[name], theirs[name]):
            return f"{name}: {why}"
    for number, (a, b) in enumerate(zip_longest(_lines(one), _lines(other)), start=1):
        if a != b:
            return f"{LOG}, line {number}: {a} and {b}"
    if (a := _untimed(one)) != (b := _untimed(other)):
        return f"{STATE}: {a} and {b}"
    for name in sorted(names):
        if name == LOG or Path(name).parts[0] == STATE:
            continue
        if (one / name).read_bytes() != (other / name).read_bytes():
            return f"{name}: its bytes differ"
    return None


def _compared(one: Path, other: Path, which: str) -> int:
    """Compares two run folders and returns the bits of their tensors. Raises TrainingError for the first difference."""
    found = difference(one, other)
    if found is not None:
        raise TrainingError(
            f"not proved: {which} differs from the one never killed: {found}; something in this run is not "
            "deterministic on this machine"
        )
    return 8 * sum(tensor.numel() * tensor.element_size() for tensor in _tensors(one).values())


def _tensors(folder: Path) -> dict[str, Tensor]:
    """The kept weights, and the state's weights, optimizer, random numbers and averages, by name."""
    found = {f"{hub.WEIGHTS}, {name}": tensor for name, tensor in read_tensors(folder / hub.WEIGHTS)[0].items()}
    state = load_state(folder / STATE)
    if state is None:
        raise FolderError(f"{folder / STATE}: there is no saved state")
    for part in ("weights", "optimizer", "random", "average"):
        found |= {f"{STATE}, {part} {name}": tensor for name, tensor in getattr(state, part).items()}
    return found


def _untimed(folder: Path) -> dict[str, Any]:
    """The progress in a state, without times, and its settings."""
    state = load_state(folder / STATE)
    if state is None:
        raise FolderError(f"{folder / STATE}: there is no saved state")
    progress = {name: value for name, value in asdict(state.progress).items() if name not in TIMES}
    return {"progress": progress, "settings": state.settings}


def _unlike(a: Tensor, b: Tensor) -> str | None:
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{a.dtype} {tuple(a.shape)} and {b.dtype} {tuple(b.shape)}"
    differs = (a.reshape(-1, 1).view(torch.uint8) != b.reshape(-1, 1).view(torch.uint8)).any(dim=1)
    if not bool(differs.any()):
        return None
    place = int(differs.nonzero()[0])
    return (
        f"{int(differs.sum()):,} of {a.numel():,} numbers, the first at {place}: "
        f"{a.flatten()[place].item()!r} and {b.flatten()[place].item()!r}"
    )


def _lines(folder: Path) -> Iterator[dict[str, object]]:
    for line in (folder / LOG).read_text(encoding="utf-8").splitlines():
        yield {name: value for name, value in json.loads(line).items() if name != "seconds"}
