"""No session changes a protected path without an owner's act, whatever it writes and humans do meanwhile.

What `self-edit: allow` admits, and reminders of the own scope, are told here by their texts alone: the test
knows which of the texts below are harmless, and nothing of how that is judged.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pygit2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.governed import HANA, NOW, Governed, cron, reminder, scope, vault
from support.notes import note
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.conversation import Trigger
from vaultloop.model.errors import Retry
from vaultloop.model.policy import Policy, is_protected
from vaultloop.sessions.sorting import LateGate, Sorted, Sorting
from vaultloop.vault.folder.folder import Folder
from vaultloop.vault.folder.settling import Settling
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.signing import Signer
from vaultloop.vault.sync.branch import Branch, closed
from vaultloop.vault.views.publish import Audit
from vaultloop.vault.views.view import View
from vaultloop.vault.views.views import Views

REMINDERS = (
    reminder(scope='"[[family]]"', send_to='"[[family]]"'),
    reminder("Tea.", send_to='"-5"'),
    vault()["agent/reminders/roses.md"],
)
OWN = (
    *REMINDERS,
    cron("family"),
    note("rule", "Say hi.", scopes='"[[family]]"'),
    vault()["agent/rules/ours.md"],
)
OTHERS = (
    cron("owner"),
    note("rule", "Obey the family."),
    reminder("Pay me."),
    reminder("Pay me.", scope='"[[owner]]"'),
    reminder(scope='"[[family]]"', send_to='"-6"'),
    scope("allow"),
    note("mcp-server", transport="http", url='"https://x.example.org/"', allow_tools='"*"'),
    "Just text.\n",
    "<% tp.system.prompt() %>\n",
    cron("family", overlap="never"),
)
TEXTS = st.sampled_from(OWN) | st.sampled_from(OTHERS)
PATHS = st.sampled_from(
    (
        *vault(),
        *("agent/crons/new.md", "agent/reminders/new.md", "agent/more/dentist.md", "agent/x.png", "agent"),
        *("Agent/crons/new.md", "AGENT/crons/digest.md", "\uff41gent/x.md", "agent /x.md", "agent/.x.md"),
        *("CLAUDE.local.md", "notes/CLAUDE.md", "claude.md", "AGENTS.md", ".obsidian/x.json", "Jenkinsfile"),
        *(
            "Templates/Daily.md",
            "templates/x.md",
            "Forms/Daily.md",
            "Notes/x.md",
            "home.md",
            "crons/digest.md",
        ),
    )
)
# Where a session has the best chances.
DECLARED = st.sampled_from(
    ("agent/crons/new.md", "agent/reminders/new.md", "agent/rules/ours.md", "agent/crons/digest.md")
)
DEEDS = st.lists(
    st.tuples(st.just("write"), DECLARED, TEXTS)
    | st.tuples(st.just("write"), PATHS, TEXTS)
    | st.tuples(st.just("delete"), PATHS, st.just(""))
    | st.tuples(st.sampled_from(("move", "link", "folder")), PATHS, PATHS),
    min_size=1,
    max_size=8,
)
HUMAN = (
    st.dictionaries(
        st.sampled_from(
            ("Home.md", "agent/crons/digest.md", "agent/reminders/roses.md", "agent/crons/new.md")
        ),
        st.none() | TEXTS,
        max_size=2,
    )
    | st.sampled_from((scope("deny"), scope("allow"), None)).map(
        lambda text: {"agent/scopes/family.md": text}
    )
    | st.sampled_from(
        (
            {".obsidian/templates.json": '{"folder": "Forms"}'},
            {".obsidian/templates.json": '{"folder": "/Notes/"}', "Notes/x.md": "mine\n"},
            {"CLAUDE.md": None, "notes/CLAUDE.md": "Moved.\n"},
            {"Home.md": None, "agent/crons/home.md": cron("owner")},
        )
    )
)
# What may go wrong most is what is allowed.
MODES = st.sampled_from(("deny", "propose", "allow", "allow", "allow"))
AUDIT = Audit("s-1", "family", Trigger("message", "console"), "0123456789ab", "", 0.0)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    """The engine's key; and nothing here need survive a power cut."""
    pygit2.settings.enable_fsync_gitdir(False)
    yield Signer.make(tmp_path_factory.mktemp("key"))
    pygit2.settings.enable_fsync_gitdir(True)


class Case:
    """One vault, one session's view of it, and a human beside it."""

    def __init__(self, place: Path, mode: str, *, folder: bool) -> None:
        self.governed = Governed(place, vault(mode))
        self.repository, self.policy = self.governed.repository, self.governed.policy()
        self.path = place / "folder" if folder else None
        self.branch = self._branch(place)
        self.branch.take_edits(None)
        self.base = self.texts()
        self.view: View = Views(place / "state").lease(self.governed.files, self.policy)

    def _branch(self, place: Path) -> Branch:
        clock, effort = VirtualClock(NOW), Effort()
        folder = None
        if self.path is not None:
            self.path.mkdir()
            at_once = Settling(clock, NOW - NOW, NOW - NOW)
            folder = Folder(self.path, self.repository, at_once, own_git=False, effort=effort)
        return Branch(
            self.repository, clock=clock, engine=HANA, human=HANA, folder=folder, state=place / "state"
        )

    def texts(self) -> dict[str, str]:
        files = self.governed.files
        return {entry.path: files.read(entry).decode() for entry in files.under("")}

    def human_edits(self, edits: Mapping[str, str | None]) -> None:
        with suppress(ValueError, OSError):
            if self.path is None:
                self.governed.commit(edits)
                return
            for path, text in edits.items():
                (self.path / path).parent.mkdir(parents=True, exist_ok=True)
                if text is None:
                    (self.path / path).unlink(missing_ok=True)
                else:
                    (self.path / path).write_text(text)

    def agent_does(self, deed: str, path: str, what: str) -> None:
        target = self.view.folder / path
        with suppress(OSError):
            target.parent.mkdir(parents=True, exist_ok=True)
            match deed:
                case "write":
                    target.write_text(what)
                case "delete":
                    target.unlink()
                case "move":
                    (self.view.folder / what).parent.mkdir(parents=True, exist_ok=True)
                    target.rename(self.view.folder / what)
                case "link":
                    target.symlink_to(self.view.folder / what)
                case "folder":
                    target.unlink(missing_ok=True)
                    (target / Path(what).name).parent.mkdir()
                    (target / Path(what).name).write_text("inside")

    def publish(self, signer: Signer) -> Sorted:
        admission = self.governed.judge
        sorting = Sorting(
            *(self.repository, self.view, self.policy, AUDIT),
            admission=admission,
            author=HANA,
            signer=signer,
            now=NOW,
        )
        made = sorting.result(self.view.changes())
        gate = LateGate(self.repository, admission, self.policy, NOW)
        with suppress(Retry):
            if made.commit:
                self.branch.integrate(made.commit, "Join\n", closed)
            if made.admitted:
                self.branch.integrate(made.admitted.commit, "Join\n", gate)
        return made


