"""How a revision stands, in the words that a forge shows beside its commit."""

from pathlib import Path

import pytest

from support.notes import cron
from support.run import asynchronous
from support.running import BASE, NOON, Notes, Place
from support.signing_human import SshKey, signs_with
from vaultloop import settings
from vaultloop.aio.clock import VirtualClock
from vaultloop.commit_status import CommitStatus
from vaultloop.forge.api import State, Verdict
from vaultloop.reconcile.loop import Report
from vaultloop.state.database import Database
from vaultloop.vault.sync.sync import Sync

DIGEST = "agent/crons/digest.md"
WRONG = cron(schedule="0 25 * * *")
JOBS = {f"agent/crons/job-{number:02}.md": cron(paused="true") for number in range(12)}


@asynchronous
async def test_each_revision_is_applied_wrong_or_held(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path, {**BASE, **JOBS})
    async with place.engine() as running:
        status = CommitStatus(running.engine.book)

        async def after(notes: Notes) -> tuple[str, Verdict]:
            commit = place.push(notes)
            await running.engine.sync.poll()
            verdict = status.verdict(await running.engine.reconciler.iterate())
            assert verdict is not None
            assert verdict.revision == commit
            return verdict.state, verdict

        state, verdict = await after({"Note.md": "# Text\n"})
        assert (state, verdict.description) == (State.APPLIED, "Applied.")

        state, verdict = await after({DIGEST: WRONG, "agent/crons/worse.md": WRONG})
        assert state == State.PROBLEMS
        assert verdict.description.startswith(f"{DIGEST}:3: ")
        assert verdict.description.endswith(" And 1 more.")

        # Nothing is planned for an ordinary note, and the wrong ones are still wrong.
        state, verdict = await after({"Note.md": "# More text\n"})
        assert state == State.PROBLEMS

        state, _ = await after({DIGEST: cron(), "agent/crons/worse.md": None})
        assert state == State.APPLIED

        state, verdict = await after(dict.fromkeys(JOBS))
        assert state == State.HELD
        assert "vaultloop confirm" in verdict.description


@asynchronous
async def test_what_trust_holds_is_shown_as_held_beside_that_commit_until_it_may_come(tmp_path: Path) -> None:
    place, ada = Place.with_remote(tmp_path, BASE), SshKey(tmp_path / "ada")
    signers = place.config.with_name("signers")
    signers.write_text(ada.line())
    lines = f'trust = "protected"\nallowed-signers = "{signers}"\n'
    place.config.write_text(place.config.read_text() + lines)
    signs_with(place.human, ada)
    place.push({"Home.md": "I looked at it\n"})
    async with place.engine() as running:
        trust = running.engine.sync.trust
        status = CommitStatus(running.engine.book, refused=lambda: trust.refused)
        signs_with(place.human, None)
        unsigned = place.push({DIGEST: cron()})
        await running.engine.sync.poll()
        verdict = status.verdict(await running.engine.reconciler.iterate())
        assert verdict is not None
        assert (verdict.revision, verdict.state) == (unsigned, State.HELD)
        assert f"changes {DIGEST} and is not signed" in verdict.description
        signs_with(place.human, ada)
        place.human.write("Home.md", "looked again\n")
        place.human.git("commit", "-q", "-a", "-m", f"Look\n\nVouches-for: {unsigned}")
        place.human.push()
        await running.engine.sync.poll()
        verdict = status.verdict(await running.engine.reconciler.iterate())
        assert verdict is not None
        assert (verdict.revision, verdict.state) == (place.human.head, State.APPLIED)


@asynchronous
async def test_a_vault_without_a_commit_has_no_status(tmp_path: Path) -> None:
    async with Place.with_remote(tmp_path).engine() as running:
        assert CommitStatus(running.engine.book).verdict(Report(None)) is None


@asynchronous
async def test_something_is_sent_only_to_a_forge_that_is_set_and_where_the_remote_lies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock(NOON)
    at_forge = {"state": tmp_path, "remote": "git@github.com:ada/vault.git"}
    named = {"forge": "github", "forge-token": "secret"}
    sync = Sync(tmp_path, clock, remote=str(tmp_path))

    def tasks(**given: object) -> list[str]:
        with Database(tmp_path / "engine.db") as database:
            found = settings.load(given, environment={})
            made = CommitStatus.of(found, database, sync, clock).tasks(clock)
        for task in made.values():
            task.close()
        return list(made)

    assert tasks(**at_forge) == []
    assert tasks(**at_forge, forge="github") == []
    assert tasks(**at_forge, **named) == ["commit status"]
    assert tasks(**{**at_forge, "remote": "/srv/vault.git"}, **named) == []
    assert "the remote is not at a forge" in caplog.text
    assert "secret" not in caplog.text
