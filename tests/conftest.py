"""What all tests share: caches of their own, no network, and no settings of the shell that ran them."""

import os
import resource
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType

import pytest

# Before anything imports huggingface_hub, which reads them then: a name that is no folder is asked of no hub and found
# in no cache. tests/hub/test_names.py has a hub of its own.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = str(Path(tempfile.gettempdir(), "clearhead-tests-have-no-hub"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from the user's cache and nothing put into it, by subprocesses neither."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLEARHEAD_CACHE", str(tmp_path_factory.mktemp("cache")))
        # torch keeps what it compiled under a name that does not tell for which processor's instructions
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def file_limit() -> Callable[[int], AbstractContextManager[None]]:
    """A disk that is full: inside the block no file can be written beyond so many bytes."""

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
    """A test that waits, as who opens a pipe does, fails after 30 seconds."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("this test waits for what does not come")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(30)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
