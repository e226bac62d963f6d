"""Why a session may do something, or may not: answered from the policy that the fences are made of.

The guard, the view, what may be published and the gateway's list of hosts are asked themselves; what is found
here beyond that is the line of a note that each answer comes from.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

from vaultloop.components import KINDS
from vaultloop.components.scope.component import ScopeComponent
from vaultloop.components.scope.kind import ScopeSpec
from vaultloop.gateway import hosts
from vaultloop.model.change import Action, Change
from vaultloop.model.conversation import OWNER, Message
from vaultloop.model.errors import Denied, Stalled
from vaultloop.model.glob import matches
from vaultloop.model.policy import Policy
from vaultloop.model.resource import Inherited, Ref, Resource, Source
from vaultloop.vault.files import Files
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.notes import frontmatter
from vaultloop.vault.notes.loader import Loader
from vaultloop.vault.notes.protected import LookAlikes, Protected, is_declared_at, protected_in
from vaultloop.vault.views.publish import refusal
from vaultloop.vault.views.reading import is_note, may_be_seen
from vaultloop.vault.views.scan import bad_name, too_deep

# The tools of the agent program that need nothing but a view, those that need `can-write`, and those that
# need an ability.
READING_TOOLS = ("Read", "Grep", "Glob")
WRITING_TOOLS = ("Write", "Edit")
TOOLS_BY_ABILITY = {"web-search": "WebSearch", "web-fetch": "WebFetch", "shell": "Bash"}


class What(StrEnum):
    """What is asked for."""

    READ = "read"
    WRITE = "write"
    TOOL = "tool"
    RPC = "rpc"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know.

    Attributes:
        chat, person: who speaks where; without a person it is one who may.
        scope: by name, in place of a chat.
        what, name: may it read this path, use this tool and so on; without them, what it may do at all.
    """

    chat: str | None = None
    person: str | None = None
    scope: str | None = None
    what: What | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Ground:
    """A line of a note, and what stands in it; `line` counts from 1."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.text}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the fences do, and the lines of notes because of which they do it.

    Attributes:
        why: more words where the lines do not speak for themselves.
        policy: None where nobody is let in.
    """

    allowed: bool
    why: str
    grounds: tuple[Ground, ...]
    revision: str
    policy: Policy | None = None

    def as_json(self) -> dict[str, Any]:
        """The shape that `vaultloop explain --json` promises."""
        policy = self.policy
        return {
            "allowed": self.allowed,
            "why": self.why,
            "grounds": [{"file": g.file, "line": g.line, "text": g.text} for g in self.grounds],
            "revision": self.revision,
            "scope": policy.scope if policy else None,
            "class": str(policy.audience) if policy else None,
            "policy": policy.id if policy else None,
        }


# Whether it is allowed, more words, and the lines.
_Finding = tuple[bool, str, tuple[Ground, ...]]


