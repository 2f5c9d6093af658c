"""The verb doctor: what this machine has, and why."""

import re

import pytest
import torch
from calling import Command

from clearhead import __version__, machine
from clearhead.products import choosing


@pytest.fixture(autouse=True)
def nothing_measured(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """A cache of the test's own."""
    monkeypatch.setenv("CLEARHEAD_CACHE", str(tmp_path))
    monkeypatch.setattr(choosing, "_held", {})
    choosing.chosen.cache_clear()
    choosing.choices_file.cache_clear()
    yield
    choosing.chosen.cache_clear()
    choosing.choices_file.cache_clear()


def rows(out: str) -> dict[str, str]:
    return dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines())


def test_it_says_what_there_is(command: Command):
    done = command("doctor")
    found = rows(done.out)
    assert (done.code, done.err) == (0, "")
    assert found["clearhead"] == __version__
    assert found["python, torch"].endswith(torch.__version__)
    assert found["cores"].split()[0] == str(machine.cores())
    assert re.fullmatch(r"\d+\.\d GB free", found["memory"])
    assert re.search(r"products take \d+\.\d\d of float32's time", found["bfloat16"])
    assert ("none" in found["GPU"]) == (not torch.cuda.is_available())


@pytest.mark.parametrize(("share", "said"), [(0.74, "worth using"), (0.76, "not worth using")])
def test_bfloat16_is_worth_using_where_the_code_uses_it(
    share: float, said: str, command: Command, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machine, "share_of_float32", lambda dtype: share)
    assert machine.half_pays(torch.bfloat16) == (said == "worth using")
    line = rows(command("doctor").out)["bfloat16"]
    assert line == f"products take {share:.2f} of float32's time on this processor: {said}"


def test_it_says_when_only_one_number_of_threads_is_allowed(command: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "thread_limit", lambda: 1)
    assert rows(command("doctor").out)["threads"].startswith("1, the only number allowed (by the cores or OMP_NUM_THR")


def test_it_says_which_threads_it_chose_and_why(command: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "thread_limit", lambda: 2)
    chosen = re.match(r"(\d+), the fastest just now \((.*)\)", rows(command("doctor").out)["threads"])
    assert chosen is not None
    times = {int(count): float(time) for count, time in re.findall(r"(\d+): ([\d.]+) ms", chosen[2])}
    assert set(times) == {1, 2}
    assert times[int(chosen[1])] == min(times.values())


def test_it_says_which_kernel_runs_and_why_the_others_do_not(command: Command):
    found = rows(command("doctor").out)
    if not torch.cuda.is_available():
        assert found["attention, causal"] == "sdpa  (flex: needs CUDA)"
        assert found["attention, soft cap"].startswith("reference  (")
        assert "sdpa: soft caps are not in this kernel" in found["attention, soft cap"]


def test_it_shows_what_was_measured_of_products(command: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "thread_limit", lambda: 1)
    assert "none measured yet with 1 thread" in rows(command("doctor").out)["products"]
    monkeypatch.setattr(choosing, "measured", lambda *given: {"linear": 0.0002, "vector": 0.0003, "native": 0.0001})
    monkeypatch.setattr(choosing, "ways", lambda *given: ["linear", "vector", "native"])
    choosing.chosen((1024, 512), torch.bfloat16, 1, 1)
    choosing.chosen((1024, 512), torch.bfloat16, 1, 2)  # of another number of threads: not shown
    found = rows(command("doctor").out)
    line = found["product, 1024 x 512, bfloat16, up to 1 row"]
    assert line == "native 0.100 ms (linear 0.200, vector 0.300)"
    assert sum(name.startswith("product,") for name in found) == 1
    assert found["products"].endswith(".json; remove it to have them measured again")


def test_it_says_whether_kernels_can_be_compiled(command: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("clearhead.native.compiler", lambda: None)
    assert rows(command("doctor").out)["kernels in C"].startswith("none, as there is no C compiler: install gcc")
    monkeypatch.setattr("clearhead.native.compiler", lambda: "/usr/bin/cc")
    monkeypatch.setattr("clearhead.native.compiles", lambda: False)
    assert rows(command("doctor").out)["kernels in C"] == "none: /usr/bin/cc cannot compile them for this processor"
    monkeypatch.setattr("clearhead.native.compiles", lambda: True)
    assert rows(command("doctor").out)["kernels in C"] == "compiled by /usr/bin/cc"
