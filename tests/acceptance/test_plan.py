"""`plan`, `check`, `status` and `crons` as scripts meet them: exit codes, and JSON that is a contract."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.notes import cron, note, scope
from support.run import asynchronous
from support.running import BASE, NOON, Notes, Place, Running, until
from vaultloop.aio.clock import VirtualClock

DIGEST = "agent/crons/digest.md"
CRONS = {f"agent/crons/job-{number}.md": cron(schedule=f"0 {number} * * *") for number in range(3)}
VAULT = {**BASE, **CRONS}

CHANGE = {"agent/rules/kind.md": note("rule", "Be kind.")}
WARNING = {"agent/rules/kind.md": note("rule", "Be kind.", colour="blue")}
ERROR = {"agent/rules/bad.md": note("rule", "Be kind.", order="first")}


@pytest.fixture(params=["remote", "folder-with-git", "folder-without-git"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "remote":
        return Place.with_remote(tmp_path, VAULT)
    return Place.with_folder(tmp_path, VAULT, own_git=request.param == "folder-with-git")


def plan(place: Place, expect: int) -> Any:
    return place.installation.json("plan", expect=expect)


def same_plans(place: Place, expect: int) -> Any:
    """Two plans of one moment are identical: the one of them."""
    first, second = plan(place, expect), plan(place, expect)
    assert first == second
    return first


def change(place: Place, notes: Notes) -> None:
    """What a human does; where there is a remote, they push it."""
    if place.remote is None:
        place.write(notes)
    else:
        place.push(notes)


async def follow(running: Running, clock: VirtualClock, notes: Notes, resource: str) -> None:
    """As `change`, until the engine knows of a resource that was edited."""
    before = running.overview()["revision"]
    change(running.place, notes)
    running.engine.look_again()

    def known() -> bool:
        return running.overview()["revision"] != before and running.status(resource)["condition"] is not None

    while not known():
        # What lies in a folder has to settle.
        await clock.advance(1)
        await asyncio.sleep(0.01)


def actions(found: Any) -> list[str]:
    return [f"{step['action']} {step['kind']}/{step['name']}" for step in found["changes"]]


@asynchronous
async def test_after_an_apply_the_plan_is_empty_with_and_without_an_engine(place: Place) -> None:
    async with place.engine(Place.clock_of_tomorrow()):
        running = await asyncio.to_thread(same_plans, place, 0)
        assert await asyncio.to_thread(place.check, 0) == {"problems": []}
    assert running["changes"] == running["problems"] == []
    assert plan(place, 0) == running


def test_before_the_first_start_the_plan_creates_everything(place: Place) -> None:
    assert actions(plan(place, 2)) == [
        "create scope/owner",
        *(f"create cron/job-{number}" for number in range(3)),
        "create bridge/console",
    ]


@asynchronous
async def test_without_an_engine_the_exit_code_is_1_for_an_error_else_2_for_a_change(place: Place) -> None:
    async with place.engine(Place.clock_of_tomorrow()):
        pass
    change(place, CHANGE)
    assert actions(plan(place, 2)) == ["create rule/kind"]
    place.check(0)

    change(place, ERROR)
    found = same_plans(place, 1)
    assert actions(found) == ["create rule/kind"]
    assert [problem["file"] for problem in found["problems"]] == ["agent/rules/bad.md"]
    place.check(1)


@asynchronous
async def test_with_an_engine_the_exit_code_is_1_for_an_error_else_2_for_a_change(place: Place) -> None:
    clock = Place.clock_of_tomorrow()
    async with place.engine(clock) as running:
        await follow(running, clock, dict.fromkeys(CRONS, None), "cron/job-0")
        held = await asyncio.to_thread(same_plans, place, 2)
        assert actions(held) == [f"delete cron/job-{number}" for number in range(3)]

        await follow(running, clock, ERROR, "rule/bad")
        assert actions(await asyncio.to_thread(plan, place, 1)) == actions(held)
        await asyncio.to_thread(place.check, 1)


@asynchronous
async def test_a_warning_alone_does_not_count(place: Place) -> None:
    clock = Place.clock_of_tomorrow()
    async with place.engine(clock) as running:
        await follow(running, clock, WARNING, "rule/kind")
        found = await asyncio.to_thread(plan, place, 0)
    assert [problem["severity"] for problem in found["problems"]] == ["warning"]
    assert plan(place, 0) == found
    place.check(0)


@asynchronous
async def test_a_plan_knows_what_was_pushed_a_moment_ago_and_applies_nothing(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path, VAULT)
    async with place.engine() as running:
        pushed = place.push(CHANGE)
        found = await asyncio.to_thread(plan, place, 2)
        assert found["revision"] == pushed
        assert actions(found) == ["create rule/kind"]
        assert running.status("rule/kind")["condition"] is None


@asynchronous
async def test_the_plan_of_a_tangled_push_is_the_same_with_and_without_an_engine(tmp_path: Path) -> None:
    family, defaults = "agent/scopes/family.md", "agent/defaults.md"
    wide = note("scope", chats='"42"', people='["42", "43"]')
    first = {family: wide, defaults: note("defaults", timezone="Europe/Berlin")}
    place = Place.with_remote(tmp_path, {**VAULT, **first})
    async with place.engine():
        place.push(
            {
                **CHANGE,
                **ERROR,
                defaults: note("defaults", timezone="Berlin"),
                family: scope(chat="42", people="42"),
                "agent/crons/job-0.md": None,
                "agent/crons/renamed.md": CRONS["agent/crons/job-0.md"],
                "agent/crons/job-1.md": cron(schedule="0 25 * * *"),
                "agent/memory/hot.md": note("memory", tier="hot", path="Memory.md"),
            }
        )
        running = await asyncio.to_thread(same_plans, place, 1)
    assert actions(running) == ["update scope/family", "create rule/kind", "update cron/renamed"]
    assert same_plans(place, 1) == running


@asynchronous
async def test_what_the_folders_git_ignores_is_in_no_plan(tmp_path: Path) -> None:
    drafts = {".gitignore": "agent/drafts/\n", "agent/drafts/bad.md": note("rule", "x", order="first")}
    place = Place.with_folder(tmp_path, {**VAULT, **drafts}, own_git=True)
    async with place.engine(Place.clock_of_tomorrow()):
        running = await asyncio.to_thread(plan, place, 0)
    assert plan(place, 0) == running


@asynchronous
async def test_a_folder_that_is_not_there_plans_no_deletion(tmp_path: Path) -> None:
    place = Place.with_folder(tmp_path, VAULT, own_git=True)
    async with place.engine(Place.clock_of_tomorrow()):
        pass
    place.human.path.rename(tmp_path / "unmounted")
    assert place.installation.run("plan", expect=1) == ""


# -- the contract ------------------------------------------------------------------------------------------

TEXT_OR_NONE = (str, type(None))
PROBLEM = {
    "severity": {"error", "warning"},
    "file": str,
    "line": int,
    "column": int,
    "code": str,
    "message": str,
    "cure": str,
}
CHANGED = {
    "action": {"create", "update", "delete"},
    "kind": str,
    "name": str,
    "file": str,
    "fields": [{"field": str, "old": object, "new": object}],
    "permissions": [str],
}
RESOURCE = {
    "kind": str,
    "name": str,
    "condition": {"Ready", "Reconciling", "Outdated", "Held", "Suspended", "Stalled"},
    "reason": str,
    "message": str,
    "since": datetime,
    "attempted": TEXT_OR_NONE,
    "applied": TEXT_OR_NONE,
}
CHECK = {"problems": [PROBLEM]}
PLAN = {"revision": str, "changes": [CHANGED], "problems": [PROBLEM]}
CONFINED = {"unconfined", "fenced", "degraded", "refused"}
STATUS = {
    "revision": TEXT_OR_NONE,
    "applied": TEXT_OR_NONE,
    "push": {"state": {"local", "pushed", "stranded"}, "since": datetime},
    "sandbox": dict.fromkeys(("owner", "cron", "group", "public"), CONFINED),
    "resources": [RESOURCE],
}
CRON = {
    "name": str,
    "timezone": str,
    "next": [datetime],
    "past": [{"slot": str, "outcome": str, "session": TEXT_OR_NONE}],
}


def assert_shape(value: Any, shape: Any, where: str = "$") -> None:
    """`value` has the keys of `shape`, perhaps more, in its types; every list of it shows an example."""
    match shape:
        case dict():
            assert isinstance(value, dict), where
            assert shape.keys() <= value.keys(), f"{where}: {shape.keys() - value.keys()} missing"
            for key, inner in shape.items():
                assert_shape(value[key], inner, f"{where}.{key}")
        case [item]:
            assert isinstance(value, list), where
            for number, element in enumerate(value):
                assert_shape(element, item, f"{where}[{number}]")
        case set():
            assert value in shape, f"{where}: {value!r}"
        case type() if shape is datetime:
            assert datetime.fromisoformat(value).tzinfo is not None, f"{where}: {value!r}"
        case _:
            assert isinstance(value, shape), f"{where}: {value!r}"
            assert shape is not int or value >= 1, f"{where}: {value!r}"


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What the commands print about a vault with a bit of everything in it."""
    family = "agent/scopes/family.md"
    first = {
        **VAULT,
        family: scope(chat="42", people="42", can_read='"Shared"'),
        DIGEST: cron("What is open?", "0 13 * * *", timezone="Europe/Berlin"),
        "agent/deploys/blog.md": note("memory", tier="hot", path="Memory.md"),
    }
    place = Place.with_remote(tmp_path_factory.mktemp("used"), first)

    async def run() -> None:
        clock = VirtualClock(NOON)
        async with asyncio.timeout(20), place.engine(clock) as running:
            await clock.advance_to(NOON + timedelta(days=1))
            await until(lambda: running.crons()["digest"]["past"][:1] != [])
            await until(lambda: running.crons()["digest"]["past"][0]["outcome"] == "done")
            await running.push({**WARNING, **ERROR})

    asyncio.run(run())
    place.push(
        {
            "agent/crons/job-0.md": cron("Something else altogether.", "1 2 3 * *"),
            "agent/crons/job-1.md": None,
            "agent/rules/new.md": note("rule", "Be brief."),
            family: scope(chat="42", people="42", can_read='"**"'),
        }
    )
    call = place.installation.json
    return {
        "check": place.check(1),
        "plan": call("plan", expect=1),
        "status": call("status"),
        "crons": call("crons", "--next", "4", "--from", "2026-12-31T00:00+01:00"),
    }


