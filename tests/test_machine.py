"""What is known about the machine, from files as Linux writes them."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch

from clearhead import hub, machine
from clearhead.errors import MemoryNeededError
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.products import Quantised
from clearhead.text import Tokenizer
from little_configs import QWEN3

MEMINFO = "MemTotal: 24000000 kB\nMemFree: 1000000 kB\nMemAvailable: 16000000 kB\nHugePages_Total: 0\n"


def test_a_system_that_reports_only_free_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 24000000 kB\nMemFree: 1000000 kB\n")
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "OWN_GROUP", tmp_path / "none")
    assert machine.free_memory() == 1_024_000_000


class Linux:
    """A machine with 16,384,000,000 bytes available, whose control groups a test adds."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, group: str = "/") -> None:
        self.groups = folder / "groups"
        self.groups.mkdir()
        (folder / "meminfo").write_text(MEMINFO)
        (folder / "cgroup").write_text(f"12:memory:/old\n0::{group}\n")
        monkeypatch.setattr(machine, "MEMINFO", folder / "meminfo")
        monkeypatch.setattr(machine, "OWN_GROUP", folder / "cgroup")
        monkeypatch.setattr(machine, "GROUPS", self.groups)

    def limit(self, group: str, limit: str, current: int, stat: str = "anon 5\n") -> None:
        folder = self.groups / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{current}\n")
        (folder / "memory.stat").write_text(stat)


def test_without_groups_the_machine_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Linux(tmp_path, monkeypatch)
    assert machine.free_memory() == 16_000_000 * 1024


def test_the_smallest_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linux = Linux(tmp_path, monkeypatch, "/user.slice/run-7.scope")
    linux.limit("", "max", 10**9)
    linux.limit("user.slice", "8000000000", 3_000_000_000)
    linux.limit("user.slice/run-7.scope", "max", 2_000_000_000)
    linux.limit("other.slice", "1000", 0)
    assert machine.free_memory() == 5_000_000_000
    linux.limit("user.slice/run-7.scope", "4000000000", 1_500_000_000)
    assert machine.free_memory() == 2_500_000_000


def test_pages_of_files_are_not_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After reading a large file a group stands at its limit, though nothing is really taken."""
    linux = Linux(tmp_path, monkeypatch)
    linux.limit("", "2000000000", 2_000_000_000, "anon 300000000\nactive_file 500000000\ninactive_file 1200000000\n")
    assert machine.free_memory() == 1_700_000_000


def test_a_group_beyond_its_limit_has_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Linux(tmp_path, monkeypatch).limit("", "1000", 5000)
    assert machine.free_memory() == 0


def test_without_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "missing")
    monkeypatch.setattr(machine, "OWN_GROUP", tmp_path / "missing")
    assert machine.free_memory() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda:1")], ids=repr)
def test_a_gpu_has_a_memory_of_its_own(device: torch.device | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch keeps of freed tensors is free for new ones, though the driver counts it as taken."""
    known = {"mem_get_info": (3_000, 9_000), "memory_reserved": 5_000, "memory_allocated": 4_000}
    for name, value in known.items():
        monkeypatch.setattr(torch.cuda, name, lambda asked, value=value: {device: value}[asked])
    assert machine.free_memory(device) == 3_000 + 5_000 - 4_000
    machine.check_free(4_000, device, "it needs 4,000 bytes", "")
    with pytest.raises(MemoryNeededError, match=rf"^it needs it; 0\.0 GB are free on {device}; ask for less$"):
        machine.check_free(4_001, device, "it needs it", "ask for less")


def test_unsupported_processors_are_reported_with_the_way_out_if_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda device: 10**9)
    machine.check_free(10**9, "cpu", "x", "y")
    for way, message in (("", "x; 1.0 GB are free"), ("y", "x; 1.0 GB are free; y")):
        with pytest.raises(MemoryNeededError, match=rf"^{message}$"):
            machine.check_free(10**9 + 1, "cpu", "x", way)


@pytest.mark.parametrize(
    ("asked", "limit"), [(None, 4), ("", 4), ("1", 1), ("3,2", 3), (" 2 ", 2), ("9", 4), ("0", 1), ("many", 4)]
)
def test_omp_num_threads_lowers_the_limit(monkeypatch: pytest.MonkeyPatch, asked: str | None, limit: int) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert machine.thread_limit() == limit


def test_this_machine() -> None:
    assert 0 < machine.free_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 1 <= machine.cores() <= (os.cpu_count() or 1)
    assert machine.seconds_of_product(torch.float32) > 0


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total ..."), "1,610.6 MB"),
        (torch.OutOfMemoryError("Allocation on device"), "what was asked for"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 5x7)"), None),
        (RuntimeError("you tried to allocate 10 bytes"), None),
    ],
)
def test_what_torch_could_not_allocate(error: RuntimeError, short: str | None) -> None:
    assert machine.shortage(error) == short


