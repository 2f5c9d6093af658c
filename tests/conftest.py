"""What all tests share: private caches, no network, and none of the shell's settings."""

import gc
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType

import pytest

# Before anything imports huggingface_hub, which reads them then: a name that is no folder is asked of no hub and found
# in no cache. tests/hub/test_names.py has a hub of its own.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = str(Path(tempfile.gettempdir(), "clearhead-tests-have-no-hub"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects without looking for garbage: 8 seconds instead of 14, in each worker.

    Then looks for it seldom, and never among what was imported: 2 % of the tests' time instead of 7.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither tests nor their subprocesses touch the user's cache; the workers share one, to compile once."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLEARHEAD_CACHE", str(shared / "cache"))
        # torch keeps what it compiled under a name that does not tell for which processor's instructions
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(shared / "compiled"))
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "CLEARHEAD_LANGUAGE"):
            patch.delenv(name, raising=False)
        for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
            if os.environ.get(name, "").startswith("zh"):
                patch.setenv(name, "C.UTF-8")
        yield


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """No test changes the number of threads of the next."""
    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    yield
    if before is not None:
        sys.modules["torch"].set_num_threads(before)


@pytest.fixture
def file_limit() -> Callable[[int], AbstractContextManager[None]]:
    """Simulates a full disk: inside the block no file can grow beyond this many bytes."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture
def at_once() -> Iterator[None]:
    """Fails a test that waits, for example on a pipe, after 30 seconds."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("this test waits for what does not come")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(30)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
