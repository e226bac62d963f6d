"""The main job from end to end: a human edits, the engine follows, an agent answers, its change returns."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.git_server import git_server
from support.installation import COMMAND, Engine, Installation, environment
from support.ssh_server import known_host, ssh_key, ssh_server
from support.vault_clone import VaultClone, git

ENGINE_AT = (sys.executable, "-W", "error", str(Path(__file__).parents[1] / "support" / "engine_at.py"))
NOON = """\
---
kind: cron
schedule: "0 12 * * *"
scope: "[[owner]]"
---
Gather open tasks into Tasks.md
"""
TRAILERS = ("Session", "Scope", "Trigger", "Policy", "Model", "Cost-USD")


@dataclass(frozen=True)
class Place:
    """A vault with its engine's settings and a human's clone of it."""

    installation: Installation
    remote: Path
    human: VaultClone

    @contextmanager
    def engine(self, time: str) -> Iterator[Engine]:
        """An engine whose clock begins at `time` (of one day, UTC)."""
        with self.installation.engine(*ENGINE_AT, f"2026-11-22T{time}+00:00") as engine:
            engine.line(r"ready at \w+")
            yield engine


def scaffold(root: Path) -> Path:
    """A bare remote with the vault template in it, but for its cron: each test has one of its own."""
    words = [
        "init",
        str(root / "first"),
        "--bare-remote",
        str(root / "vault.git"),
        "--state",
        str(root / "x"),
    ]
    subprocess.run([*COMMAND, *words], env=environment(), check=True, capture_output=True)
    git(root / "vault.git", "config", "http.receivepack", "true")
    first = VaultClone(root / "first")
    first.git("config", "user.name", "Hana Human")
    first.git("config", "user.email", "hana@example.org")
    first.remove("agent/crons/digest.md")
    first.push()
    return root / "vault.git"


def settings(root: Path, **values: object) -> Installation:
    lines = "".join(f'{key.replace("_", "-")} = "{value}"\n' for key, value in values.items())
    config = root / "vaultloop.toml"
    config.write_text(f'state = "{root / "state"}"\npoll = "1s"\n{lines}')
    return Installation(config)


@pytest.fixture(params=["http", "ssh"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An engine's settings that reach the vault through a real server."""
    remote = scaffold(tmp_path)
    if request.param == "http":
        with git_server(tmp_path) as http:
            url = http.url("vault.git")
            yield Place(settings(tmp_path, remote=url), remote, VaultClone.of(url, tmp_path / "human"))
        return
    with ssh_server(tmp_path / "sshd") as ssh:
        url = ssh.url(remote)
        made = settings(tmp_path, remote=url, ssh_key=ssh.key, known_hosts=ssh.known_hosts)
        yield Place(made, remote, VaultClone.of(url, tmp_path / "human", env=ssh.git_environment))


def trailers(commit: str, clone: VaultClone) -> Mapping[str, str]:
    """The audit trail of a commit."""
    text = clone.git("log", "-1", "--format=%(trailers:only,unfold)", commit)
    return dict(line.split(": ", 1) for line in text.splitlines())


def test_a_pushed_cron_note_runs_and_its_commit_comes_back_with_git_pull(place: Place) -> None:
    with place.engine("11:59:52") as engine:
        pushed = place.human.save("agent/crons/noon.md", NOON)
        place.human.push()
        engine.line("create cron/noon")
        engine.line(f"applied {pushed[:12]}")

        engine.line("started for cron noon")
        published = engine.line(r"published \w+").split()[-1]
        engine.line(f"pushed {published}")
        place.human.pull()
        assert "read [[Home]]" in place.human.read("Tasks.md")
        trail = trailers(place.human.head, place.human)
        assert tuple(trail) == TRAILERS
        assert trail["Trigger"] == "cron noon"
        assert trail["Scope"] == "owner"

        assert "Inbox" in place.installation.say("append Call Ada to Inbox")
        published = engine.line(r"published \w+").split()[-1]
        engine.line(f"pushed {published}")
        place.human.pull()
        assert "Call Ada" in place.human.read("Inbox.md")
        status = place.installation.json("status")
        assert status["revision"] == status["applied"] == place.human.head
        engine.stop()

    before = place.human.git("log", "--format=%H", "origin/main")
    with place.engine("12:00:30") as engine:
        place.installation.say("/status")
        noon = next(cron for cron in place.installation.json("crons")["crons"] if cron["name"] == "noon")
        assert [past["outcome"] for past in noon["past"]] == ["done"]
        engine.stop()
    place.human.git("fetch", "-q")
    assert place.human.git("log", "--format=%H", "origin/main") == before


