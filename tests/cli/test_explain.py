"""`vaultloop explain` as people and scripts meet it: exit codes, lines, JSON, where it finds the vault."""

import json
import subprocess
from pathlib import Path

import pytest

from support.installation import COMMAND, Installation, environment
from support.notes import OWNER, scope
from support.running import BASE, Place
from support.vault_clone import VaultClone

FAMILY = "agent/scopes/family.md"
CHAT = "-1001234567890"


@pytest.fixture
def vault(tmp_path: Path) -> VaultClone:
    clone = VaultClone.fresh(tmp_path / "vault")
    clone.write("agent/scopes/owner.md", OWNER)
    clone.write(FAMILY, scope(can_read="Home.md"))
    clone.commit("First")
    return clone


def explain(place: Path, *words: str, expect: int) -> str:
    command = [*COMMAND, "explain", *words]
    done = subprocess.run(command, cwd=place, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
    return done.stdout or done.stderr


def test_a_grant_is_0_and_names_its_line(vault: VaultClone) -> None:
    said = explain(vault.path, f"--chat={CHAT}", "--read", "Home.md", expect=0)
    assert said == f"allowed: {FAMILY}:5 can-read: Home.md\n"


def test_a_denial_is_1_and_says_what_becomes_of_the_attempt(vault: VaultClone) -> None:
    said = explain(vault.path, f"--chat={CHAT}", "--write", "Home.md", expect=1)
    first, second = said.splitlines()
    assert first == f"denied: {FAMILY}:2 no `can-write`, so it grants nothing"
    assert second.endswith("it is refused when that is published, and the reply says so.")


@pytest.mark.parametrize(
    "words",
    [
        ("--chat", "owner", "--scope", "owner"),
        ("--scope", "owner", "--person", "7"),
        ("--chat", "owner", "--read", "a", "--write", "b"),
    ],
)
def test_a_question_that_cannot_be_answered_is_wrong_usage(vault: VaultClone, words: tuple[str, ...]) -> None:
    explain(vault.path, *words, expect=64)


def test_whoever_names_no_chat_means_their_own(vault: VaultClone) -> None:
    asked = ("--read", "Home.md")
    assert explain(vault.path, *asked, expect=0) == explain(vault.path, "--chat=owner", *asked, expect=0)


def test_json_has_the_answer_the_lines_and_the_policy(vault: VaultClone) -> None:
    found = json.loads(explain(vault.path, "--scope", "family", "--read", "Home.md", "--json", expect=0))
    assert found["grounds"] == [{"file": FAMILY, "line": 5, "text": "can-read: Home.md"}]
    assert (found["allowed"], found["scope"], found["class"]) == (True, "family", "group")
    assert len(found["policy"]) == 12


def test_it_answers_for_what_lies_there_or_for_a_revision(vault: VaultClone) -> None:
    vault.write(FAMILY, scope(can_read="Diary.md"))
    asked = ("--scope", "family", "--read", "Home.md")
    explain(vault.path / "agent" / "scopes", *asked, expect=1)
    explain(vault.path, *asked, "--at", "HEAD", expect=0)
    explain(vault.path, *asked, "--at", "nothing", expect=1)


def test_without_a_question_all_that_it_may_do_is_told(vault: VaultClone) -> None:
    said = explain(vault.path, "--chat", "owner", expect=0)
    assert said.splitlines()[0].startswith("owner (owner), policy ")
    assert "agent/scopes/owner.md:4 can-read: **" in said
    assert "no `self-edit`, so it is `propose`" in said


@pytest.mark.parametrize("kind", ["remote", "folder"])
def test_elsewhere_it_answers_for_the_vault_of_the_settings(tmp_path: Path, kind: str) -> None:
    if kind == "remote":
        place = Place.with_remote(tmp_path, BASE)
        # What the engine has fetched is what it knows of.
        place.installation.run("plan", expect=2)
    else:
        place = Place.with_folder(tmp_path, BASE, own_git=False)
    found = Installation(place.config).json("explain", "--chat", "owner", "--read", "Home.md")
    assert found["grounds"][0]["file"] == "agent/scopes/owner.md"