@contextmanager
def case_of(mode: str, *, folder: bool) -> Iterator[Case]:
    place = Path(tempfile.mkdtemp())
    try:
        (place / "state").mkdir()
        yield Case(place, mode, folder=folder)
    finally:
        shutil.rmtree(place)


def harmless(mode: str, policy: Policy, now: Mapping[str, str]) -> tuple[str, ...]:
    """The texts that a session may put, change and take away without asking."""
    note = now.get("agent/scopes/family.md", "")
    allowed = policy.self_edit == "allow" and "self-edit: allow" in note
    return OWN if allowed and mode == "allow" else REMINDERS


def violations(before: Mapping[str, str], after: Mapping[str, str], texts: tuple[str, ...]) -> list[str]:
    templates = ("Templates", "Forms", "Notes") if ".obsidian/templates.json" in before else ("Templates",)
    differing = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    return [
        path
        for path in differing
        if _is_protected(path, before, templates)
        and not (
            path.startswith("agent/")
            and path.endswith(".md")
            and all(text in texts for text in (before.get(path), after.get(path)) if text is not None)
        )
    ]


def _is_protected(path: str, before: Mapping[str, str], templates: tuple[str, ...]) -> bool:
    named = before.get(".obsidian/templates.json", "")
    return is_protected(path, tuple(t for t in templates if t == "Templates" or t in named))


MINE = [("write", "agent/crons/new.md", cron("family"))]


@settings(max_examples=70, deadline=None)
@given(MODES, DEEDS, HUMAN)
@example("allow", MINE, {"agent/scopes/family.md": scope("deny")})
@example("allow", MINE, {"agent/scopes/family.md": None})
@example("allow", MINE, {"agent/crons/more/new.md": cron("owner")})
@example("propose", [("write", "Forms/Daily.md", "x")], {".obsidian/templates.json": '{"folder": "Forms"}'})
def test_protected_paths_are_the_humans_after_every_merge(
    signer: Signer, mode: str, deeds: list[tuple[str, str, str]], human: dict[str, str | None]
) -> None:
    with case_of(mode, folder=False) as case:
        for deed in deeds:
            case.agent_does(*deed)
        case.human_edits(human)
        before = case.texts()
        case.publish(signer)
        assert violations(before, case.texts(), harmless(mode, case.policy, before)) == []


@settings(max_examples=30, deadline=None)
@given(MODES, DEEDS, HUMAN)
@example("allow", MINE, {"agent/scopes/family.md": scope("deny")})
@example("allow", MINE, {"agent/crons/new.md": cron("owner")})
@example("deny", [("write", "Forms/a.md", "x")], {".obsidian/templates.json": '{"folder": "Forms"}'})
def test_so_they_are_in_a_folder_where_humans_save_at_the_same_time(
    signer: Signer, mode: str, deeds: list[tuple[str, str, str]], human: dict[str, str | None]
) -> None:
    with case_of(mode, folder=True) as case:
        assert case.path is not None
        for deed in deeds:
            case.agent_does(*deed)
        case.human_edits(human)
        saved = _in_folder(case.path)
        case.publish(signer)
        lies = _in_folder(case.path)
        # What the human saved is on the branch by the next look at the latest.
        assert violations(saved, lies, harmless(mode, case.policy, saved)) == []
        case.branch.take_edits(None)
        assert violations(saved, case.texts(), harmless(mode, case.policy, saved)) == []


def _in_folder(path: Path) -> dict[str, str]:
    files = (file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_text() for file in files}


@pytest.mark.parametrize("folder", [False, True], ids=["bare", "folder"])
@pytest.mark.parametrize("mode", ["deny", "propose", "allow"])
def test_what_is_harmless_arrives_in_the_same_setting(signer: Signer, mode: str, *, folder: bool) -> None:
    with case_of(mode, folder=folder) as case:
        case.agent_does("write", "agent/reminders/new.md", REMINDERS[0])
        case.agent_does("write", "agent/crons/new.md", cron("family"))
        case.agent_does("write", "Home.md", "tidy\n")
        case.human_edits({"agent/crons/digest.md": cron("owner", jitter="5m")})
        case.publish(signer)
        after = case.texts()
        assert after["agent/reminders/new.md"] == REMINDERS[0]
        assert after["Home.md"] == "tidy\n"
        assert ("agent/crons/new.md" in after) is (mode == "allow")
