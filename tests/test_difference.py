"""What one revision would change, compared with another one."""

from collections.abc import Mapping

from support.memory_vault import MemoryFiles
from support.notes import OWNER, cron, note, scope
from vaultloop.difference import difference
from vaultloop.model.change import Plan

BASE = {"agent/scopes/owner.md": OWNER, "agent/crons/digest.md": cron()}
FAMILY = "agent/scopes/family.md"
TAXES = {f"personal/taxes/{number}.md": "" for number in range(12)}


def between(before: Mapping[str, str], after: Mapping[str, str], owners: tuple[str, ...] = ()) -> Plan:
    return difference(MemoryFiles("a", before), MemoryFiles("b", after), owners)


def steps(plan: Plan) -> list[str]:
    return [f"{change.action} {change.ref}" for change in plan.changes]


def permissions(plan: Plan) -> list[str]:
    return [sentence for change in plan.changes for sentence in change.permissions]


def test_equal_states_differ_in_nothing() -> None:
    plan = between(BASE, BASE)
    assert (plan.changes, plan.problems, plan.revision) == ((), (), "b")


def test_what_came_what_went_and_what_changed_is_told_in_the_order_of_applying() -> None:
    after = {**BASE, FAMILY: scope(), "agent/crons/digest.md": cron(schedule="5 7 * * *")}
    assert steps(between(BASE, after)) == ["create scope/family", "update cron/digest"]
    assert steps(between(after, BASE)) == ["delete scope/family", "update cron/digest"]


def test_permissions_are_counted_in_notes_of_the_newer_state() -> None:
    before = {**BASE, FAMILY: scope()}
    after = {**before, **TAXES, FAMILY: scope(can_read='"personal/taxes/**"')}
    assert permissions(between(before, after)) == ["family: + reads personal/taxes/** (12 notes)"]


def test_a_renamed_note_is_an_update() -> None:
    renamed = {"agent/scopes/owner.md": OWNER, "agent/crons/morning.md": cron()}
    (change,) = between(BASE, renamed).changes
    assert change.old is not None
    assert (str(change.old.ref), str(change.ref)) == ("cron/digest", "cron/morning")


def test_a_note_that_became_invalid_is_a_problem_and_its_last_version_runs_on() -> None:
    plan = between(BASE, {**BASE, "agent/crons/digest.md": cron(schedule="x")})
    assert [problem.file for problem in plan.problems if problem.is_error] == ["agent/crons/digest.md"]
    assert plan.changes == ()


def test_what_is_inherited_from_the_defaults_counts_for_each_scope() -> None:
    before = {**BASE, "agent/defaults.md": note("defaults", budget_usd_per_run="1")}
    after = {**BASE, "agent/defaults.md": note("defaults", budget_usd_per_run="2")}
    assert permissions(between(before, after)) == ["owner: + at most 2 USD a session"]
