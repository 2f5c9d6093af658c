"""The tests as they run elsewhere: other processors, threads, fonts, homes, locales, time zones, users and paths.

    make test-anywhere                                 every variant, one after another
    make test-anywhere VARIANTS="c-locale no-fonts"    some of them

One line for each: what passed, failed and was skipped, the seconds, and which tests failed. The whole output of a
variant is in build/anywhere/NAME.log. Ends with 1 if a test failed.

A variant runs the rooms that can depend on it. COMPUTES: another instruction set or number of threads takes other
kernels, which round otherwise. DRAWS: fonts. CACHES: what is kept or looked for in a home. TEXTS: what reads, writes or
prints characters. FILES: all that meets the disk or starts processes. Dates are in chat templates only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "build" / "anywhere"
NOBODY = 65534

PARITY = tuple(f"hub/test_{name}.py" for name in ("parity", "parity_decoders", "parity_encoders", "parity_experts"))
COMPUTES = ("attend", "model", "observation", "train", "generation", "encoding", "hub/test_real_weights.py", *PARITY)
DRAWS = ("observation", "cli", "contract")
ALONE = ("test_files.py", "test_machine.py", "test_runs.py", "test_tensorfile.py")
PROCESSES = ("train/test_compiling.py", "train/test_kills.py")
CACHES = ("text/test_store.py", "hub/test_names.py", *DRAWS, *PROCESSES, *ALONE)
TEXTS = ("text", "corpora", "recipes", "hub", "encoding/test_verbs.py", *DRAWS, *ALONE)
FILES = (*TEXTS, *PROCESSES)
LEFT_OUT = ("hub/test_peak.py", *PARITY)  # of a room that is named whole

FRESH = "a new empty folder"
SHELL = ("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "PYTHONIOENCODING", "PYTHONUTF8", "TZ", "MPLCONFIGDIR")
XDG = {f"XDG_{name}_HOME": None for name in ("CACHE", "CONFIG", "DATA", "STATE")}

# PyTorch without AVX-512 calls oneDNN for bfloat16 as if that had none either, which must then be so.
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2"}


@dataclass(frozen=True)
class Variant:
    """What differs from here. Of the environment's values, None takes the variable away and FRESH is a new folder."""

    rooms: tuple[str, ...]
    environment: Mapping[str, str | None] = field(default_factory=dict)
    fonts: bool = True
    copied_to: str | None = None  # the project is copied to a folder of this name, with a .venv of its own
    as_nobody: bool = False


VARIANTS = {
    "avx2": Variant(COMPUTES, {"ATEN_CPU_CAPABILITY": "avx2", **AVX2}),
    "no-vectors": Variant(COMPUTES, {"ATEN_CPU_CAPABILITY": "default", **AVX2}),
    "onednn-avx2": Variant(COMPUTES, AVX2),
    "mkl-avx2": Variant(COMPUTES, {"MKL_ENABLE_INSTRUCTIONS": "AVX2"}),
    "one-thread": Variant(COMPUTES, {"OMP_NUM_THREADS": "1"}),
    "two-threads": Variant(COMPUTES, {"OMP_NUM_THREADS": "2"}),
    "no-fonts": Variant(DRAWS, fonts=False),
    "empty-home": Variant(CACHES, {"HOME": FRESH, **XDG}),
    "no-home": Variant(CACHES, {"HOME": None, **XDG}),
    "c-locale": Variant(TEXTS, {"LC_ALL": "C"}),
    "time-zone": Variant(("text/test_templates.py", *ALONE), {"TZ": "Asia/Kathmandu"}),  # 5:45 ahead of UTC
    "not-root": Variant(FILES, {"HOME": FRESH, **XDG}, copied_to="clone", as_nobody=True),
    "odd-path": Variant(FILES, {"TMPDIR": FRESH}, copied_to="我的 clone of it"),
}

# Python runs this before anything else. Matplotlib looks for fonts in these folders by itself.
HIDDEN_FONTS = """import os
walk = os.walk
def without_fonts(top, *rest, **options):
    folders = ("/usr/share/fonts", "/usr/local/share/fonts", "/usr/X11", "/usr/lib/openoffice", "/Library/Fonts",
               "/System/Library/Fonts", "/Network/Library/Fonts", "/opt/local/share/fonts")
    return iter(()) if str(top).startswith(folders) else walk(top, *rest, **options)
os.walk = without_fonts
"""

