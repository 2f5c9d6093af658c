"""A few mutations of each kind; ``make fuzz`` runs thousands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).with_name("fuzz.py")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FUZZ), *arguments, "--seed", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_few_mutations_find_nothing() -> None:
    done = run("--mutations", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(numbers) == 9  # kinds
    assert {each["mutations"] for each in numbers} == {3}


def test_planted_faults_are_found() -> None:
    done = run("planted", "--mutations", "40")
    assert done.returncode == 1
    assert "ValueError: a traceback" in done.stdout
    assert "changed a file outside the folder" in done.stdout
    assert "the process ended with -6" in done.stdout
