"""Runs the tests as on other machines: other processors, threads, fonts, homes, locales, time zones, users, paths.

    make test-anywhere                                 every variant, one after another
    make test-anywhere VARIANTS="c-locale no-fonts"    some of them

Prints one line per variant: tests passed, failed and skipped, seconds, and the names of failed tests. The full output
is in build/anywhere/NAME.log. Exits with 1 if a test failed.

A variant runs the rooms that can depend on it. COMPUTES: other instruction sets and thread counts select other kernels,
which round differently. DRAWS: fonts. CACHES: whatever uses the home folder. TEXTS: whatever reads, writes or prints
characters. FILES: whatever uses the disk or starts processes. Only chat templates use dates.
"""

from __future__ import annotations

import argparse
import os
import platform
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
from subprocess import DEVNULL

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "build" / "anywhere"
NOBODY = 65534

PARITY = tuple(sorted(f"hub/{path.name}" for path in (ROOT / "tests" / "hub").glob("test_parity*.py")))
COMPUTES = (
    "attend",
    "native",
    "products",
    "watching",
    "model",
    "analysis",
    "drawing",
    "training",
    "generation",
    "encoding",
    "lab",
    "runs",
    *(f"hub/test_{name}.py" for name in ("gguf", "many_languages", "packed", "piece_folders", "real_weights")),
    "test_kinds.py",
    "test_language_model.py",
    "test_toy_network.py",
    *PARITY,
)
DRAWS = ("drawing", "contract", *(f"cli/test_{name}.py" for name in ("demo", "look", "train")))
ALONE = ("runs", "test_files.py", "test_machine.py", "test_tensorfile.py")
PROCESSES = ("training/test_compiling.py", "training/test_kills.py")
SPEAKS = ("test_language.py", "test_wrapping.py")
KERNELS = ("native", "products")
CACHES = (
    *KERNELS,
    "text/test_store.py",
    "hub/test_names.py",
    "cli/test_main.py",
    *DRAWS,
    *PROCESSES,
    *ALONE,
)
TEXTS = (
    "text",
    "corpora",
    "recipes",
    "hub",
    "encoding/test_verbs.py",
    "drawing",
    "lab",
    "cli",
    "contract",
    *SPEAKS,
    *ALONE,
)
FILES = (*TEXTS, *PROCESSES, *KERNELS, "fuzz")
LEFT_OUT = ("hub/test_peak.py", *PARITY)  # of a room that is named whole

FRESH = "a new empty folder"
SHELL = re.compile("LANG|LANGUAGE|LC_.*|TZ|PYTHONIOENCODING|PYTHONUTF8|MPLCONFIGDIR|XDG_.*_HOME")

# PyTorch without AVX-512 calls oneDNN for bfloat16 as if that had none either, which must then be so.
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
# The kernels in C, compiled for such a processor, or by a compiler that always fails.
KERNELS_OF_AVX2 = {"CFLAGS": "-march=x86-64-v3"} if platform.machine() == "x86_64" else {}
NO_KERNELS = {"CC": "false"}


@dataclass(frozen=True)
class Variant:
    """How a variant differs from this machine. Environment values: None removes the variable, FRESH is a new folder."""

    rooms: tuple[str, ...]
    environment: Mapping[str, str | None] = field(default_factory=dict)
    fonts: bool = True
    copied_to: str | None = None  # the project is copied to a folder of this name, with a .venv of its own
    as_nobody: bool = False
    workers: int | None = None  # tests that run at once, if fewer than asked for


VARIANTS = {
    "avx2": Variant(COMPUTES, {"ATEN_CPU_CAPABILITY": "avx2", **AVX2, **KERNELS_OF_AVX2}),
    "no-vectors": Variant(COMPUTES, {"ATEN_CPU_CAPABILITY": "default", **AVX2, **NO_KERNELS}),
    "onednn-avx2": Variant(COMPUTES, AVX2),
    "mkl-avx2": Variant(COMPUTES, {"MKL_ENABLE_INSTRUCTIONS": "AVX2"}),
    "one-thread": Variant(COMPUTES, {"OMP_NUM_THREADS": "1"}),
    "two-threads": Variant(
        COMPUTES, {"OMP_NUM_THREADS": "2"}, workers=1
    ),  # more threads than cores wait for each other
    "no-fonts": Variant(DRAWS, fonts=False),
    "empty-home": Variant(CACHES, {"HOME": FRESH}),
    "no-home": Variant(CACHES, {"HOME": None}),
    "c-locale": Variant(TEXTS, {"LC_ALL": "C"}),
    "time-zone": Variant(("text/test_templates.py", *ALONE), {"TZ": "Asia/Kathmandu"}),  # 5:45 ahead of UTC
    "not-root": Variant(FILES, {"HOME": FRESH}, copied_to="clone", as_nobody=True),
    "odd-path": Variant(FILES, {"TMPDIR": FRESH}, copied_to="我的 clone of it"),
}

# Python runs this before anything else. Matplotlib looks for fonts in these folders by itself.
HIDDEN_FONTS = """import os
walk, folders = os.walk, ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library/Fonts")
os.walk = lambda top, *rest, **named: iter(()) if str(top).startswith(folders) else walk(top, *rest, **named)
"""

