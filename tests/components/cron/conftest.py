from collections.abc import Iterator
from pathlib import Path

import pytest

from components.cron.world import World
from vaultloop.state.database import Database


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fresh database and a clock that stands at `START`."""
    with Database(tmp_path / "db") as database:
        yield World(database)