# As pip writes it: the first line of a script cannot name a path with spaces.
COMMAND = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys
from clearhead.cli import main
sys.exit(main())
"""


def run(name: str, workers: int) -> bool:
    """One variant, its line printed; True if nothing failed."""
    variant = VARIANTS[name]
    if variant.as_nobody and os.getuid():
        print(f"{name:12} not run: you are not root, so every other variant is this one", flush=True)
        return True
    with tempfile.TemporaryDirectory(prefix="clearhead ", ignore_cleanup_errors=True) as made:
        place = Path(made)
        place.chmod(0o755)
        began = time.perf_counter()
        root, python = ROOT, Path(sys.executable)
        if variant.copied_to is not None:
            root = copied(place / variant.copied_to)
            python = environment_in(root, shared=variant.as_nobody)
        environment = environment_of(variant, place, root)
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if variant.as_nobody else {}
        if variant.as_nobody:
            for path in (place, *place.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        rooms = [f"tests/{room}" for room in variant.rooms]
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(workers), *rooms]
        if "hub" in variant.rooms:
            command += [f"--ignore=tests/{left}" for left in LEFT_OUT]
        log = LOGS / f"{name}.log"
        with log.open("w", encoding="utf-8") as file:
            done = subprocess.run(
                command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **user
            )
    said = log.read_text(encoding="utf-8", errors="replace")
    print(f"{name:12} {line(said)}  {time.perf_counter() - began:5.0f} s  {failures(said, log)}".rstrip(), flush=True)
    return done.returncode == 0


def line(said: str) -> str:
    """The counts of pytest's last line, in columns."""
    last = next((each for each in reversed(said.splitlines()) if re.search(r" in [\d.]+s", each)), "")
    counts = {word.rstrip("s"): int(number) for number, word in re.findall(r"(\d+) (\w+)", last)}
    failed = counts.get("failed", 0) + counts.get("error", 0)
    return f"{counts.get('passed', 0):5} passed {failed:3} failed {counts.get('skipped', 0):4} skipped"


def failures(said: str, log: Path) -> str:
    """The names of the tests that failed; where no test ran, where to read why."""
    names = re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    return " ".join(names) if names or " passed" in said else f"nothing ran: see {log}"


def environment_of(variant: Variant, place: Path, root: Path) -> dict[str, str]:
    """This process's variables, without what the user's shell chose, and with the variant's."""
    found = {name: value for name, value in os.environ.items() if name not in SHELL}
    path = [str(root / "src")]
    changes = {"OMP_NUM_THREADS": "1", **variant.environment}
    if not variant.fonts:
        hidden = place / "hidden"
        hidden.mkdir()
        (hidden / "sitecustomize.py").write_text(HIDDEN_FONTS, encoding="utf-8")
        (hidden / "fonts.conf").write_text('<?xml version="1.0"?><fontconfig></fontconfig>', encoding="utf-8")
        path.append(str(hidden))
        changes |= {"FONTCONFIG_FILE": str(hidden / "fonts.conf"), "MPLCONFIGDIR": FRESH, "HOME": FRESH, **XDG}
    for name, value in changes.items():
        found.pop(name, None)
        if value == FRESH:
            folder = place / f"{name.lower()} 文件夹"
            folder.mkdir()
            found[name] = str(folder)
        elif value is not None:
            found[name] = value
    return {**found, "PYTHONPATH": os.pathsep.join(path)}


def copied(to: Path) -> Path:
    """The project's files as they are now, what git ignores left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


def environment_in(root: Path, *, shared: bool) -> Path:
    """The Python of a .venv that has the packages of this one; ``shared``: one that every user may run."""
    base = Path(sys.executable).resolve()
    if shared and not all(folder.stat().st_mode & 0o001 for folder in base.parents):
        other = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/local/bin:/usr/bin")
        if other is None:
            raise SystemExit(f"only root may enter the folder of {base}, and /usr/bin has no Python of its version")
        base = Path(other)
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "pyvenv.cfg").write_text(f"home = {base.parent}\n", encoding="utf-8")
    python, command = root / ".venv" / "bin" / "python", root / ".venv" / "bin" / "clearhead"
    python.symlink_to(base)
    command.write_text(COMMAND.format(python=python), encoding="utf-8")
    command.chmod(0o755)
    packages = Path(sysconfig.get_path("purelib"))
    here = root / ".venv" / packages.relative_to(sys.prefix)
    here.parent.mkdir(parents=True)
    here.symlink_to(packages)
    return python


def main() -> None:
    """All variants or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument("--workers", type=int, default=2, help="tests that run at once (2)")
    given = parser.parse_args()
    if unknown := [name for name in given.variants if name not in VARIANTS]:
        parser.error(f"no variant {', '.join(unknown)}; there are {', '.join(VARIANTS)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    passed = [run(name, given.workers) for name in given.variants or VARIANTS]
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
