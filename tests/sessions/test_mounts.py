from dataclasses import replace
from pathlib import Path

import pytest

from support.desk import OWNER, Desk, cron_turn
from support.run import asynchronous
from vaultloop.model.conversation import Limits, Outcome
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Audience, Policy
from vaultloop.runners.command import CommandRunner
from vaultloop.sandbox.direct import DirectLauncher
from vaultloop.sessions.mounts import granted, shortcomings, told

POLICY = Policy("weekly", Audience.CRON, mounts=("finance", "photos"))


@pytest.fixture
def known(tmp_path: Path) -> dict[str, Path]:
    for name in ("finance", "photos", "other"):
        (tmp_path / "srv" / name).mkdir(parents=True)
    return {name: tmp_path / "srv" / name for name in ("finance", "photos", "other")}


def refusal(policy: Policy, known: dict[str, Path], *private: Path, named: tuple[str, ...] = ()) -> str:
    with pytest.raises(Stalled) as error:
        granted(policy, named, known, private)
    assert error.value.cure
    for path in known.values():
        assert str(path) not in str(error.value)
    return str(error.value)


def test_a_session_has_the_mounts_of_its_scope_and_no_others(known: dict[str, Path]) -> None:
    expected = {"finance": known["finance"], "photos": known["photos"]}
    assert granted(POLICY, (), known, ()) == expected
    assert granted(Policy("x", Audience.OWNER), (), known, ()) == {}


def test_the_note_of_the_work_takes_fewer_than_its_scope_has_and_never_more(known: dict[str, Path]) -> None:
    assert granted(POLICY, ("finance",), known, ()) == {"finance": known["finance"]}
    message = refusal(POLICY, known, named=("finance", "other"))
    assert "'other' is not granted by the scope weekly" in message


def test_a_mount_that_the_operator_does_not_know_is_answered_with_what_to_do(known: dict[str, Path]) -> None:
    del known["photos"]
    assert "settings have none of that name" in refusal(POLICY, known)


def test_a_mount_that_is_no_folder_is_refused(known: dict[str, Path]) -> None:
    known["photos"].rmdir()
    assert "'photos' cannot be found" in refusal(POLICY, known)
    known["photos"].touch()
    assert "'photos' is no folder" in refusal(POLICY, known)


@pytest.mark.parametrize("private", ["srv/finance", "srv/finance/state", "srv", "."])
def test_a_mount_that_is_holds_or_lies_in_something_private_is_refused(
    known: dict[str, Path], tmp_path: Path, private: str
) -> None:
    (tmp_path / private).mkdir(parents=True, exist_ok=True)
    assert "would show the engine's state, the vault, or secrets" in refusal(
        POLICY, known, tmp_path / "elsewhere", tmp_path / private
    )


def test_a_mount_that_leads_to_something_private_by_a_link_is_refused(
    known: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    known["photos"].rmdir()
    known["photos"].symlink_to(tmp_path / "state")
    assert "would show" in refusal(POLICY, known, tmp_path / "state")


def test_the_root_of_the_machine_is_never_a_mount(known: dict[str, Path], tmp_path: Path) -> None:
    assert "would show" in refusal(POLICY, {**known, "photos": Path("/")}, tmp_path)


def test_folders_with_similar_names_are_not_each_other(known: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "srv/finance-state").mkdir()
    assert granted(POLICY, (), known, (tmp_path / "srv/finance-state",))


def test_a_session_is_told_where_its_mounts_lie() -> None:
    assert told({}) == ""
    assert told({"finance": Path("/srv/finance")}).endswith("\n- finance: /srv/finance")


@asynchronous
async def test_a_cron_has_the_mounts_that_it_names_in_its_cell_and_is_told_of_them(
    known: dict[str, Path], tmp_path: Path
) -> None:
    desk = Desk.at(tmp_path)
    desk.mounts, desk.guard.policies = known, [replace(OWNER, mounts=("finance", "photos"))]
    runner, turn = desk.scripted(), replace(cron_turn(), limits=Limits(mounts=("finance",)))
    async with desk.open() as engine:
        engine.dispatcher.start(turn)
        run = await runner.spawned.get()
        assert run.cell.mounts == {"finance": known["finance"]}
        assert f"- finance: {known['finance']}" in run.task.instructions
        assert str(known["photos"]) not in run.task.instructions
        run.ends()
        assert (await engine.answered(turn.key)).outcome is Outcome.DONE


@asynchronous
async def test_a_program_finds_its_mounts_in_its_instructions_and_in_its_environment(
    known: dict[str, Path], tmp_path: Path
) -> None:
    desk = Desk.at(tmp_path)
    desk.mounts = {"finance-db": known["finance"]}
    desk.guard.policies = [replace(OWNER, mounts=("finance-db",))]
    command = """sh -c 'cat "$VAULTLOOP_INSTRUCTIONS"; echo; echo "at $VAULTLOOP_MOUNT_FINANCE_DB"'"""
    desk.runner = lambda _: CommandRunner(DirectLauncher(), command)
    async with desk.open() as engine:
        await engine.say("hello")
        reply = (await engine.answered("console/owner/1")).reply
    assert f"- finance-db: {known['finance']}" in reply
    assert reply.endswith(f"at {known['finance']}")


def test_what_keeps_mounts_from_being_shown_is_told_by_scope(known: dict[str, Path], tmp_path: Path) -> None:
    known["photos"].rmdir()
    found = shortcomings({"family": ("photos", "finance"), "owner": ("tax",)}, known, (tmp_path / "state",))
    assert [sentence.split(". ")[0] for sentence in found] == [
        "Sessions of the scope family cannot begin",
        "Sessions of the scope owner cannot begin",
    ]
    assert "'photos' cannot be found" in found[0]
    assert "settings have none of that name" in found[1]


@asynchronous
async def test_a_session_whose_mount_shows_the_engines_state_does_not_begin(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.mounts, desk.guard.policies = {"all": tmp_path}, [replace(OWNER, mounts=("all",))]
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("hello")
        record = await engine.answered("console/owner/1")
    assert record.outcome is Outcome.FAILED
    assert "The mount 'all' would show the engine's state" in record.detail
    assert runner.spawned.empty()
    assert desk.views() == []
