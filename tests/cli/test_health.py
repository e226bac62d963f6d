"""`vaultloop health`: what a container's health check calls."""

from pathlib import Path

import pytest

from support.installation import Installation
from support.running import Place


@pytest.mark.acceptance
def test_health_is_an_exit_code_and_a_sentence(tmp_path: Path) -> None:
    installation = Installation(Place.with_remote(tmp_path).config)
    stopped = installation.run("health", expect=1)
    assert stopped == "unreachable. No engine answers. It is stopped, or still starting.\n"
    with installation.engine() as engine:
        engine.line(r"ready at")
        assert installation.run("health") == "ok.\n"
        found = installation.json("health")
    assert (found["status"], found["push"], found["conditions"]) == ("ok", "pushed", {"Ready": 2})
