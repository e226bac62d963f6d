"""Plans as values: what is desired, the steps to it, and who is who after a rename."""

import time
from collections.abc import Mapping

import pytest

from support.memory_vault import MemoryFiles
from support.notes import OWNER, cron, note, scope
from vaultloop.components import KINDS
from vaultloop.components.scope.kind import ScopeSpec
from vaultloop.model.change import Plan
from vaultloop.model.resource import AnyResource, Ref
from vaultloop.model.snapshot import Snapshot
from vaultloop.reconcile.planner import Desired, as_applied, desire, plan, quiet_steps
from vaultloop.state.status_book import LastGood
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.notes.loader import Loader

Notes = Mapping[str, str]

FAMILY = "agent/scopes/family.md"
DIGEST = "agent/crons/digest.md"
BASE: Notes = {"agent/scopes/owner.md": OWNER, FAMILY: scope(), DIGEST: cron()}
PROMPT = "Read what was written this week and write a summary of it, with a link to each note. " * 3


def loaded(notes: Notes, revision: str = "r1") -> Snapshot:
    return Loader(KINDS, Effort()).load(MemoryFiles(revision, notes))


def good(notes: Notes, revision: str = "r1") -> list[LastGood]:
    """What is remembered after `notes` were applied."""
    desired = desire(loaded(notes, revision), [], KINDS)
    return [LastGood.of(resource, revision) for resource in desired.resources.values()]


def planned(before: Notes, after: Notes) -> tuple[Desired, Plan]:
    versions = good(before)
    snapshot = loaded(after, "r2")
    desired = desire(snapshot, versions, KINDS)
    return desired, plan(desired, as_applied(versions, desired, KINDS), snapshot, KINDS)


def steps(before: Notes, after: Notes) -> list[str]:
    return [f"{change.action} {change.ref}" for change in planned(before, after)[1].changes]


def test_the_first_plan_creates_everything_access_first_and_triggers_last() -> None:
    rule = note("rule", "Never guess.")
    bridge = note("bridge", platform="console")
    defaults = note("defaults", timezone="Europe/Berlin")
    after = {**BASE, "agent/a-rule.md": rule, "agent/a-bridge.md": bridge, "agent/z-defaults.md": defaults}
    assert steps({}, after) == [
        "create defaults/z-defaults",
        "create scope/family",
        "create scope/owner",
        "create rule/a-rule",
        "create cron/digest",
        "create bridge/a-bridge",
    ]


def test_within_a_stage_deletes_come_first() -> None:
    club = note(
        "scope", "Speak of the garden club only.", chats='"-1009999999999"', people="anyone", max_steps=9
    )
    after = {"agent/aaa.md": club, "agent/scopes/owner.md": OWNER + "More.", DIGEST: BASE[DIGEST]}
    assert steps(BASE, after) == ["delete scope/family", "update scope/owner", "create scope/aaa"]


def test_after_an_apply_the_plan_is_empty() -> None:
    assert steps(BASE, BASE) == []


def test_two_plans_of_one_revision_are_identical() -> None:
    after = {**BASE, "agent/crons/new.md": cron("Other.", "5 5 * * *")}
    assert planned(BASE, after) == planned(BASE, after)


def test_a_change_names_its_fields_and_permissions() -> None:
    after = {**BASE, FAMILY: scope(can_read='"shared"'), DIGEST: cron(schedule="0 8 * * *")}
    changes = {str(change.ref): change for change in planned(BASE, after)[1].changes}
    (field,) = changes["cron/digest"].fields
    assert (field.field, field.old, field.new) == ("schedule", "0 7 * * *", "0 8 * * *")
    assert changes["cron/digest"].permissions == ()
    assert any("shared" in sentence for sentence in changes["scope/family"].permissions)


def test_a_comment_is_no_step_of_the_plan_but_is_carried_to_the_component() -> None:
    commented = BASE[DIGEST].replace("kind: cron", "kind: cron # every morning")
    desired, made = planned(BASE, {**BASE, DIGEST: commented})
    assert made.changes == ()
    versions = good(BASE)
    quiet = quiet_steps(desired, as_applied(versions, desired, KINDS))
    assert [str(change.ref) for change in quiet] == ["cron/digest"]