def test_what_check_prints_keeps_its_shape(used: Mapping[str, Any]) -> None:
    assert_shape(used["check"], CHECK)
    assert {problem["severity"] for problem in used["check"]["problems"]} == {"error", "warning"}
    error = next(problem for problem in used["check"]["problems"] if problem["severity"] == "error")
    assert (error["file"], error["line"], error["column"]) == ("agent/rules/bad.md", 3, 8)


def test_what_plan_prints_keeps_its_shape(used: Mapping[str, Any]) -> None:
    assert_shape(used["plan"], PLAN)
    # Only `check` can make the edit, so only it shows one.
    checked = [{**problem} for problem in used["check"]["problems"]]
    assert all(problem.pop("fix", ...) is not ... for problem in checked)
    assert used["plan"]["problems"] == checked
    steps = {f"{step['kind']}/{step['name']}": step for step in used["plan"]["changes"]}
    assert {name: step["action"] for name, step in steps.items()} == {
        "scope/family": "update",
        "rule/new": "create",
        "cron/job-1": "delete",
        "cron/job-0": "update",
    }
    schedule = next(field for field in steps["cron/job-0"]["fields"] if field["field"] == "schedule")
    assert schedule == {"field": "schedule", "old": "0 0 * * *", "new": "1 2 3 * *"}
    assert steps["scope/family"]["fields"] == [{"field": "can-read", "old": ["Shared"], "new": ["**"]}]
    assert any("+" in permission for permission in steps["scope/family"]["permissions"])


