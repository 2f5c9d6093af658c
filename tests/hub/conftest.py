"""A folder of each family. Properties have no deadline: how long an example takes says how busy the machine is."""

from pathlib import Path

import pytest
from hypothesis import settings
from little_models import CONFIGS, saved

settings.register_profile("hub", deadline=None)
settings.load_profile("hub")


@pytest.fixture(params=CONFIGS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder of each family."""
    saved(tmp_path / "run", CONFIGS[request.param])
    return tmp_path / "run"
