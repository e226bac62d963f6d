"""What the owner hears of mounts before any session needs them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from support.notes import note
from support.run import asynchronous
from support.running import BASE, Place, Running, until
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.supervise import background
from vaultloop.sessions.mount_check import PERIOD, MountCheck

MEDIA = note("scope", chats="owner", can_read='"**"', mounts="media")


def said_of_mounts(running: Running) -> list[str]:
    return [sentence for sentence in running.overview()["attention"] if "the mount" in sentence]


@asynchronous
async def test_a_folder_that_goes_away_is_noticed_within_a_minute_and_one_that_comes_back_too(
    tmp_path: Path,
) -> None:
    clock, told = VirtualClock(datetime(2026, 11, 22, tzinfo=UTC)), list[Sequence[str]]()
    (folder := tmp_path / "media").mkdir()
    check = MountCheck(lambda: {"owner": ("media",)}, {"media": folder}, (), clock, told.append)
    async with background("look at the mounts", check.run()):
        await until(lambda: told == [[]])
        folder.rmdir()
        await clock.advance(PERIOD.total_seconds())
        await until(lambda: len(told) == 2)
        assert "'media' cannot be found" in told[1][0]
        folder.mkdir()
        await clock.advance(PERIOD.total_seconds())
        await until(lambda: len(told) == 3)
        assert told[2] == []


@asynchronous
async def test_a_scope_that_names_an_unknown_mount_asks_for_attention_as_soon_as_it_is_applied(
    tmp_path: Path,
) -> None:
    place = Place.with_remote(tmp_path, BASE)
    async with place.engine() as running:
        assert said_of_mounts(running) == []
        place.push({"agent/scopes/owner.md": MEDIA})
        running.engine.look_again()
        await until(lambda: said_of_mounts(running) != [])
        (sentence,) = said_of_mounts(running)
        assert "Sessions of the scope owner cannot begin." in sentence
        place.push({"agent/scopes/owner.md": BASE["agent/scopes/owner.md"]})
        running.engine.look_again()
        await until(lambda: said_of_mounts(running) == [])