def test_what_the_engine_commits_is_signed_with_its_own_key(place: Place, tmp_path: Path) -> None:
    with place.engine("11:00:00") as engine:
        place.installation.say("append Call Ada to Inbox")
        published = engine.line(r"published \w+").split()[-1]
        engine.line(f"pushed {published}")
    place.human.pull()
    public = next((tmp_path / "state").glob("*.pub")).read_text()
    (tmp_path / "signers").write_text(f"* {public}")
    place.human.git("config", "gpg.ssh.allowedSignersFile", str(tmp_path / "signers"))
    place.human.git("verify-commit", "HEAD")


def test_a_wrong_host_key_is_refused_and_status_says_how_to_go_on(tmp_path: Path) -> None:
    remote = scaffold(tmp_path)
    with ssh_server(tmp_path / "sshd") as ssh:
        wrong = tmp_path / "wrong_hosts"
        wrong.write_text(known_host(ssh.port, ssh_key(tmp_path / "other_key").with_suffix(".pub")))
        installation = settings(tmp_path, remote=ssh.url(remote), ssh_key=ssh.key, known_hosts=wrong)
        with installation.engine() as engine:
            line = engine.line("host key")
            assert "known_hosts" in line or str(wrong) in line
            # The log is first: the state flow does not wait for the remote, and tells it in the status.
            while not installation.json("status")["attention"]:
                pass
            engine.stop()
    status = installation.json("status")
    assert status["revision"] is None
    assert any("host key" in sentence for sentence in status["attention"])


@pytest.mark.parametrize("own_git", [True, False], ids=["with-git", "without-git"])
def test_a_watched_folder_is_followed_and_written_to(tmp_path: Path, own_git: bool) -> None:
    scaffold(tmp_path)
    folder = tmp_path / "first"
    git(folder, "remote", "remove", "origin")
    if not own_git:
        subprocess.run(["rm", "-rf", str(folder / ".git")], check=True)
    # The template was written just now; a person's notes have lain there for longer than a minute.
    place = Place(settings(tmp_path, folder=folder, quiet="1s"), tmp_path, VaultClone(folder))
    with place.engine("11:59:50") as engine:
        place.human.write("agent/crons/noon.md", NOON)
        engine.line("create cron/noon")
        engine.line("started for cron noon")
        engine.line(r"published \w+")
        engine.line("ended: done")
        assert "[[Home]]" in place.human.read("Tasks.md")

        place.installation.say("append Call Ada to Inbox")
        assert "Call Ada" in place.human.read("Inbox.md")
        if own_git:
            place.human.write("Journal/today.md", "Wrote a test.\n")
            place.human.git("add", "Journal/today.md")
            place.human.git("commit", "-q", "-m", "A human's plain commit of another file")
            assert "Call Ada" in place.human.git("show", "HEAD:Inbox.md")
            assert place.human.git("status", "--porcelain") == ""
        engine.stop()
    assert "Call Ada" in place.human.read("Inbox.md")


def test_an_edit_from_each_side_changes_the_running_state(tmp_path: Path) -> None:
    remote = scaffold(tmp_path)
    folder = VaultClone(tmp_path / "first")
    installation = settings(tmp_path, folder=folder.path, remote=remote)
    with installation.engine() as engine:
        engine.line("ready")
        folder.write("agent/crons/noon.md", NOON)
        engine.line("create cron/noon")
        engine.line("pushed")
        second = VaultClone.of(remote, tmp_path / "second")
        second.remove("agent/crons/noon.md")
        second.push()
        engine.line("delete cron/noon")
        assert installation.json("status")["revision"] == second.head
        assert not (folder.path / "agent/crons/noon.md").exists()
        engine.stop()
