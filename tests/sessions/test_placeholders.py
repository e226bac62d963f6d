"""What stands for the time and the changes since the last run."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from support.desk import NOTES, OWNER, Desk, OpenDesk, ScriptedRunner, cron_turn
from support.run import asynchronous
from support.vault_clone import VaultClone
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.conversation import Outcome, Trigger, Turn
from vaultloop.sessions import placeholders

PROMPT = "Since {{last-run}}:\n{{changed-notes}}"


class Schedule:
    """A schedule whose runs a test plays, and a human who edits between them."""

    def __init__(self, desk: Desk, engine: OpenDesk, runner: ScriptedRunner) -> None:
        self._engine, self._runner = engine, runner
        self._human = VaultClone.of(desk.remote, desk.folder / "editor")
        self._number = 0
        self.turn = replace(cron_turn(), prompt=PROMPT)

    async def asked(self, *, ok: bool = True, writes: str | None = None, **changes: Any) -> str:
        """The prompt that the agent of one more run hears."""
        self._number += 1
        turn: Turn = replace(
            self.turn, id=f"run-{self._number}", key=f"cron/digest/{self._number}", **changes
        )
        self._engine.dispatcher.start(turn)
        run = await self._runner.spawned.get()
        if writes:
            run.write(writes, "by the agent")
        run.ends(ok=ok)
        record = await self._engine.answered(turn.key)
        assert record.outcome is (Outcome.DONE if ok else Outcome.FAILED)
        assert record.turn.prompt == turn.prompt
        await self._engine.pushed()
        return run.task.prompt

    async def edit(self, notes: dict[str, str | None]) -> None:
        """A human changes and deletes notes, and the engine sees it."""
        self._human.git("pull", "-q", "origin", "main")
        for path, text in notes.items():
            if text is None:
                self._human.remove(path)
            else:
                self._human.write(path, text)
        self._human.commit("Edit")
        self._human.git("push", "-q", "origin", "main")
        await self._engine.sync.look()


def scheduled(
    test: Callable[[Schedule, Desk], Awaitable[None]],
) -> Callable[[Path], None]:
    """A test over a fresh desk whose agent is scripted."""

    @asynchronous
    async def run(tmp_path: Path) -> None:
        desk = Desk.at(tmp_path, {**NOTES, "private/Diary.md": "# Diary\n"})
        desk.guard.policies = [replace(OWNER, can_read=("**",), can_write=(), except_=("private",))]
        runner = desk.scripted()
        async with desk.open() as engine:
            await test(Schedule(desk, engine, runner), desk)

    run.__name__ = test.__name__
    return run


@scheduled
async def test_the_first_run_hears_that_there_was_none(schedule: Schedule, desk: Desk) -> None:
    assert await schedule.asked() == "Since never:\nnot known (this is the first run)"


@scheduled
async def test_the_next_run_hears_when_the_last_one_was_and_what_changed(
    schedule: Schedule, desk: Desk
) -> None:
    await schedule.asked()
    await schedule.edit(
        {"Garden.md": "# Garden\n", "Inbox.md": None, "New idea.md": "x", "plan.canvas": "{}"}
    )
    assert isinstance(desk.clock, VirtualClock)
    await desk.clock.advance(3600)
    assert await schedule.asked(timezone="Asia/Kathmandu") == (
        "Since 2026-11-22T12:45+05:45:\n- [[Garden]] (changed)\n- [[Inbox]] (deleted)\n"
        "- [[New idea]] (added)\n- [[plan.canvas]] (added)"
    )
    assert await schedule.asked() == "Since 2026-11-22T08:00+00:00:\nnothing"


@scheduled
async def test_what_the_scope_may_not_read_is_not_named(schedule: Schedule, desk: Desk) -> None:
    await schedule.asked()
    await schedule.edit({"private/Diary.md": "secret", ".obsidian/app.json": "{}", "Garden.md": "x"})
    assert (await schedule.asked()).endswith(":\n- [[Garden]] (changed)")


@scheduled
async def test_a_run_that_failed_leaves_nothing_out(schedule: Schedule, desk: Desk) -> None:
    await schedule.asked()
    await schedule.edit({"Garden.md": "x"})
    assert isinstance(desk.clock, VirtualClock)
    await desk.clock.advance(3600)
    first = await schedule.asked(ok=False)
    assert await schedule.asked() == first == "Since 2026-11-22T07:00+00:00:\n- [[Garden]] (changed)"


@scheduled
async def test_a_run_is_not_told_of_its_own_changes(schedule: Schedule, desk: Desk) -> None:
    desk.guard.policies = [OWNER]
    await schedule.asked(writes="Inbox.md")
    await schedule.edit({"Garden.md": "x"})
    assert (await schedule.asked()).endswith(":\n- [[Garden]] (changed)")


@scheduled
async def test_many_changes_are_counted(schedule: Schedule, desk: Desk) -> None:
    await schedule.asked()
    await schedule.edit({f"n/{number:03}.md": "x" for number in range(placeholders.NAMED + 3)})
    lines = (await schedule.asked()).splitlines()[1:]
    assert lines[-2:] == ["- [[n/199]] (added)", "- and 3 more"]


@scheduled
async def test_what_a_name_says_is_not_filled_in_again(schedule: Schedule, desk: Desk) -> None:
    await schedule.asked()
    await schedule.edit({"{{last-run}}.md": "x"})
    assert (await schedule.asked()).endswith(":\n- [[{{last-run}}]] (added)")


@scheduled
async def test_a_path_that_would_break_a_link_is_written_as_it_is(schedule: Schedule, desk: Desk) -> None:
    await schedule.asked()
    names = ("a]]b", "a|b", "a#b", "a^b", "a[1]", "a`#`b", "plain`")
    await schedule.edit({f"n/{name}.md": "x" for name in names})
    assert set((await schedule.asked()).splitlines()[1:]) == {
        "- `n/a]]b.md` (added)",
        "- `n/a|b.md` (added)",
        "- `n/a#b.md` (added)",
        "- `n/a^b.md` (added)",
        "- `n/a[1].md` (added)",
        "- `` n/a`#`b.md `` (added)",
        "- [[n/plain`]] (added)",
    }


@scheduled
async def test_if_the_commit_of_the_last_run_is_gone_that_is_said(schedule: Schedule, desk: Desk) -> None:
    await schedule.asked()
    with schedule._engine.database.transaction() as change:
        change.execute("UPDATE turns SET base = ?", ("f" * 40,))
    assert (
        "not known (what the last run saw is not in the vault's history any more)" in await schedule.asked()
    )


@pytest.mark.parametrize("written", ["{{ last-run }}", "{{Last-Run}}", "{{\tlast-run}}"])
def test_spaces_and_capitals_do_not_matter(written: str) -> None:
    assert placeholders.are_in(replace(cron_turn(), prompt=f"Since {written}"))


@pytest.mark.parametrize("written", ["{last-run}", "{{lastrun}}", "{{last-run-of-all}}", "{{date}}"])
def test_nothing_else_is_a_placeholder(written: str) -> None:
    assert not placeholders.are_in(replace(cron_turn(), prompt=f"Since {written}"))


@scheduled
async def test_what_a_person_says_stays_as_it_was_said(schedule: Schedule, desk: Desk) -> None:
    assert await schedule.asked(trigger=Trigger("message", "console")) == PROMPT
    kinds: list[Literal["run", "reminder"]] = ["run", "reminder"]
    for kind in kinds:
        assert (await schedule.asked(trigger=Trigger(kind, "x"))) != PROMPT