class Explanation:
    """One state of the vault, ready to be asked."""

    def __init__(self, files: Files, owners: Collection[str]) -> None:
        """Read what `files` declare; `owners` are the ids of the vault's owners."""
        self._files = files
        self._snapshot = Loader(KINDS, Effort()).load(files)
        self._owners = frozenset(owners)
        self._protected = protected_in(files)
        self._scopes: dict[str, Resource[ScopeSpec]] = {
            ref.name: cast("Resource[ScopeSpec]", resource)
            for ref, resource in self._snapshot.resources.items()
            if ref.kind == "scope"
        }

    async def answer(self, question: Question) -> Answer:
        """What a session that this chat, person or scope starts may do."""
        guard = ScopeComponent(self._owners)
        stalled = {}
        for scope in self._scopes.values():
            try:
                await guard.apply(Change(Action.CREATE, None, scope))
            except Stalled as error:
                stalled[scope.ref.name] = str(error)
        try:
            policy = self._policy(question, guard)
        except Denied as error:
            grounds = tuple(self._in_the_way(question, guard))
            return Answer(False, str(error), grounds, self._snapshot.revision)
        reasons = _Reasons(self._scopes[policy.scope], policy, self._protected, self._defaults, self._files)
        allowed, why, grounds = reasons.to(question)
        if policy.scope in stalled:
            why = f"{why} {stalled[policy.scope]}".strip()
        return Answer(allowed, why, grounds, self._snapshot.revision, policy)

    @property
    def _defaults(self) -> Resource[Any] | None:
        found = (each for ref, each in self._snapshot.resources.items() if ref.kind == "defaults")
        return next(found, None)

    def _policy(self, question: Question, guard: ScopeComponent) -> Policy:
        if question.scope is not None:
            if Ref("scope", question.scope) in self._snapshot.broken:
                raise Denied(f"The note of the scope `{question.scope}` has an error, so it is closed.")
            return guard.policy(question.scope)
        chat = question.chat or OWNER
        (scope,) = claiming if len(claiming := guard.claiming(chat)) == 1 else (None,)
        person = question.person
        if person is None:
            # Somebody who may speak, if anybody may.
            person = (
                OWNER if chat == OWNER or scope is None else next(iter(guard.people(scope.ref.name)), OWNER)
            )
        return guard.admit_openly(Message("explain", chat, "0", person, "", datetime.now(UTC)))

    def _in_the_way(self, question: Question, guard: ScopeComponent) -> Iterator[Ground]:
        """The lines because of which nobody, or not this person, is let in."""
        if question.scope is not None:
            named = self._scopes.get(question.scope)
            if named is not None:
                yield from _lines(named.source, "paused" if named.spec.paused else "mcp-servers")
            yield from self._errors(question.scope)
            return
        claiming = guard.claiming(question.chat or OWNER)
        for scope in claiming:
            declared = self._scopes[scope.ref.name]
            if len(claiming) > 1:
                yield from _lines(declared.source, "chats")
            elif scope.spec.paused:
                yield from _lines(declared.source, "paused" if declared.spec.paused else "mcp-servers")
            else:
                yield from _lines(declared.source, "people") or _lines(declared.source, "chats")
        if not claiming:
            for ref, path in self._snapshot.broken.items():
                if ref.kind == "scope" and self._names_chat(path, question.chat or OWNER):
                    yield from self._errors(ref.name)

    def _names_chat(self, path: str, chat: str) -> bool:
        """Whether a note with an error would have this chat, as far as it can be read."""
        entry = self._files.entry(path)
        text = self._files.read(entry).decode(errors="replace") if entry else ""
        found = frontmatter.parse(path, text).properties.get("chats")
        listed = found.value if found and isinstance(found.value, list) else [found.value] if found else []
        named = {str(item).split(maxsplit=1)[0] for item in listed if str(item).strip()}
        own = {OWNER, *self._owners}
        return not named.isdisjoint(own if chat in own else {chat})

    def _errors(self, scope: str) -> Iterator[Ground]:
        path = self._snapshot.broken.get(Ref("scope", scope))
        for problem in self._snapshot.problems:
            if path is not None and problem.file == path and problem.is_error:
                yield Ground(path, problem.line, problem.message)