def test_what_status_prints_keeps_its_shape(used: Mapping[str, Any]) -> None:
    assert_shape(used["status"], STATUS)
    by_name = {f"{r['kind']}/{r['name']}": r for r in used["status"]["resources"]}
    assert by_name["rule/bad"]["applied"] is None
    assert by_name["scope/owner"]["condition"] == "Ready"
    assert used["status"]["sandbox"].keys() == {"owner", "cron", "group", "public"}
    assert used["status"]["push"]["state"] == "pushed"


def test_what_crons_prints_keeps_its_shape(used: Mapping[str, Any]) -> None:
    assert_shape(used["crons"], {"crons": [CRON]})
    digest = next(cron for cron in used["crons"]["crons"] if cron["name"] == "digest")
    assert digest["timezone"] == "Europe/Berlin"
    assert digest["next"] == [
        "2026-12-31T13:00+01:00",
        *(f"2027-01-0{day}T13:00+01:00" for day in (1, 2, 3)),
    ]
    assert [past["outcome"] for past in digest["past"]] == ["done"]
    assert digest["past"][0]["session"]


def test_the_json_of_a_command_is_all_that_it_prints(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path, VAULT)
    text = place.installation.run("plan", "--json", expect=2)
    assert json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n" == text


FAMILY = "agent/scopes/family.md"
TAXES = {f"personal/taxes/{number}.md": "text\n" for number in range(12)}
MORE = {FAMILY: scope(can_read='"personal/taxes/**"')}
COUNTED = ["family: + reads personal/taxes/** (12 notes)"]


def permissions(place: Place) -> list[str]:
    return [told for step in plan(place, 2)["changes"] for told in step["permissions"]]


@asynchronous
async def test_what_a_scope_may_do_more_is_counted_in_notes(place: Place) -> None:
    change(place, {**TAXES, FAMILY: scope()})
    async with place.engine(Place.clock_of_tomorrow()):
        pass
    change(place, MORE)
    assert permissions(place) == COUNTED


@asynchronous
async def test_a_running_engine_counts_notes_too(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path, {**VAULT, **TAXES, FAMILY: scope()})
    async with place.engine():
        place.push(MORE)
        assert await asyncio.to_thread(permissions, place) == COUNTED