def test_what_torch_could_not_allocate_on_this_processor() -> None:
    """More than any address space has; torch's words are not ours, and another release may change them."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15, dtype=torch.uint8)
    assert machine.shortage(caught.value) == "1,000,000,000.0 MB"


@pytest.mark.parametrize(("seconds", "pays"), [(0.74, True), (0.75, False), (300.0, False)])
def test_half_precision_pays_below_three_quarters_of_the_time(
    seconds: float, pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {torch.float32: 1.0, torch.float16: seconds, torch.bfloat16: 9.0}
    monkeypatch.setattr(machine, "seconds_of_product", times.__getitem__)
    monkeypatch.setattr(machine, "share_of_float32", machine.share_of_float32.__wrapped__)
    assert machine.half_pays(torch.float16) == pays


def test_the_fastest_and_the_median(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 5.0, 10.0, 11.0, 20.0, 23.0] * 2)  # three runs: 5, 1 and 3 seconds
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(clock))
    assert machine.seconds(lambda: None, 3) == 1.0
    assert machine.median_seconds(lambda: None, 3) == 3.0


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_what_the_user_set_of_waiting_threads_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ({"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} - {name}).pop()
    monkeypatch.setenv(name, "active")
    monkeypatch.delenv(other, raising=False)
    machine.share_cores()
    assert os.environ[name] == "active"
    assert other not in os.environ


def test_training_says_how_long_threads_wait_before_torch_reads_it(tmp_path: Path) -> None:
    program = (
        "import builtins, os, sys\n"
        "original, seen = builtins.__import__, []\n"
        "def spy(name, *rest):\n"
        "    if name == 'torch' and 'torch' not in sys.modules: seen.append(os.environ.get('GOMP_SPINCOUNT'))\n"
        "    return original(name, *rest)\n"
        "builtins.__import__ = spy\n"
        "from clearhead.cli import main\n"
        "sys.argv[1:] = ['train', 'missing.txt']\n"
        "try: main()\n"
        "except SystemExit: print(seen[0])\n"
    )
    left = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
    environment = {name: value for name, value in os.environ.items() if name not in left}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "10000\n"


def test_freed_memory_is_reused_unless_the_user_has_tuned_malloc() -> None:
    """Counted in page faults: with pages of 4,096 bytes, some 158,000 where memory is taken anew.

    The second time the freed blocks may fit less well, and the heap grows once more: up to 10,240 were seen.
    """
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library is not glibc")
    program = (
        "import resource, torch\n"
        "from clearhead import machine\n"
        "machine.keep_freed_memory()\n"
        "def work():\n"
        "    for megabytes in (1, 2, 4, 8, 16) * 5: held = [torch.ones(megabytes << 18) for _ in range(4)]\n"
        "work()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "work()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    own = {"GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}
    environment = {name: value for name, value in os.environ.items() if name not in own}

    def faults(**settings: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment | settings, capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert 8 * faults() < faults(MALLOC_TRIM_THRESHOLD_="131072")


def test_threads_are_measured_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        monkeypatch.setattr(machine, "thread_limit", lambda: 2)
        monkeypatch.setattr(machine, "median_seconds", lambda work, repeats: {1: 0.1, 2: 1.0}[torch.get_num_threads()])
        assert machine.seconds_by_threads() == {1: 0.1, 2: 1.0}
        assert torch.get_num_threads() == before
        assert machine.use_threads(None) == torch.get_num_threads() == 1
        assert machine.use_threads(2) == torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def asked_for_large_pages(tensor: torch.Tensor) -> bool:
    """Whether the middle of a tensor lies in memory that has ``hg``, the kernel's flag for it."""
    middle = tensor.data_ptr() + tensor.nbytes // 2
    mappings = re.finditer(r"^(\w+)-(\w+) .*?^VmFlags:(.*?)$", Path("/proc/self/smaps").read_text(), re.M | re.S)
    flags = next(each[3] for each in mappings if int(each[1], 16) <= middle < int(each[2], 16))
    return "hg" in flags.split()


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="the kernel has no large pages")
class TestLargePages:
    def test_they_are_asked_for_where_a_tensor_lies(self) -> None:
        large, small = torch.empty(3 * 2**21, dtype=torch.uint8), torch.arange(100)
        assert machine.on_large_pages(large) is large
        assert machine.on_large_pages(small) is small
        assert asked_for_large_pages(large)

    @pytest.mark.parametrize("bits", [None, 8])
    def test_weights_that_are_loaded_lie_on_them(self, bits: Literal[8] | None, tmp_path: Path) -> None:
        config = replace(QWEN3, vocabulary=2**17, width=32)
        hub.save(tmp_path, LanguageModel(build(config, seed=0), Tokenizer.bytes()))
        weight = hub.load(tmp_path, bits=bits).network.embedding.weight
        assert asked_for_large_pages(weight.codes if isinstance(weight, Quantised) else weight)