def test_kinds_without_a_component_never_enter_the_plan() -> None:
    memory = note("memory", tier="hot", path="memory/hot.md")
    assert steps(BASE, {**BASE, "agent/hot.md": memory}) == []


def uid(desired: Desired, name: str) -> str:
    return desired.resources[Ref("cron", name)].uid


def test_a_moved_or_renamed_note_is_an_update_that_keeps_its_uid() -> None:
    before = {**BASE, DIGEST: cron(PROMPT)}
    first = desire(loaded(before), [], KINDS)
    for path, text in {
        "agent/crons/report.md": cron(PROMPT),  # the same content
        "agent/report.md": cron(PROMPT + "Be brief."),  # mostly the same text
    }.items():
        after = {key: value for key, value in before.items() if key != DIGEST} | {path: text}
        desired, made = planned(before, after)
        (change,) = made.changes
        assert change.action == "update"
        assert (change.old and str(change.old.ref), str(change.ref)) == ("cron/digest", "cron/report")
        assert uid(desired, "report") == uid(first, "digest")


def test_a_declared_id_makes_a_rename_of_two_different_texts() -> None:
    before = {**BASE, DIGEST: cron(PROMPT, id="morning")}
    after = {**BASE, "agent/crons/report.md": cron("Nothing of that.", "1 1 1 1 *", id="morning")}
    del after[DIGEST]
    desired, made = planned(before, after)
    assert [change.action for change in made.changes] == ["update"]
    assert uid(desired, "report") == "morning"


def test_a_different_note_under_another_name_is_another_resource() -> None:
    before = {**BASE, DIGEST: cron(PROMPT)}
    after = {**BASE, "agent/crons/water.md": cron("Remind me of the plants.", "0 18 * * 5")}
    del after[DIGEST]
    assert steps(before, after) == ["delete cron/digest", "create cron/water"]


@pytest.mark.parametrize("body", ["Gather what is open.", PROMPT])
def test_the_same_prompt_on_another_schedule_does_not_inherit_the_past(body: str) -> None:
    before = {**BASE, DIGEST: cron(body, overlap="queue", catch_up="skip", jitter="5m")}
    after = {**BASE, "agent/crons/evening.md": cron(body, "0 19 * * *", overlap="queue", jitter="9m")}
    del after[DIGEST]
    desired, made = planned(before, after)
    assert [change.action for change in made.changes] == ["delete", "create"]
    assert uid(desired, "evening") != uid(desire(loaded(before), [], KINDS), "digest")


def test_two_short_notes_that_differ_in_one_line_only_are_two_notes() -> None:
    fields = {"overlap": "queue", "catch_up": "skip", "jitter": "5m", "start_within": "2h"}
    before = {**BASE, DIGEST: cron(**fields)}
    after = {**BASE, "agent/crons/evening.md": cron(schedule="0 19 * * *", **fields)}
    del after[DIGEST]
    assert steps(before, after) == ["delete cron/digest", "create cron/evening"]


def test_long_notes_are_compared_in_no_time() -> None:
    words = [f"word{number % 700}" for number in range(9000)]
    long, other = " ".join(words), " ".join(reversed(words[:7000]))
    gone = good({**BASE, **{f"agent/crons/a{n}.md": cron(f"{long} {n}") for n in range(20)}})
    texts = {f"agent/crons/b{n}.md": cron(f"{other} {n}", "9 9 * * *") for n in range(20)}
    snapshot = loaded({**BASE, **texts}, "r2")
    started = time.process_time()
    desire(snapshot, gone, KINDS)
    assert time.process_time() - started < 2


def test_of_two_candidates_the_nearer_one_is_the_renamed() -> None:
    before = {**BASE, DIGEST: cron(PROMPT)}
    near, exact = cron(PROMPT + "Almost."), cron(PROMPT)
    after = {**BASE, "agent/crons/a.md": near, "agent/crons/b.md": exact}
    del after[DIGEST]
    desired, _ = planned(before, after)
    assert desired.renamed == {Ref("cron", "b"): Ref("cron", "digest")}


