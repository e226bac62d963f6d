"""`vaultloop plan --from A --to B`: for a pull request, without an engine and without settings."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.installation import COMMAND, environment
from support.notes import OWNER, scope
from support.vault_clone import VaultClone

FAMILY = "agent/scopes/family.md"


@pytest.fixture
def vault(tmp_path: Path) -> VaultClone:
    """Three revisions: `one`, then a scope (`two`), which then reads more and is called `three`."""
    clone = VaultClone.fresh(tmp_path / "vault")
    for number in range(12):
        clone.write(f"personal/taxes/{number}.md", "text\n")
    clone.write("agent/scopes/owner.md", OWNER)
    for name, text in (("one", None), ("two", scope()), ("three", scope(can_read='"personal/taxes/**"'))):
        if text is not None:
            clone.write(FAMILY, text)
        clone.commit(name)
        clone.git("tag", name)
    return clone


def plan(place: Path, *words: str, expect: int) -> str:
    command = [*COMMAND, "plan", *words]
    done = subprocess.run(command, cwd=place, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
    return done.stdout or done.stderr


def between(vault: VaultClone, before: str, after: str, expect: int) -> Any:
    return json.loads(plan(vault.path, "--from", before, "--to", after, "--json", expect=expect))


def test_permissions_are_counted_in_notes(vault: VaultClone) -> None:
    said = plan(vault.path, "--from", "two", expect=2)
    assert "family: + reads personal/taxes/** (12 notes)" in said


def test_the_exit_code_is_0_for_nothing_2_for_changes_and_1_for_an_error(vault: VaultClone) -> None:
    assert between(vault, "two", "two", 0)["changes"] == []
    (step,) = between(vault, "one", "two", 2)["changes"]
    assert (step["action"], step["name"]) == ("create", "family")
    vault.write(FAMILY, scope(max_steps="many"))
    vault.commit("four")
    found = between(vault, "three", "HEAD", 1)
    assert [problem["file"] for problem in found["problems"]] == [FAMILY]


def test_looking_backwards_turns_the_signs_round(vault: VaultClone) -> None:
    (step,) = between(vault, "three", "two", 2)["changes"]
    assert step["permissions"] == ["family: - reads personal/taxes/** (12 notes)"]


def test_what_is_not_committed_does_not_count(vault: VaultClone) -> None:
    vault.write(FAMILY, scope(can_read='"**"'))
    assert between(vault, "three", "HEAD", 0)["changes"] == []


def test_to_alone_is_wrong_usage_and_an_unknown_revision_says_what_to_do(vault: VaultClone) -> None:
    plan(vault.path, "--to", "two", expect=64)
    assert "git fetch origin" in plan(vault.path, "--from", "nothing", expect=1)


def test_outside_of_every_vault_the_settings_have_to_name_one(tmp_path: Path) -> None:
    plan(tmp_path, "--from", "HEAD~1", expect=78)
