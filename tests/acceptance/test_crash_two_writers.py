"""kill -9 at every named point of bringing folder, branch and remote together: nothing is lost or doubled."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.git_server import GitServer, git_server
from support.installation import Engine
from support.readiness import assert_ready_in_time
from support.signing_human import SshKey
from support.vault_clone import VaultClone, git
from support.workplace import NOON, Workplace
from vaultloop.aio.failpoint import VARIABLE, Failpoint
from vaultloop.model.conversation import Outcome
from vaultloop.state.database import Database
from vaultloop.state.turns import TurnRecord, Turns

pytestmark = pytest.mark.acceptance

START = "11:30:00"
# How long everything that is left may take to come to rest (seconds).
REST = 40.0

SHARED = """\
---
tags: [home]
---

# Shared

The first line.

The line that everybody rewrites.

The last line.
"""
MARKED = "# Marked\n\n<<<<<<< here\nof the laptop\n=======\nof the tablet\n>>>>>>> there\n"
# The remote takes the second push of the branch only.
REFUSAL = """\
#!/bin/sh
read -r _ _ reference
[ "$reference" != refs/heads/main ] || [ -e refused ] || { touch refused; echo not yet >&2; exit 1; }
"""
# What each writer leaves.
IN_FOLDER, ON_PHONE, BY_AGENT = "fromthefolder", "fromthephone", "fromtheagent"


@dataclass(frozen=True)
class Scene:
    """What goes on when the engine dies.

    Attributes:
        before: what was done while no engine ran; returns the words that must be there at the end.
        act: what is done with the engine that will die; None where starting it is enough.
        first: another point at which an engine dies before that, so that there is something to recover.
        after: what the human does once an engine runs again, if the crash kept it from being done.
        held: whether a declaration was changed by both sides.
    """

    before: Callable[["Ground"], list[str]]
    act: Callable[["Ground", Engine], None] | None = None
    first: Failpoint | None = None
    after: Callable[["Ground"], None] | None = None
    held: bool = False


@dataclass
class Ground:
    """A workplace, and the phone of its human."""

    place: Workplace
    phone: VaultClone
    commits: dict[str, str] = field(default_factory=dict)

    @classmethod
    def made(cls, root: Path, server: GitServer) -> "Ground":
        place = Workplace.made(root)
        # Over http, where hooks of the remote are asked.
        place.use_remote(server.url("vault.git"))
        place.accept_pushes()
        with place.installation.config.open("a") as config:
            config.write('settle = "1s"\nquiet = "1s"\n')
        place.folder.save("Shared.md", SHARED)
        place.folder.save("Old.md", "# Old\n\nGoes soon.\n")
        place.folder.git("push", "-q", str(place.remote), "HEAD")
        phone = VaultClone.of(place.remote, root / "phone")
        with place.engine("11:00:00") as engine:
            engine.line("ready at")
            engine.stop()
        shutil.rmtree(place._as_made)
        shutil.copytree(root, place._as_made, symlinks=True)
        return cls(place, phone)

    def renewed(self) -> "Ground":
        self.place.renewed()
        return Ground(self.place, self.phone)

    def turns(self) -> list[TurnRecord]:
        with Database(self.place.state / "engine.db") as database:
            return Turns(database).recent(100)

    def command(self, *words: str) -> None:
        """A command whose engine may die before it answers."""
        self.place.installation.run(*words, expect=None)

    def note_at_remote(self, path: str) -> str:
        return git(self.place.remote, "show", f"main:{path}")

    def at_remote(self) -> str:
        """All notes at the remote, as one text."""
        names = git(self.place.remote, "ls-tree", "-r", "--name-only", "main").splitlines()
        return "\n".join(self.note_at_remote(name) for name in names if name.endswith(".md"))


# -- what people do ----------------------------------------------------------------------------------------


def both_write(ground: Ground) -> list[str]:
    """Both rewrite one line; from the phone a note is deleted, and another comes with marks of a merge."""
    folder, phone = ground.place.folder, ground.phone
    folder.write("Shared.md", SHARED.replace("everybody rewrites", IN_FOLDER).replace("home", "home, desk"))
    text = SHARED.replace("everybody rewrites", ON_PHONE).replace("The last line.", "The last line, longer.")
    phone.write("Shared.md", text)
    phone.write("Marked.md", MARKED)
    phone.write("Fresh.md", "# Fresh\n\nwithoutanyother\n")
    phone.git("rm", "-q", "Old.md")
    phone.commit("From the phone")
    phone.push()
    return [IN_FOLDER, ON_PHONE, "withoutanyother", "of the laptop", "of the tablet", "longer"]


def both_declare(ground: Ground) -> list[str]:
    """And both change one property of a declaration, in different ways."""
    words = both_write(ground)
    ground.place.folder.write("agent/crons/noon.md", NOON.replace("0 12", "5 12"))
    ground.phone.save("agent/crons/noon.md", NOON.replace("0 12", "10 12"))
    ground.phone.push()
    return words


def signers_are_named(ground: Ground) -> list[str]:
    """From now on what governs the agent must be signed; ordinary notes need not be."""
    key = SshKey(ground.place.root / "ada")
    (ground.place.root / "signers").write_text(key.line())
    with ground.place.installation.config.open("a") as config:
        config.write('trust = "protected"\nallowed-signers = "signers"\ntrust-folder = true\n')
    # What is there when trust is new counts as it is: so it must not be new.
    with ground.place.engine("11:10:00") as engine:
        engine.line("ready at")
        engine.stop()
    ground.place.folder.save("Own.md", "# Own\n\nowncommit\n")
    return [*both_write(ground), "owncommit"]


def refused_once(ground: Ground) -> list[str]:
    """The remote takes the second push only."""
    words = both_write(ground)
    hook = ground.place.remote / "hooks" / "pre-receive"
    hook.write_text(REFUSAL)
    hook.chmod(0o755)
    return words


def history_rewritten(ground: Ground) -> list[str]:
    """On the phone all that is thrown away, with force; what is only here must come on top of the rest."""
    both_write(ground)
    with ground.place.engine("11:10:00") as engine:
        engine.line("ready at")
        _at_rest(ground)
        engine.stop()
    ground.phone.git("reset", "-q", "--hard", "HEAD~1")
    ground.phone.save("Rewritten.md", "# Rewritten\n\nanotherpast\n")
    ground.phone.push("--force")
    ground.place.folder.write("Local.md", "# Local\n\nonlyhere\n")
    return ["anotherpast", "onlyhere"]


def nothing(ground: Ground) -> list[str]:
    del ground
    return []


def agent_has_written(ground: Ground) -> list[str]:
    with ground.place.engine("11:10:00") as engine:
        engine.line("ready at")
        ground.place.installation.say(f"append {BY_AGENT} to Shared")
        engine.line("pushed")
        engine.stop()
    return []


def rule_was_changed(ground: Ground) -> list[str]:
    """There is a revision before the newest one to go back to."""
    ground.commits["before"] = ground.place.head
    ground.place.folder.save("agent/crons/noon.md", NOON.replace("0 12", "30 12"))
    return []


def is_pinned(ground: Ground) -> list[str]:
    rule_was_changed(ground)
    with ground.place.engine("11:10:00") as engine:
        engine.line("ready at")
        pin(ground, engine)
        engine.stop()
    return []


def held_and_decided(ground: Ground) -> list[str]:
    """A declaration was held; now its owner has edited it."""
    words = both_declare(ground)
    with ground.place.engine("11:10:00") as engine:
        engine.line("ready at")
        _at_rest(ground)
        engine.stop()
    ground.place.folder.save("agent/crons/noon.md", NOON.replace("0 12", "15 12"))
    return words


def index_is_broken(ground: Ground) -> list[str]:
    words = both_write(ground)
    index = ground.place.folder.path / ".git" / "index"
    index.write_bytes(index.read_bytes()[:40])
    return words


def branch_is_broken(ground: Ground) -> list[str]:
    words = both_write(ground)
    (ground.place.folder.path / ".git" / "refs" / "heads" / "main").write_bytes(b"")
    return words


def object_is_empty(ground: Ground) -> list[str]:
    """What lies in the folder, and at the remote, is gone from the objects."""
    words = both_write(ground)
    folder = ground.place.folder
    blob = folder.git("rev-parse", "HEAD:Home.md")
    objects = folder.path / ".git" / "objects"
    loose = objects / blob[:2] / blob[2:]
    assert loose.exists()
    loose.chmod(0o644)
    loose.write_bytes(b"")
    return words


# -- what is done with the engine that dies ----------------------------------------------------------------


def ask(ground: Ground, engine: Engine) -> None:
    """The agent appends to the note that both people rewrote."""
    with suppress(AssertionError):
        engine.line("ready at")
        ground.command("chat", "--once", f"append {BY_AGENT} to Shared")


def stop(ground: Ground, engine: Engine) -> None:
    del ground
    with suppress(AssertionError):
        engine.line("ready at")
    with suppress(ProcessLookupError):
        os.kill(engine.pid, signal.SIGINT)


def accept_remote(ground: Ground, engine: Engine) -> None:
    with suppress(AssertionError):
        engine.line("ready at")
        _accept(ground)


def _accept(ground: Ground) -> None:
    ground.command("resume", "--accept-remote", ground.place.remote_head[:12])


def undo(ground: Ground, engine: Engine) -> None:
    with suppress(AssertionError):
        engine.line("ready at")
        _undo(ground)


def _undo(ground: Ground) -> None:
    (session,) = (turn.id for turn in ground.turns() if turn.commit)
    ground.command("undo", session, "--yes")


def pin(ground: Ground, engine: Engine) -> None:
    with suppress(AssertionError):
        engine.line("ready at") if not engine.log else None
        _pin(ground)


def _pin(ground: Ground) -> None:
    ground.command("pin", ground.commits["before"])


def unpin(ground: Ground, engine: Engine) -> None:
    with suppress(AssertionError):
        engine.line("ready at")
        ground.command("unpin")


def rollback(ground: Ground, engine: Engine) -> None:
    with suppress(AssertionError):
        engine.line("ready at")
        _rollback(ground)


def _rollback(ground: Ground) -> None:
    ground.command("rollback", ground.commits["before"], "--yes")


# -- the points --------------------------------------------------------------------------------------------

MEET = Scene(both_write, ask)
DECLARE = Scene(both_declare, ask, held=True)
START_UP = Scene(both_write)

SCENES: dict[Failpoint, Scene] = {
    **dict.fromkeys(
        (
            Failpoint.INTENT_WRITTEN,
            Failpoint.FILE_PREPARED,
            Failpoint.FILE_REPLACED,
            Failpoint.FILE_DELETED,
            Failpoint.FILES_WRITTEN,
            Failpoint.INDEX_LOCKED,
            Failpoint.ENTRY_STAGED,
            Failpoint.INDEX_PREPARED,
            Failpoint.INDEX_WRITTEN,
            Failpoint.INTENT_REMOVED,
            Failpoint.MERGE_COMPUTED,
            Failpoint.MERGE_BLOBS_WRITTEN,
            Failpoint.MERGE_TREE_WRITTEN,
            Failpoint.JOIN_WRITTEN,
            Failpoint.MEND_WRITTEN,
            Failpoint.HEADS_HEARD,
            Failpoint.FETCHED,
            Failpoint.TRACKING_KEPT,
            Failpoint.EDITS_COMMITTED,
            Failpoint.UNITED,
            Failpoint.COMMIT_WRITTEN,
            Failpoint.BRANCH_MOVED,
            Failpoint.BEFORE_PUSH,
            Failpoint.AFTER_PUSH,
            Failpoint.PUSH_NOTED,
            Failpoint.COMMIT_RECORDED,
            Failpoint.PUBLISH_RECORDED,
        ),
        MEET,
    ),
    **dict.fromkeys((Failpoint.HELD_KEPT, Failpoint.RESOURCE_APPLIED), DECLARE),
    **dict.fromkeys(
        (Failpoint.START_COUNTED, Failpoint.LEASE_WRITTEN, Failpoint.LEASE_PUSHED, Failpoint.LEASE_BEGUN),
        START_UP,
    ),
    **{
        point: Scene(both_write, ask, first=Failpoint.FILE_REPLACED)
        for point in (Failpoint.RECOVERY_BEGUN, Failpoint.RECOVERY_SWEPT, Failpoint.RECOVERY_DONE)
    },
    **dict.fromkeys((Failpoint.TRUST_AHEAD, Failpoint.TRUST_NOTED), Scene(signers_are_named, ask)),
    Failpoint.PUSH_REFUSED: Scene(refused_once, ask),
    Failpoint.HELD_RELEASED: Scene(held_and_decided),
    Failpoint.LEASE_RELEASED: Scene(both_write, stop),
    **{
        point: Scene(history_rewritten, accept_remote, after=_accept)
        for point in (Failpoint.RESCUE_KEPT, Failpoint.ACCEPTANCE_MARKED, Failpoint.ACCEPTANCE_NOTED)
    },
    **{
        point: Scene(agent_has_written, undo, after=_undo)
        for point in (Failpoint.UNDO_WRITTEN, Failpoint.UNDO_RECORDED, Failpoint.UNDO_ARRIVED)
    },
    Failpoint.PIN_SET: Scene(rule_was_changed, pin, after=_pin),
    Failpoint.PIN_REMOVED: Scene(is_pinned, unpin, after=lambda ground: ground.command("unpin")),
    Failpoint.ROLLBACK_COMMITTED: Scene(rule_was_changed, rollback, after=_rollback),
    **dict.fromkeys((Failpoint.DAMAGE_SET_ASIDE, Failpoint.INDEX_REBUILT), Scene(index_is_broken, ask)),
    Failpoint.BRANCH_RESTORED: Scene(branch_is_broken, ask),
    Failpoint.OBJECT_RESTORED: Scene(object_is_empty, ask),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    root = tmp_path_factory.mktemp("ground")
    with git_server(root) as server:
        yield Ground.made(root, server)


@pytest.fixture
def ground(made: Ground) -> Ground:
    return made.renewed()


@pytest.mark.parametrize("point", SCENES)
def test_after_kill_9_what_both_wrote_is_there_once(ground: Ground, point: Failpoint) -> None:
    scene, place = SCENES[point], ground.place
    words = scene.before(ground)
    for armed in filter(None, (scene.first, point)):
        with place.engine(START, **{VARIABLE: armed}) as engine:
            if scene.act is not None:
                scene.act(ground, engine)
            engine.wait_killed(timeout=30)
    began = time.monotonic()
    with place.engine(START) as engine:
        engine.line("ready at")
        assert_ready_in_time(time.monotonic() - began)
        if scene.after is not None:
            scene.after(ground)
        if scene.act is ask and not any(BY_AGENT in turn.turn.prompt for turn in ground.turns()):
            place.installation.say(f"append {BY_AGENT} to Shared")
        _at_rest(ground)
        engine.stop()
    verify(ground, scene, words)


def _at_rest(ground: Ground) -> None:
    """Wait until nobody is at work, nothing is left uncommitted, and the remote has it all."""
    until = time.monotonic() + REST
    while True:
        place = ground.place
        status = place.installation.json("status")
        unfinished = [turn for turn in ground.turns() if turn.outcome is None]
        dirty = place.folder.git("status", "--porcelain")
        is_pushed = status["push"]["state"] == "pushed" and place.head == place.remote_head
        if is_pushed and not unfinished and not dirty:
            return
        assert time.monotonic() < until, (status["push"], status["attention"], unfinished, dirty)


def verify(ground: Ground, scene: Scene, words: list[str]) -> None:
    place, text = ground.place, ground.at_remote()
    assert [word for word in words if word not in text] == []
    assert "<<<<<<<" not in text
    if "Fresh.md" in git(place.remote, "ls-tree", "--name-only", "main").split():
        assert "Goes soon." not in text
    # Each session's commit is there once, and what it wrote too.
    done = [turn for turn in ground.turns() if turn.outcome is Outcome.DONE and turn.commit]
    sessions = git(place.remote, "log", "--format=%(trailers:key=Session,valueonly,separator=)", "main")
    named = [line for line in sessions.splitlines() if line]
    assert sorted(named) == sorted(turn.id for turn in done)
    if scene.act is ask:
        assert ground.note_at_remote("Shared.md").count(BY_AGENT) == len(done)
    cron = ground.note_at_remote("agent/crons/noon.md")
    if scene.held:
        assert cron == NOON.strip()
    _verify_acts(ground, scene, cron)
    subprocess.run(["git", "-C", place.folder.path, "fsck", "--no-dangling"], check=True, capture_output=True)
    locks = [*place.remote.rglob("*.lock"), *(place.folder.path / ".git").rglob("*.lock")]
    assert [lock for lock in locks if "objects" not in lock.parts] == []
    assert [*place.state.glob("*intent*"), *place.folder.path.rglob(".vaultloop-*")] == []


def _verify_acts(ground: Ground, scene: Scene, cron: str) -> None:
    if scene.act is undo:
        assert BY_AGENT not in ground.note_at_remote("Shared.md")
    elif scene.act is rollback:
        assert cron == NOON.strip()
    elif scene.before is history_rewritten:
        folder = ground.place.folder
        rescued = folder.git("for-each-ref", "--format=%(refname)", "refs/vaultloop/rescue").split()
        assert any(IN_FOLDER in folder.git("show", f"{name}:Shared.md") for name in rescued)
    elif scene.before is held_and_decided:
        assert "15 12" in cron
