"""torch.compile in training: the same learning, the same bits after resuming, and a clear error if it cannot work."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from small_runs import Watcher, halves, run, whole_state

from clearhead.training import OptimizerConfig, TrainConfig, compiling

# torch's compiler imports parts of torch that torch itself calls old
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning"),
    # and asks tensors inside a graph for their gradient, a warning that it hides itself unless warnings are errors
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]

TEXTS = halves("the quick brown fox jumps over the lazy dog. " * 20, "pack my box with five dozen jugs. " * 20)
EAGER = TrainConfig(steps=6, batch=3, evaluations=2, threads=1, optimizer=OptimizerConfig(precision="float32"))
COMPILED = replace(EAGER, compile=True)


@pytest.fixture
def working():
    if why := compiling.refuses():
        pytest.skip(f"torch.compile does not work here: {why}")
    torch.compiler.reset()  # torch keeps what it compiled by function, and other tests compile the model, too
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("working")
def test_a_compiled_run_learns_what_an_eager_one_learns_and_continues_to_the_same_bits(tmp_path):
    eager, whole, first = Watcher(), Watcher(), Watcher(stop_after=3)
    run(tmp_path / "eager", EAGER, TEXTS, eager)
    with torch._dynamo.config.patch(error_on_recompile=True):  # once for all steps
        run(tmp_path / "whole", COMPILED, TEXTS, whole)
    assert [step.loss for step in whole.steps] == pytest.approx([step.loss for step in eager.steps], abs=1e-4)
    assert whole.steps[-1].loss < whole.steps[0].loss - 0.1
    outcome, _ = run(tmp_path / "halted", COMPILED, TEXTS, first)
    assert not outcome.finished
    torch.compiler.reset()  # as a new process would, it compiles anew
    run(tmp_path / "halted", COMPILED, TEXTS, Watcher(), state=whole_state(tmp_path / "halted"))
    one, other = (whole_state(tmp_path / name).weights for name in ("whole", "halted"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_machine_without_a_compiler_is_reported(tmp_path):
    """In a process of its own: what torch has compiled once it keeps."""
    program = (
        "import numpy as np\n"
        "from small_runs import Watcher, halves, run\n"
        "from clearhead.errors import ConfigError\n"
        "from clearhead.training import TrainConfig\n"
        "from pathlib import Path\n"
        "try: run(Path('run'), TrainConfig(steps=1, batch=1, compile=True), halves('abcdefgh' * 90), Watcher())\n"
        "except ConfigError as error: print(error)\n"
    )
    environment = os.environ | {
        "CXX": "no-such-compiler",
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.startswith("train.compile is true, and torch.compile does not work here: "), done.stderr[-2000:]
    assert "no-such-compiler" in done.stdout
    assert done.stdout.rstrip().endswith("leave it out")
    assert not (tmp_path / "run" / "state").exists()
