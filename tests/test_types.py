"""The types of package, benchmarks and tools hold. A test, so that it runs beside others: pyright uses one core."""

import subprocess
import sys
from pathlib import Path


def test_types_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pyright"], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
