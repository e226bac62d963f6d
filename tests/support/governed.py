"""A small vault whose notes govern an agent, and what sessions may do to it."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from support.notes import note
from vaultloop.admission import SelfEdit
from vaultloop.components import KINDS
from vaultloop.components.scope.policies import policy_of
from vaultloop.model.policy import Policy
from vaultloop.vault.files import Entry
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.revision import RevisionFiles
from vaultloop.vault.notes.loader import Loader
from vaultloop.vault.views.verdict import Verdict

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)
HANA = Identity("Hana", "hana@example.org")
Texts = Mapping[str, str | None]


def scope(self_edit: str = "deny", **fields: str) -> str:
    """A group's scope that may write everywhere: only self-edit stands between it and what governs it."""
    given = {"chats": '"-5"', "people": '["7"]', "can_read": '"**"', "can_write": '"**"', **fields}
    return note("scope", "Be kind.", self_edit=self_edit, **given)


def cron(scope: str, **fields: str) -> str:
    return note("cron", "Tidy up.", schedule='"0 7 * * *"', scope=f'"[[{scope}]]"', **fields)


def reminder(body: str = "Water the roses.", at: str = "2026-12-01 09:00", **fields: str) -> str:
    return note("reminder", body, at=f'"{at}"', **fields)


def vault(self_edit: str = "deny") -> dict[str, str]:
    """The vault; `family` is the scope whose sessions are judged."""
    return {
        "Home.md": "# Home\n",
        "CLAUDE.md": "Answer briefly.\n",
        ".obsidian/app.json": "{}\n",
        "agent/defaults.md": note("defaults"),
        "agent/scopes/owner.md": note("scope", chats="owner", can_read='"**"', can_write='"**"'),
        "agent/scopes/family.md": scope(self_edit),
        "agent/scopes/club.md": scope(chats='"-6"'),
        "agent/rules/manners.md": note("rule", "Say please.", scopes='"[[club]]"'),
        "agent/rules/ours.md": note("rule", "Say thanks.", scopes='"[[family]]"'),
        "agent/crons/morning.md": cron("family"),
        "agent/crons/digest.md": cron("owner"),
        "agent/reminders/roses.md": reminder(scope='"[[family]]"', send_to='"-5"'),
        "agent/reminders/dentist.md": reminder("Dentist."),
        "agent/mcp/tools.md": note(
            "mcp-server", transport="http", url='"https://mcp.example.org/"', allow_tools='"get_*"'
        ),
    }


class Governed:
    """The vault in a real repository, and the judge of it."""

    def __init__(self, place: Path, notes: Texts) -> None:
        self.repository = Repository.bare(place / "vault.git", "main")
        self.judge = SelfEdit(())
        self.commit(notes)

    @property
    def files(self) -> RevisionFiles:
        assert self.repository.head
        return self.repository.files(self.repository.head)

    def entries(self, texts: Texts) -> dict[str, Entry | None]:
        return {
            path: None if text is None else Entry(path, self.repository.write_blob(text.encode()))
            for path, text in texts.items()
        }

    def commit(self, texts: Texts) -> str:
        """What a human changes."""
        head = self.repository.head
        tree = self.repository.edit(head, self.entries(texts))
        made = self.repository.commit(tree, [head] if head else [], "Edit\n", author=HANA, at=NOW)
        self.repository.move(head, made)
        return made

    def policy(self, name: str = "family") -> Policy:
        for ref, resource in Loader(KINDS, Effort()).load(self.files).resources.items():
            if (ref.kind, ref.name) == ("scope", name):
                return policy_of(resource, ())  # type: ignore[arg-type]
        raise KeyError(name)

    def verdict(self, texts: Texts) -> Verdict:
        """On what a session of the scope `family` changes."""
        return self.verdict_under(self.policy(), texts)

    def verdict_under(self, policy: Policy, texts: Texts) -> Verdict:
        """On what a session changes that began under `policy`."""
        edits, base = self.entries(texts), self.files

        def edited(paths: Collection[str]) -> RevisionFiles:
            tree = self.repository.edit(base.revision, {path: edits[path] for path in paths})
            return self.repository.files_of_tree(tree, base.revision)

        return self.judge.judge(base, edited, tuple(edits), policy, NOW)