class _Reasons:
    """The policy of one scope, with the lines that it was compiled from."""

    def __init__(
        self,
        scope: Resource[ScopeSpec],
        policy: Policy,
        protected: Protected,
        defaults: Resource[Any] | None,
        files: Files,
    ) -> None:
        self._source = scope.source
        self._policy = policy
        self._protected = protected
        self._defaults = defaults
        self._files = files

    def to(self, question: Question) -> _Finding:
        match question.what:
            case What.READ:
                return self._reading(question.name)
            case What.WRITE:
                return self._writing(question.name)
            case What.TOOL:
                return self._tool(question.name)
            case What.RPC:
                return self._rpc(question.name)
            case What.HOST:
                return self._host(question.name)
        return True, "", tuple(self._everything())

    # Files

    def _reading(self, path: str) -> _Finding:
        policy = self._policy
        if not policy.reads(path):
            return False, *self._not_granted(path, "can-read", "can-write")
        if not may_be_seen(path, policy):
            return False, f"No session ever sees this: {_unfit(path)}.", ()
        granted = tuple(self._granting(path, "can-read", "can-write"))
        if not is_note(path) and policy.attachments == "none":
            return False, "It is no note, and attachments are left out.", self._lines("attachments")
        if not is_note(path) and policy.attachments == "on-demand":
            return (
                True,
                "It is there if what the session is asked names it.",
                (*granted, *self._lines("attachments")),
            )
        return True, "", granted

    def _writing(self, path: str) -> _Finding:
        policy, why = self._policy, refusal(path, self._policy, self._protected)
        if not policy.writes(path):
            told, grounds = self._not_granted(path, "can-write")
            return False, f"{told} {_AT_PUBLISH}", grounds
        granted = tuple(self._granting(path, "can-write"))
        if not why and (twin := self._twin(path)):
            return False, f"Refused: its name cannot be told from `{twin}`. {_AT_PUBLISH}", granted
        if path in self._protected:
            return self._self_edit(path, why, granted)
        if why:
            return False, f"Refused: {why}. {_AT_PUBLISH}", granted
        if unfit := _unfit(path):
            return False, f"Refused: {unfit}. {_AT_PUBLISH}", granted
        return True, "", granted

    def _twin(self, path: str) -> str | None:
        """What lies in the vault under a name that looks the same, as publishing compares them."""
        if self._files.entry(path) is not None:
            return None
        place = ""
        for name in path.split("/"):
            start = f"{place}/" if place else ""
            below = self._files.under(place)
            if twin := LookAlikes(entry.path.removeprefix(start).partition("/")[0] for entry in below).of(
                name
            ):
                return f"{start}{twin}"
            place = f"{start}{name}"
        return None

    def _self_edit(self, path: str, why: str, granted: tuple[Ground, ...]) -> _Finding:
        mode = self._policy.self_edit
        grounds = self._lines("self-edit") or (self._absent("self-edit", f"so it is `{mode}`"),)
        if why:
            return False, f"Refused: {why}. {_AT_PUBLISH}", grounds
        but = " But a reminder of this scope needs nobody's consent." if is_declared_at(path) else ""
        if mode == "deny":
            return False, f"Refused: it governs the agent.{but} {_AT_PUBLISH}", grounds
        if mode == "propose":
            return False, f"It governs the agent: a change of it becomes a proposal to you.{but}", grounds
        harmless = "Taken where it widens nothing and concerns this scope alone, else a proposal to you."
        return True, f"It governs the agent. {harmless}", (*granted, *grounds)

    def _not_granted(self, path: str, *keys: str) -> tuple[str, tuple[Ground, ...]]:
        granted = tuple(self._granting(path, *keys))
        hidden = tuple(self._hiding(path))
        if granted and hidden:
            return "", hidden
        listed = tuple(ground for key in keys for ground in self._lines(key))
        grounds = listed or (self._absent(keys[0], "so it grants nothing"),)
        return f"The scope `{self._policy.scope}` does not grant it.", grounds

    def _granting(self, path: str, *keys: str) -> Iterator[Ground]:
        """The lines that name a path, each once."""
        for key in keys:
            patterns = self._policy.can_read if key == "can-read" else self._policy.can_write
            yield from self._items(key, patterns, (p for p in patterns if matches(p, path)))

    def _hiding(self, path: str) -> Iterator[Ground]:
        patterns = self._policy.except_
        yield from self._items("except", patterns, (p for p in patterns if self._policy.hidden_by(p, path)))

    # Tools and the world outside

    def _tool(self, name: str) -> _Finding:
        by_tool = {tool.casefold(): ability for ability, tool in TOOLS_BY_ABILITY.items()}
        ability = name if name in TOOLS_BY_ABILITY else by_tool.get(name.casefold())
        if ability is not None:
            granted = ability in self._policy.abilities
            items = self._items("abilities", self._policy.abilities, (ability,) if granted else ())
            grounds = tuple(items) or self._lines("abilities")
            if granted and ability == "web-fetch":
                listed = self._lines("hosts")
                why = "It fetches from the hosts of the scope alone."
                return (
                    bool(listed),
                    why,
                    (*grounds, *(listed or (self._absent("hosts", "so there are none"),))),
                )
            return granted, "", grounds or (self._absent("abilities", "so none is granted"),)
        if name.casefold() in map(str.casefold, READING_TOOLS):
            return (
                True,
                "It sees the files of `can-read` and `can-write`, and no others.",
                self._lines("can-read"),
            )
        if name.casefold() in map(str.casefold, WRITING_TOOLS):
            why = "What it may publish, `can-write` says."
            writes = bool(self._policy.can_write)
            return writes, why, self._lines("can-write") or (self._absent("can-write", "so it is left out"),)
        if name.startswith("mcp__"):
            why = "No component yet runs tool servers in this version of vaultloop."
            return False, why, self._lines("mcp-servers")
        return False, f"Sessions have no tool `{name}`.", ()

    def _rpc(self, method: str) -> _Finding:
        why = f"No component yet serves Telegram methods such as `{method}` in this version of vaultloop."
        return False, why, (*self._lines("telegram-may"), *self._lines("telegram-chats"))

    def _host(self, name: str) -> _Finding:
        try:
            host = hosts.asked_for(name) if ":" in name else hosts.plain(name)
        except hosts.Unacceptable as error:
            return False, f"{error}.".capitalize(), ()
        listed = self._policy.hosts
        covering = [pattern for pattern in listed if hosts.covered(host, (pattern,))]
        if covering:
            why = "At port 443, by its own name, and at public addresses only."
            return True, why, tuple(self._items("hosts", listed, covering))
        return False, "", self._lines("hosts") or (self._absent("hosts", "so it reaches none"),)

    # Everything

    def _everything(self) -> Iterator[Ground]:
        """Each key that grants or limits, where it stands."""
        for name, field in ScopeSpec.model_fields.items():
            key = field.alias or name
            if key in _NO_RIGHTS:
                continue
            if lines := self._lines(key):
                yield from lines
            elif any(isinstance(mark, Inherited) for mark in field.metadata) and self._defaults:
                yield from _lines(self._defaults.source, key)
        if not self._lines("self-edit"):
            yield self._absent("self-edit", f"so it is `{self._policy.self_edit}`")

    # Lines

    def _lines(self, key: str) -> tuple[Ground, ...]:
        return _lines(self._source, key)

    def _items(self, key: str, values: Collection[str], wanted: Iterable[str]) -> Iterator[Ground]:
        note = frontmatter.parse(self._source.path, self._source.text)
        found = note.properties.get(key)
        for value in dict.fromkeys(wanted):
            line = found.place.line if found else 1
            if found and len(found.items) == len(values):
                line = found.items[list(values).index(value)].line
            yield Ground(self._source.path, line, f"{key}: {value}")

    def _absent(self, key: str, so: str) -> Ground:
        return Ground(self._source.path, self._source.lines.get("kind", 1), f"no `{key}`, {so}")


_AT_PUBLISH = (
    "A session may try it in its own folder; it is refused when that is published, and the reply says so."
)

# Keys that neither grant nor limit.
_NO_RIGHTS = frozenset({"id", "description", "body", "model", "conversation", "answers"})


def _unfit(path: str) -> str:
    """Why no view holds such a path; empty if one may."""
    return next(filter(None, map(bad_name, path.split("/"))), "") or too_deep(path)


def _lines(source: Source, key: str) -> tuple[Ground, ...]:
    """Where a key stands in a note, and what it says; empty where it does not."""
    found = frontmatter.parse(source.path, source.text).properties.get(key)
    if found is None or found.value is None:
        return ()
    value = ", ".join(map(str, found.value)) if isinstance(found.value, list) else str(found.value)
    return (Ground(source.path, found.place.line, f"{key}: {value}"),)
