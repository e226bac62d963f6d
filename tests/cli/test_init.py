"""`vaultloop init`: a vault, its settings and the engine's key; calling it again is harmless."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from support.installation import COMMAND, Installation, environment
from support.vault_clone import VaultClone, git


def init(root: Path, *words: str, expect: int = 0) -> Any:
    """What `init --json` says of a vault in `root` whose state and settings lie beside it."""
    where = ["--state", str(root / "state"), "--config", str(root / "conf" / "vaultloop.toml")]
    done = subprocess.run(
        [*COMMAND, "init", str(root / "vault"), *where, "--json", *words],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout) if expect == 0 else done.stderr


def plan(root: Path) -> Any:
    return Installation(root / "conf" / "vaultloop.toml").json("plan", expect=2)


def test_a_new_vault_is_ready_to_run(tmp_path: Path) -> None:
    said = init(tmp_path, "--bare-remote", str(tmp_path / "remote.git"))
    assert said["vault"] == str(tmp_path / "vault")
    assert "agent/scopes/owner.md" in said["written"]
    assert said["kept"] == []
    assert said["commit"] == git(tmp_path / "remote.git", "rev-parse", "main")
    assert said["key"].startswith("ssh-ed25519 ")
    assert tomllib.loads(Path(said["settings"]).read_text()) == {
        "folder": str(tmp_path / "vault"),
        "state": str(tmp_path / "state"),
        "branch": "main",
        "remote": str(tmp_path / "remote.git"),
    }
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    found = plan(tmp_path)
    assert (found["revision"], found["problems"]) == (said["commit"], [])
    assert "scope/owner" in [f"{step['kind']}/{step['name']}" for step in found["changes"]]


def test_a_second_call_keeps_key_settings_and_vault(tmp_path: Path) -> None:
    first = init(tmp_path, "--bare-remote", str(tmp_path / "remote.git"))
    settings = Path(first["settings"])
    settings.write_text(settings.read_text() + 'poll = "9s"\n')
    second = init(tmp_path, "--bare-remote", str(tmp_path / "remote.git"))
    assert (second["written"], second["commit"]) == ([], None)
    assert set(second["kept"]) >= {"agent/scopes/owner.md", "agent/crons/digest.md"}
    assert second["key"] == first["key"]
    assert settings.read_text().endswith('poll = "9s"\n')


def test_a_second_vault_is_not_sent_to_the_engine_of_the_first(tmp_path: Path) -> None:
    settings = tmp_path / "conf" / "vaultloop.toml"
    settings.parent.mkdir()
    settings.write_text(f'folder = "{tmp_path / "first"}"\n')
    refused = init(tmp_path, expect=78)
    assert f"{settings} is for the vault {tmp_path / 'first'}" in refused
    assert "--state DIR" in refused
    assert not (tmp_path / "vault").exists()
    assert not (tmp_path / "state").exists()


def test_an_existing_vault_stays_on_its_branch_and_runs(tmp_path: Path) -> None:
    human = VaultClone.fresh(tmp_path / "vault", "master")
    human.save("Inbox.md", "mine\n")
    said = init(tmp_path, "--bare-remote", str(tmp_path / "remote.git"))
    assert {Path(path).parts[0] for path in said["written"]} == {"agent"}
    assert "agent/crons/digest.md" in said["paused"]
    assert "agent/scopes/owner.md" in said["runs"]
    assert tomllib.loads(Path(said["settings"]).read_text())["branch"] == "master"
    assert plan(tmp_path)["revision"] == said["commit"] == git(tmp_path / "remote.git", "rev-parse", "master")


def test_a_branch_that_is_not_checked_out_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    VaultClone.fresh(tmp_path / "vault", "master").save("Inbox.md", "mine\n")
    said = init(tmp_path, "--branch", "trunk", expect=1)
    assert "has master checked out, not trunk" in said
    assert not (tmp_path / "vault" / "agent").exists()


def test_paths_may_hold_what_people_call_their_folders(tmp_path: Path) -> None:
    root = tmp_path / 'Hana\'s "second" brain \\ 100% été #1'
    root.mkdir()
    init(root)
    assert plan(root)["problems"] == []


def test_what_is_said_to_people_names_the_next_step(tmp_path: Path) -> None:
    words = ["init", str(tmp_path / "vault"), "--state", str(tmp_path / "state")]
    done = subprocess.run([*COMMAND, *words], env=environment(), capture_output=True, text=True, check=True)
    assert f"vaultloop up --config {tmp_path / 'state' / 'vaultloop.toml'}" in done.stdout
    runs, _, paused = done.stdout.partition("Paused, until you remove `paused: true` from the note:")
    assert "Will run:\n" in runs
    assert "  agent/crons/digest.md\n" in runs
    assert "  agent/reminders/look-back.md\n" in runs
    assert "  agent/deploys/blog.md\n" in paused