# As pip writes it: the first line of a script cannot name a path with spaces.
COMMAND = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys
from clearhead.__main__ import main
sys.exit(main())
"""


def run(name: str, workers: int) -> bool:
    """Runs a variant and prints its line; True if nothing failed."""
    variant = VARIANTS[name]
    if variant.as_nobody and os.getuid():
        print(f"{name:12} not run: you are not root, so every other variant is this one", flush=True)
        return True
    began, root, python = time.perf_counter(), ROOT, Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="clearhead ", ignore_cleanup_errors=True) as made:
        place = Path(made)
        place.chmod(0o755)
        if variant.copied_to is not None:
            root = place / variant.copied_to
            python = copied(root, for_all=variant.as_nobody)
        environment = environment_of(variant, place, root)
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if variant.as_nobody else {}
        for path in (place, *place.rglob("*")) if variant.as_nobody else ():
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        rooms = [f"tests/{room}" for room in variant.rooms]
        if "hub" in variant.rooms:
            rooms += [f"--ignore=tests/{left}" for left in LEFT_OUT]
        command = [
            python,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-n",
            str(variant.workers or workers),
            "--dist",
            "worksteal",
            *rooms,
        ]
        log = LOGS / f"{name}.log"
        with log.open("w", encoding="utf-8") as out:
            done = subprocess.run(command, cwd=root, env=environment, stdin=DEVNULL, stdout=out, stderr=out, **user)
    counts, failed = told(log)
    print(f"{name:12} {counts}  {time.perf_counter() - began:5.0f} s  {failed}".rstrip(), flush=True)
    return done.returncode == 0


def told(log: Path) -> tuple[str, str]:
    """The counts in pytest's last line and the names of failed tests; if none ran, where to read why."""
    said = log.read_text(encoding="utf-8", errors="replace")
    last = next((each for each in reversed(said.splitlines()) if re.search(r" in [\d.]+s", each)), "")
    counts = {word.rstrip("s"): int(number) for number, word in re.findall(r"(\d+) (\w+)", last)}
    passed, failed, skipped = (counts.get(word, 0) for word in ("passed", "failed", "skipped"))
    failed += counts.get("error", 0)
    names = re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    why = " ".join(names) if passed or failed else f"nothing ran: see {log}"
    return f"{passed:5} passed {failed:3} failed {skipped:4} skipped", why


def environment_of(variant: Variant, place: Path, root: Path) -> dict[str, str]:
    """This process's environment, without the user's shell settings, with the variant's."""
    found = {name: value for name, value in os.environ.items() if not SHELL.fullmatch(name)}
    path, changes = [str(root / "src")], {"OMP_NUM_THREADS": "1", **variant.environment}
    if not variant.fonts:
        hidden = place / "hidden"
        hidden.mkdir()
        (hidden / "sitecustomize.py").write_text(HIDDEN_FONTS, encoding="utf-8")
        (hidden / "fonts.conf").write_text('<?xml version="1.0"?><fontconfig></fontconfig>', encoding="utf-8")
        path.append(str(hidden))
        changes |= {"FONTCONFIG_FILE": str(hidden / "fonts.conf"), "MPLCONFIGDIR": FRESH, "HOME": FRESH}
    for name, value in changes.items():
        found.pop(name, None)
        if value == FRESH:
            folder = place / f"{name.lower()} 文件夹"
            folder.mkdir()
            found[name] = str(folder)
        elif value is not None:
            found[name] = value
    return {**found, "PYTHONPATH": os.pathsep.join(path)}


def copied(to: Path, *, for_all: bool) -> Path:
    """Copies the project as it is, without files git ignores, and gives it a .venv with this one's packages.

    The .venv's Python; ``for_all``: one that every user may run.
    """
    listed = subprocess.check_output(["git", "ls-files", "-z", "-c", "-o", "--exclude-standard"], cwd=ROOT)
    for name in filter(None, os.fsdecode(listed).split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    base, packages = Path(sys.executable).resolve(), Path(sysconfig.get_path("purelib"))
    if for_all and not all(folder.stat().st_mode & 0o001 for folder in base.parents):
        found = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/local/bin:/usr/bin")
        if found is None:
            raise SystemExit(f"only root may enter the folder of {base}, and /usr/bin has no Python of its version")
        base = Path(found)
    venv = to / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(base)
    (venv / "bin" / "clearhead").write_text(COMMAND.format(python=venv / "bin" / "python"), encoding="utf-8")
    (venv / "bin" / "clearhead").chmod(0o755)
    (venv / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n", encoding="utf-8")
    there = venv / packages.relative_to(sys.prefix)
    there.parent.mkdir(parents=True)
    there.symlink_to(packages)
    return venv / "bin" / "python"


def main() -> None:
    """All variants or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument("--workers", type=int, default=3, help="tests that run at once (3)")
    given = parser.parse_args()
    if unknown := set(given.variants) - set(VARIANTS):
        parser.error(f"no variant {', '.join(unknown)}; there are {', '.join(VARIANTS)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    passed = [run(name, given.workers) for name in given.variants or VARIANTS]
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
