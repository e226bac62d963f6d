"""The kind `scope`."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from vaultloop.components.scope.permissions import permission_changes
from vaultloop.model.conversation import ANYONE, OWNER
from vaultloop.model.fields import Globs, Ids, Many, Names, Path, Positive, Text, Texts, Timeout, Usd
from vaultloop.model.finding import Finding
from vaultloop.model.flow import Flow, Reads, Writes
from vaultloop.model.glob import matches_any
from vaultloop.model.outside import Hosts, Mounts
from vaultloop.model.policy import COMMANDS, Audience, Policy
from vaultloop.model.problem import Severity
from vaultloop.model.resource import (
    DEFAULT_STOP_AFTER,
    NOTHING_KNOWN,
    Inherited,
    Kind,
    Known,
    Reference,
    Resource,
    Spec,
    Stage,
)
from vaultloop.model.words import near_miss

Ability = Literal["web-search", "web-fetch", "shell"]
TelegramRight = Literal["read", "write", "admin", "dangerous"]


class ScopeSpec(Spec):
    """Who may speak in which chat, and what the agent may do for them. Every grant is empty unless written.

    The text below the frontmatter is what the agent is told in every session of this scope.
    """

    uses_body: ClassVar[bool] = True
    to_come: ClassVar[frozenset[str]] = frozenset(
        {"answers", "mcp-servers", "telegram-may", "telegram-chats", "files-to"}
    )

    chats: Ids = ()
    """The chats it covers: ids, with a label after a space if you like, or `owner`: your private chat."""
    # Absent and empty are two things here: left out is the owner's right in the own chat, empty is nobody.
    people: Ids | None = None
    """Who may speak there: ids, `owner`, or `anyone`. An empty list is nobody."""
    answers: Literal["all", "mentions", "replies"] = "all"
    """Which messages of a group are answered: all, those that mention the agent, or replies to it."""
    can_read: Globs = ()
    """What the agent sees of the vault: paths, where a folder means all below it; `**` is everything."""
    can_write: Globs = ()
    """What it may change; it sees that too."""
    except_: Globs = ()
    """What stays hidden and untouched even where the two lists above allow it."""
    trusts: Annotated[Names, Reference("scope", needed=False)] = ()
    """Scopes of people you trust less, whose writing may be read here all the same: links to their notes."""
    attachments: Literal["all", "none", "on-demand"] = "all"
    """Which files that are no notes it sees of what it may read: all, none, or those a question names."""
    mounts: Mounts = ()
    """Folders outside the vault, by the names that the operator's settings give them."""
    abilities: Many[Ability] = ()
    """Beyond reading and writing notes: `web-search`, `web-fetch`, `shell`."""
    mcp_servers: Annotated[Names, Reference("mcp-server", needed=False)] = ()
    """Tool servers that it may use: links to their notes."""
    telegram_may: Many[TelegramRight] = ()
    """What it may do with your Telegram account: `read`, `write`, `admin`, `dangerous`."""
    telegram_chats: Ids = ()
    """The chats in which it may do so."""
    hosts: Hosts = ()
    """Internet hosts it may reach, such as `api.example.org` or `*.example.org`."""
    model: Annotated[Text | None, Inherited()] = None
    """The model that answers here."""
    budget_usd_per_run: Annotated[Usd | None, Inherited()] = None
    """The most that one session may cost, in US dollars."""
    budget_usd_per_day: Usd | None = None
    """The most that all sessions of this scope may cost in a day."""
    budget_usd_per_month: Usd | None = None
    """The most that all sessions of this scope may cost in a calendar month."""
    messages_per_person_per_hour: Positive | None = None
    """How often one person is answered; you yourself are not counted."""
    max_steps: Positive | None = None
    """How many steps a session may take: each round of tools is one, and so is the answer."""
    stop_after: Annotated[Timeout, Inherited()] = DEFAULT_STOP_AFTER
    """The longest that a session may take."""
    conversation: Literal["fresh", "continue"] = "fresh"
    """Whether each message starts anew or goes on where the last one ended."""
    self_edit: Literal["deny", "propose", "allow"] | None = None
    """What becomes of the agent's changes to `agent/`: refused, shown to you first, or taken where harmless.

    Without it: `propose` in your own private chat, `deny` everywhere else.
    """
    commands: Texts = ()
    """Chat commands that people here may use, such as `status`."""
    files_to: Path | None = None
    """The folder for files that people send."""

    def closed(self) -> Self | None:
        """An invalid scope lets nobody in, but for the owner in the own chat, who must be able to mend it."""
        if OWNER not in self.chats:
            return self.model_copy(update={"paused": True})
        if set(self.chats) == {OWNER}:
            return None
        # A chat that is now the owner's alone would be allowed more by itself: say what held before.
        alone = {"chats": (OWNER,), "people": (OWNER,), "self_edit": self.self_edit or "deny"}
        return self.model_copy(update=alone)

    def audience(self, owners: Collection[str] = ()) -> Audience:
        """Who may speak there, as a class: the fences are stricter the less their owner knows who it is.

        `owners` are the owners' ids, as far as they are known.
        """
        if not self.chats:
            return Audience.CRON
        people = self.people or ()
        if ANYONE in people:
            return Audience.PUBLIC
        known = {OWNER, *owners}
        # A private chat has the id of the person in it.
        private = all(chat in known for chat in self.chats)
        return Audience.OWNER if private and known.issuperset(people) else Audience.GROUP

    def policy(self, name: str, owners: Collection[str] = ()) -> Policy:
        """What a note of this name and with these fields grants, as the fences know it.

        `owners` as for `audience`.
        """
        who = self.audience(owners)
        return Policy(
            scope=name,
            audience=who,
            chats=self.chats,
            people=self.people if self.people is not None else (OWNER,) if who is Audience.OWNER else (),
            can_read=self.can_read,
            can_write=self.can_write,
            except_=self.except_,
            attachments=self.attachments,
            mounts=self.mounts,
            abilities=tuple(self.abilities),
            mcp_servers=self.mcp_servers,
            telegram_may=tuple(self.telegram_may),
            telegram_chats=self.telegram_chats,
            hosts=self.hosts,
            commands=self.commands,
            self_edit=self.self_edit or ("propose" if who is Audience.OWNER else "deny"),
            conversation=self.conversation,
            model=self.model,
            max_steps=self.max_steps,
            stop_after=self.stop_after,
            budget_usd_per_run=self.budget_usd_per_run,
            budget_usd_per_day=self.budget_usd_per_day,
            budget_usd_per_month=self.budget_usd_per_month,
            messages_per_person_per_hour=self.messages_per_person_per_hour,
            files_to=self.files_to,
            instructions=self.body,
        )

    def flows(self) -> Iterable[Flow]:
        """What its sessions may write and read; what they may write they also see."""
        who = self.audience()
        yield Writes(who, self.can_write, self.except_)
        yield Reads(who, (*self.can_read, *self.can_write), self.except_, self.trusts)

    def findings(self) -> Iterable[Finding]:
        """Grants that cannot mean what was written."""
        yield from self._people()
        yield from self._chat_ids()
        yield from self._files()
        yield from self._hosts()
        yield from self._telegram()
        yield from self._commands()

    def _files(self) -> Iterable[Finding]:
        folder = self.files_to
        if folder is None or matches_any(self.can_write, f"{folder}/file"):
            return
        message = f"Files are kept in `{folder}`, but nothing may be written there."
        if self.can_write:
            cure = f"Add `{folder}` to `can-write`, or name a folder that is in it."
            yield Finding("files-to", "nowhere-to-write", message, cure, severity=Severity.WARNING)
        else:
            add = f'can-write: "{folder}"'
            yield Finding("files-to", "nowhere-to-write", message, add=add, severity=Severity.WARNING)

    def _hosts(self) -> Iterable[Finding]:
        if "web-fetch" not in self.abilities or self.hosts:
            return
        message = "No host is named here, so `web-fetch` can fetch nothing."
        cure = "Name the hosts that it may fetch from in a line `hosts`, such as `hosts: example.org`."
        item = self.abilities.index("web-fetch")
        yield Finding("abilities", "nothing-granted", message, cure, item=item, severity=Severity.WARNING)

    def _telegram(self) -> Iterable[Finding]:
        warning = Severity.WARNING
        if self.telegram_may and not self.telegram_chats:
            message = "No chat is named in which it may do so, so it may do nothing on Telegram."
            add = f"telegram-chats: {OWNER}"
            yield Finding("telegram-may", "nothing-granted", message, add=add, severity=warning)
        if self.telegram_chats and not self.telegram_may:
            message = "Nothing is named that it may do in these chats."
            yield Finding(
                "telegram-chats", "nothing-granted", message, add="telegram-may: read", severity=warning
            )
        for item, chat in enumerate(self.telegram_chats):
            if chat == ANYONE:
                message = "`anyone` is a word for people, not for chats."
                yield Finding("telegram-chats", "bad-id", message, write=OWNER, item=item)

    def _commands(self) -> Iterable[Finding]:
        for item, typed in enumerate(self.commands):
            name = typed.strip().lstrip("/").lower()
            if name not in COMMANDS:
                one_of = ", ".join(f"`{known}`" for known in COMMANDS)
                write = near_miss(name, COMMANDS)
                cure = f"Write one of {one_of}, or delete this."
                message = f"There is no command `{typed}`."
                yield Finding(
                    "commands", "unknown-command", message, cure, write, item=item, severity=Severity.WARNING
                )

    def _people(self) -> Iterable[Finding]:
        if self.people and not self.chats:
            message = "People are named here, but no chat, so nobody can speak."
            cure = "Add `chats` with the chat's id, or delete this line: then it is for crons alone."
            yield Finding("people", "no-chat", message, cure, severity=Severity.WARNING)
        if self.people or not self.chats or self.chats == (OWNER,):
            return
        if self.people is None:
            message = "A scope with chats must say who may speak there."
            yield Finding("people", "missing-field", message, add="people: owner")
            return
        yield Finding("people", "nobody", "Nobody may speak here.", write="owner", severity=Severity.WARNING)

    def _chat_ids(self) -> Iterable[Finding]:
        for item, chat in enumerate(self.chats):
            if chat == ANYONE:
                message = "`anyone` is a word for people, not for chats."
                yield Finding("chats", "bad-id", message, write=OWNER, item=item)
            elif (doubt := self._doubt(chat)) is not None:
                write, severity = f'"{_as_group(chat)}"', Severity.WARNING
                yield Finding("chats", "suspicious-id", doubt, write=write, item=item, severity=severity)

    def _doubt(self, chat: str) -> str | None:
        """Why an id is probably a group's that lost its minus."""
        if re.fullmatch(r"100\d{10}", chat):
            return f"`{chat}` looks like a group's id without its minus."
        if re.fullmatch(r"-[1-3]\d{9}", chat):
            return f"`{chat}` looks like the id of a large group without its 100."
        if chat.isdigit() and self.people and not {chat, OWNER, ANYONE} & set(self.people):
            return (
                f"`{chat}` is the private chat of a person who may not speak here; a group's id has a minus."
            )
        return None

    @classmethod
    def findings_together(cls, specs: Mapping[str, Self]) -> Iterable[tuple[str, Finding]]:
        """Chats that two scopes claim."""
        claims: dict[str, list[str]] = {}
        for name, spec in specs.items():
            for chat in dict.fromkeys(spec.chats):
                claims.setdefault(chat, []).append(name)
        for chat, names in claims.items():
            for name in names if len(names) > 1 else ():
                others = " and ".join(f"`{other}`" for other in names if other != name)
                until = (
                    "the scope that has it now keeps it"
                    if chat == OWNER
                    else "it is closed until only one does"
                )
                message = f"The chat `{chat}` is also claimed by {others}; {until}."
                cure = f"Delete `{chat}` here or there."
                yield (
                    name,
                    Finding("chats", "chat-claimed-twice", message, cure, item=specs[name].chats.index(chat)),
                )

    @classmethod
    def permission_changes(
        cls, old: Resource[Any] | None, new: Resource[Any] | None, known: Known = NOTHING_KNOWN
    ) -> tuple[str, ...]:
        """What people of the scope may do more or less; a paused one grants nothing."""
        before, after = (
            None if scope is None or scope.spec.paused else scope.spec.policy(scope.ref.name, known.owners)
            for scope in (old, new)
        )
        shown = new or old
        return permission_changes(shown.ref.name, before, after, known.notes) if shown else ()


def _as_group(chat: str) -> str:
    """The id as a group's: large ones (channels and what grew out of groups) begin with -100."""
    digits = chat.removeprefix("-")
    return f"-100{digits}" if re.fullmatch(r"[1-3]\d{9}", digits) else f"-{digits}"


KIND = Kind("scope", ScopeSpec, Stage.ACCESS, folder="scopes")