def test_a_copy_beside_the_original_is_new() -> None:
    desired, _ = planned(BASE, {**BASE, "agent/crons/copy.md": BASE[DIGEST]})
    assert desired.renamed == {}
    assert uid(desired, "copy") != uid(desired, "digest")


def test_an_id_added_later_does_not_change_who_a_resource_is() -> None:
    first = desire(loaded(BASE), [], KINDS)
    desired, _ = planned(BASE, {**BASE, DIGEST: cron(id="morning")})
    assert uid(desired, "digest") == uid(first, "digest")


def test_a_note_that_is_deleted_and_written_anew_later_is_another_resource() -> None:
    first = desire(loaded(BASE, "r1"), [], KINDS)
    again = desire(loaded(BASE, "r9"), [], KINDS)
    assert uid(first, "digest") != uid(again, "digest")


def test_a_note_that_became_invalid_keeps_its_last_good_version() -> None:
    desired, made = planned(BASE, {**BASE, DIGEST: cron(schedule="0 7 31 2 *")})
    assert made.changes == ()
    assert made.problems
    assert desired.outdated == {Ref("cron", "digest")}
    assert desired.resources[Ref("cron", "digest")].spec.fields()["schedule"] == "0 7 * * *"


def test_an_invalid_scope_is_desired_paused_except_the_owners() -> None:
    owner = OWNER.replace("can-read", "can-raed")
    broken = {**BASE, FAMILY: scope(abilities="[flying]"), "agent/scopes/owner.md": owner}
    desired, _ = planned(BASE, broken)
    assert desired.closed == {Ref("scope", "family")}
    assert desired.outdated == {Ref("scope", "owner")}
    assert desired.resources[Ref("scope", "family")].spec.paused
    assert not desired.resources[Ref("scope", "owner")].spec.paused


def test_an_invalid_scope_that_the_owner_shares_is_closed_for_all_others() -> None:
    shared = note("scope", "Be kind.", chats='[owner, "-1001234567890"]', people='[owner, "1001"]')
    before = {"agent/scopes/owner.md": shared}
    after = {"agent/scopes/owner.md": shared.replace("kind: scope", "kind: scope\ncan-raed: x")}
    desired, made = planned(before, after)
    spec = desired.resources[Ref("scope", "owner")].spec
    assert isinstance(spec, ScopeSpec)
    assert (spec.chats, spec.people, spec.paused) == (("owner",), ("owner",), False)
    assert spec.self_edit == "deny"
    assert desired.closed == {Ref("scope", "owner")}
    assert made.changes == ()
    once = plan(desired, as_applied(good(before), Desired("r1", {}), KINDS), loaded(after), KINDS)
    (change,) = once.changes
    assert not [sentence for sentence in change.permissions if ": + " in sentence]
    assert plan(desired, desired.resources, loaded(after), KINDS).changes == ()


def test_a_note_that_never_was_valid_is_not_desired() -> None:
    desired, made = planned(BASE, {**BASE, "agent/crons/new.md": cron(schedule="whenever")})
    assert made.changes == ()
    assert Ref("cron", "new") not in desired.resources


def test_what_is_held_stays_desired() -> None:
    after = {path: text for path, text in BASE.items() if path != DIGEST}
    desired, _ = planned(BASE, after)
    assert set(desired.vanished) == {Ref("cron", "digest")}
    kept = desired.keeping({Ref("cron", "digest")})
    assert Ref("cron", "digest") in kept.resources
    assert kept.vanished == {}


def test_after_a_restart_what_ran_before_is_created_before_what_is_new() -> None:
    before = {**BASE, "agent/scopes/zoo.md": scope("-1008888888888")}
    after = {**before, "agent/scopes/aaa.md": scope("-1009999999999")}
    snapshot = loaded(after, "r2")
    desired = desire(snapshot, good(before), KINDS)
    nothing: dict[Ref, AnyResource] = {}
    names = [change.ref.name for change in plan(desired, nothing, snapshot, KINDS).changes]
    assert names == ["family", "owner", "zoo", "aaa", "digest"]
