"""A declaration that makes the engine crash is not what it starts with for ever."""

from pathlib import Path

from support.notes import OWNER, cron
from support.running import CONSOLE, Place
from support.vault_clone import git
from vaultloop.aio.failpoint import VARIABLE, Failpoint
from vaultloop.state.database import Database
from vaultloop.state.outbox import Outbox
from vaultloop.state.starts import CRASHES

GOOD = {"agent/scopes/owner.md": OWNER, "agent/bridges/console.md": CONSOLE, "Home.md": "# Home\n"}
POISON = "agent/crons/poison.md"


def test_a_poisoned_declaration_ends_in_the_last_good_revision_and_the_owner_is_told(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path, GOOD)
    good, installation = place.human.head, place.installation
    with installation.engine() as engine:
        engine.line("ready at")
        engine.stop()
    git(place.settings.state / "vault.git", "update-ref", "refs/vaultloop/last-good", good)
    bad = place.push({POISON: cron()})
    # Whoever applies a third declaration is killed: there are two in the last good revision.
    with_poison = {VARIABLE: f"{Failpoint.RESOURCE_APPLIED}:3"}
    for _ in range(CRASHES):
        with installation.engine(**with_poison) as engine:
            engine.wait_killed()
    with installation.engine(**with_poison) as engine:
        engine.line(f"ready at {good[:12]}")
        status = installation.json("status")
        assert (status["revision"], status["push"]["state"]) == (good, "pushed")
        (said,) = [one for one in status["attention"] if "crashed again and again" in one]
        assert f"{bad[:12]} declares" in said
        assert f"the last good revision, {good[:12]}, runs" in said
        assert {r["name"] for r in status["resources"]} == {"owner", "console"}
        engine.stop()
    with Database(place.settings.state / "engine.db", read_only=True) as database:
        told = Outbox(database).next("console", "owner")
        assert told is not None
        assert "crashed again and again" in told.text
    mended = place.push({POISON: None})
    with installation.engine(**with_poison) as engine:
        engine.line(f"ready at {mended[:12]}")
        assert installation.json("status")["attention"] == []
