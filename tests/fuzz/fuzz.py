"""Mutates what clearhead reads, thousands of times: ``make fuzz``, or ``python tests/fuzz/fuzz.py KINDS``.

Each kind runs in its own process, with bounded memory and its own temporary folder; a case that takes more than 10
seconds kills the process. hypothesis draws the mutations from the seeds in seeds.json, so the same seed gives the same
mutations. Each finding is printed with the mutation that caused it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

# Before anything imports huggingface_hub, which reads them then.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = str(Path(tempfile.gettempdir(), "clearhead-fuzz-has-no-hub"))

# matplotlib, so that the forks need not import it
import hypothesis
import matplotlib.backends.backend_svg
import matplotlib.figure  # noqa: F401
from hypothesis import strategies as st
from kinds import KINDS

from clearhead.native import compiling

HERE = Path(__file__).parent
HANG = 10  # seconds
MEMORY = 2 << 30  # bytes beyond what the process holds at the start
SHARES = {"saved": 2000, "released": 2000, "tokenizers": 1200, "states": 1500, "runs": 1000, "texts": 1300}
SHARES |= {"arguments": 1000, "files": 1500, "pairs": 1500}


class EnoughError(KeyboardInterrupt):
    """The time is up. hypothesis stops at once only for this kind of exception."""


def outside_of(folder: Path) -> Path:
    """Creates the files that must not change; links lead to them."""
    folder.mkdir()
    for name in ("letter.txt", "000000007.safetensors", "one.jinja"):
        (folder / name).write_bytes(b"dear friend,\r\n" * 1000)
    return folder


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.iterdir())}


def work(name: str, count: int, seconds: float, seed: int, folder: Path) -> None:
    """Runs the mutations of one kind. Writes a line of JSON for each finding, and one with the totals at the end."""
    os.environ["CLEARHEAD_CACHE"] = str(folder / "cache")
    place, outside = folder / "place", outside_of(folder / "outside")
    kind = KINDS[name](folder / "base", place, outside)
    before, ends, began = snapshot(outside), Counter[str](), time.monotonic()
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
    done, slowest = 0, 0.0
    report = (folder / "report.jsonl").open("a", buffering=1)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.data())
    def each(data: st.DataObject) -> None:
        nonlocal done, slowest, before
        if time.monotonic() - began > seconds or done >= count:
            raise EnoughError
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        kind.told, start = "", time.monotonic()
        signal.alarm(HANG)  # by default it kills the process, whatever that is doing
        try:
            ends[kind.case(data.draw)] += 1
        except (hypothesis.errors.HypothesisException, hypothesis.errors.StopTest):
            raise
        except BaseException as fault:
            where = traceback.extract_tb(fault.__traceback__)[-1]
            told = {"kind": name, "fault": f"{type(fault).__name__}: {str(fault)[:300]}", "mutation": kind.told[:600]}
            report.write(json.dumps({**told, "where": f"{Path(where.filename).name}:{where.lineno}"}) + "\n")
            ends["found"] += 1
        signal.alarm(0)
        done, slowest = done + 1, max(slowest, time.monotonic() - start)
        (folder / "last").write_text(str(done))
        if snapshot(outside) != before:
            report.write(
                json.dumps({"kind": name, "fault": "changed a file outside the folder", "mutation": kind.told}) + "\n"
            )
            shutil.rmtree(outside)
            before = snapshot(outside_of(outside))

    with contextlib.suppress(EnoughError):
        each()
    numbers = {
        "kind": name,
        "mutations": done,
        "seconds": round(time.monotonic() - began),
        "slowest": round(slowest, 1),
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    report.write(json.dumps({**numbers, "peak_mb": peak, "ends": dict(ends.most_common(6))}) + "\n")


def fuzz(name: str, count: int, seconds: float, seed: int) -> tuple[dict[str, object], list[dict[str, str]]]:
    """Fuzzes one kind in a fork, which has imported what all of them need; returns its totals and its findings."""
    with tempfile.TemporaryDirectory(prefix="clearhead-fuzz-") as made:
        folder = Path(made)
        child = os.fork()
        if child == 0:
            code = 1
            with (folder / "log").open("w") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            try:
                os.chdir(made)
                work(name, count, seconds, seed, folder)
                code = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        lines = (folder / "report.jsonl").read_text().splitlines() if (folder / "report.jsonl").exists() else []
        told = [json.loads(line) for line in lines]
        found = [line for line in told if "fault" in line]
        numbers: dict[str, object] = next((line for line in told if "ends" in line), {"kind": name, "mutations": 0})
        if "ends" not in numbers:
            last = folder / "last"
            numbers["mutations"] = int(last.read_text()) if last.exists() else 0
            why = (folder / "log").read_text(errors="replace")[-1500:]
            how = folder / "base" / "mutation"
            told = how.read_text() if how.exists() else ""
            fault = f"the process ended with {code}: {why}"
            found.append({"kind": name, "fault": fault, "mutation": told})
        return numbers, found


def main() -> int:
    """Exit code 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"any of {', '.join(SHARES)}; all by default")
    parser.add_argument("--mutations", type=int, help="number for each kind; 13,000 in total by default")
    parser.add_argument("--seconds", type=float, default=600.0, help="time limit for each kind")
    parser.add_argument("--seed", type=int, help="used instead of those in seeds.json")
    given = parser.parse_args()
    seeds = json.loads((HERE / "seeds.json").read_text())
    any_found = False
    compiling.library()  # which every fork would compile
    for name in given.kinds or SHARES:
        seed = seeds[name] if given.seed is None else given.seed
        numbers, found = fuzz(name, given.mutations or SHARES[name], given.seconds, seed)
        print(json.dumps({**numbers, "seed": seed}), flush=True)
        alike = Counter((fault["fault"][:30], fault.get("where")) for fault in found)
        for fault in found:
            if count := alike.pop((fault["fault"][:30], fault.get("where")), 0):
                print(f"  FOUND {count} times:", json.dumps(fault), flush=True)
        any_found = any_found or bool(found)
    return int(any_found)


if __name__ == "__main__":
    sys.exit(main())
