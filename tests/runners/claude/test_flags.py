"""The flags that a policy becomes."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from vaultloop.model.cell import Task, Transcript
from vaultloop.model.policy import Audience, Policy
from vaultloop.runners.claude.flags import DEFAULT_MODEL, flags

TASK = Task(session="20261122-070000-abcdef", prompt="Hello", instructions="")
POLICY = Policy("owner", Audience.OWNER, can_read=("**",), can_write=("**",))


def following(task: Task, policy: Policy) -> dict[str, str]:
    """What stands behind each flag."""
    return dict(pairwise(flags(task, policy, Path("rules"))))


def test_the_policy_decides_about_tools_model_and_limits() -> None:
    policy = replace(
        POLICY, can_write=(), abilities=("shell",), model="m", max_steps=7, budget_usd_per_run=0.5
    )
    values = following(TASK, policy)
    assert values["--tools"] == "Read,Grep,Glob,Bash"
    assert values["--model"] == "m"
    assert values["--max-turns"] == "7"
    assert values["--max-budget-usd"] == "0.5"
    assert "Edit(./**)" not in flags(TASK, policy, Path("rules"))


def test_where_the_policy_is_silent_model_and_steps_are_said_all_the_same() -> None:
    values = following(TASK, POLICY)
    assert values["--model"] == DEFAULT_MODEL
    assert int(values["--max-turns"]) > 1
    assert "--max-budget-usd" not in values


def test_a_session_keeps_its_id_and_a_conversation_that_goes_on_keeps_its_own() -> None:
    first, again = following(TASK, POLICY)["--session-id"], following(TASK, POLICY)["--session-id"]
    assert first == again != following(replace(TASK, session="another"), POLICY)["--session-id"]
    resumed = flags(replace(TASK, resume=Transcript("earlier", Path("earlier.jsonl"))), POLICY, Path("rules"))
    assert resumed[-2:] == ["--resume", "earlier"]
    assert "--session-id" not in resumed


def test_a_small_budget_is_not_rounded_away() -> None:
    assert following(TASK, replace(POLICY, budget_usd_per_run=0.00012))["--max-budget-usd"] == "0.00012"


def test_pages_are_fetched_only_where_the_scope_names_hosts() -> None:
    fetches = replace(POLICY, abilities=("web-fetch", "web-search"))
    assert following(TASK, fetches)["--tools"] == "Read,Grep,Glob,Write,Edit,WebSearch"
    assert "--settings" not in flags(TASK, fetches, Path("rules"))
    values = following(TASK, replace(fetches, hosts=("example.org",)))
    assert values["--tools"].endswith("WebSearch,WebFetch")
    assert values["--settings"] == '{"skipWebFetchPreflight": true}'


def test_mounts_are_folders_besides_the_view() -> None:
    said = flags(TASK, POLICY, Path("rules"), mounts=[Path("/srv/books"), Path("/srv/photos")])
    added = [value for flag, value in pairwise(said) if flag == "--add-dir"]
    assert added == ["/srv/books", "/srv/photos"]
