"""Self-edit: which changes of what governs an agent its session may make, and which wait for the owner.

Both states of the vault are understood and all their policies compiled; what is compared is what they mean,
not what they say. Whatever is not known to be harmless waits.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import cast

from vaultloop.components import KINDS
from vaultloop.components.cron.job import FORGOTTEN, ReminderJob
from vaultloop.components.cron.kind import CronSpec, CrontabSpec, ReminderSpec
from vaultloop.components.memory.kind import MemorySpec
from vaultloop.components.rule.kind import RuleSpec
from vaultloop.components.scope.kind import ScopeSpec
from vaultloop.components.scope.permissions import TOLD
from vaultloop.components.scope.policies import policy_of
from vaultloop.model.change import FieldChange, field_changes
from vaultloop.model.conversation import OWNER
from vaultloop.model.narrower import covers, wider_in
from vaultloop.model.overlap import meet
from vaultloop.model.policy import Audience, Policy, is_protected
from vaultloop.model.resource import AnyResource, Known, Ref, Resource
from vaultloop.model.snapshot import Snapshot
from vaultloop.model.visible import visible
from vaultloop.vault.files import Files
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.notes.loader import Loader
from vaultloop.vault.notes.location import FOLDER
from vaultloop.vault.notes.note_paths import notes_in
from vaultloop.vault.views.verdict import GOVERNS, EditedAt, Verdict
from vaultloop.vault.views.view import Refusal

# So many reminders of one scope may be open at once, beyond which a session adds none.
MOST_REMINDERS = 20

# What a kind's own sentences on permissions cover, by the keys of its notes.
_TOLD = {"scope": TOLD, "defaults": frozenset({"budget-usd-per-day", "budget-usd-per-month"})}
# So many letters of a value stand in a sentence.
_SHORT = 60

# Where new reminders lie that need nobody's consent.
REMINDERS = f"{FOLDER}/reminders/"

_MODES = ("deny", "propose", "allow")
_NAMES = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class _State:
    """One state of the vault, understood."""

    snapshot: Snapshot
    files: Files
    owners: frozenset[str]

    @cached_property
    def policies(self) -> Mapping[str, Policy]:
        """The policies of all scopes, by name."""
        found = self.snapshot.resources.items()
        scopes = [cast("Resource[ScopeSpec]", one) for ref, one in found if ref.kind == "scope"]
        return {scope.ref.name: policy_of(scope, self.owners) for scope in scopes}

    @cached_property
    def by_path(self) -> Mapping[str, AnyResource]:
        return {resource.source.path: resource for resource in self.snapshot.resources.values()}

    @cached_property
    def errors(self) -> frozenset[tuple[str, str, str]]:
        return frozenset((error.file, error.code, error.message) for error in self.snapshot.errors)

    def others(self, paths: Collection[str]) -> dict[Ref, AnyResource]:
        """What is declared elsewhere than at `paths`."""
        resources = self.snapshot.resources.items()
        return {ref: resource for ref, resource in resources if resource.source.path not in paths}


class SelfEdit:
    """Judges by design; implements `vault.views.verdict.Admission`."""

    def __init__(self, owners: Collection[str]) -> None:
        self._owners = frozenset(owners)
        self._loader = Loader(KINDS, Effort())

    def judge(
        self, before: Files, edited: EditedAt, paths: Collection[str], policy: Policy, now: datetime
    ) -> Verdict:
        """The verdict on a session's changes at `paths`: under its policy, and what its note says by now."""
        was = self._state(before)
        rights = was.policies.get(policy.scope, policy)
        case = _Case(was, self._state(edited(paths)), policy.self_edit, rights, now, self._owners)
        reminders, beyond = case.reminders(paths)
        if not case.harmless(self._state(edited(reminders)), reminders):
            reminders, beyond = (), ()
        rest = tuple(path for path in sorted(paths) if path not in (*reminders, *beyond))
        refused = tuple(Refusal(path, case.too_many) for path in beyond)
        if case.mode == "deny":
            refused += tuple(Refusal(path, case.refusal(path)) for path in rest)
            return Verdict(admitted=reminders, refused=refused)
        admitted = reminders
        if case.mode == "allow":
            work = (*reminders, *(path for path in rest if case.is_own_work(path)))
            admitted = work if case.harmless(self._state(edited(work)), work) else reminders
        proposed = tuple(path for path in rest if path not in admitted)
        if not proposed:
            return Verdict(admitted=admitted, refused=refused)
        after = self._state(edited((*admitted, *proposed)))
        permissions = tuple(_permissions(self._state(edited(admitted)), after))
        return Verdict(admitted, proposed, refused, case.why(after), permissions)

    def permissions(self, before: Files, after: Files) -> tuple[str, ...]:
        """What people may do more or less after `before` became `after`, one sentence each."""
        return tuple(_permissions(self._state(before), self._state(after)))

    def _state(self, files: Files) -> _State:
        return _State(self._loader.load(files), files, self._owners)


@dataclass(frozen=True)
class _Case:
    """The changes of one session, to be judged.

    Attributes:
        said: `self-edit` of the policy under which the session ran.
        policy: what the note of its scope says by now; if there is no valid one, that policy.
    """

    before: _State
    after: _State
    said: str
    policy: Policy
    now: datetime
    owners: frozenset[str]

    @cached_property
    def mode(self) -> str:
        """What the session's policy says, and no more than the newest version of its note does."""
        ref, snapshot = Ref("scope", self.policy.scope), self.before.snapshot
        if ref not in snapshot.resources and not (ref in snapshot.broken and self._stays_open):
            return "deny"
        return min(self.said, self.policy.self_edit, key=_MODES.index)

    @property
    def _stays_open(self) -> bool:
        # An invalid scope is closed, but for the owner's own, which keeps its last good version.
        return self.policy.audience is Audience.OWNER

    @property
    def too_many(self) -> str:
        return (
            f"the scope {self.policy.scope} has {MOST_REMINDERS} open reminders already; delete one that is"
            " not needed any more, or let a human write it"
        )

    def refusal(self, path: str) -> str:
        """Why a change is refused where nothing is proposed."""
        new = self.after.by_path.get(path)
        if new is None or not isinstance(new.spec, ReminderSpec):
            return GOVERNS
        own = self.policy.scope
        told = "" if self._speaks_to_owner else f' and `send-to: "[[{own}]]"`'
        return f'{GOVERNS}; a new reminder in {REMINDERS} with `scope: "[[{own}]]"`{told} needs nobody'

    def why(self, after: _State) -> str:
        """Why the owner is asked."""
        asked = "what governs the agent changes only with your consent"
        new = sorted(after.errors - self.before.errors)
        wrong = "".join(f" With it there is a mistake in {file}: {message}" for file, _, message in new)
        return f"The scope {self.policy.scope} has `self-edit: {self.mode}`: {asked}.{wrong}"

    def harmless(self, after: _State, paths: Collection[str]) -> bool:
        """Whether changes at `paths` leave all else that is declared, and everybody's rights, as they are."""
        own = self.policy.scope
        was, is_ = dict(self.before.policies), dict(after.policies)
        old, new = was.pop(own, None), is_.pop(own, None)
        if was != is_ or (new is not None and (old is None or wider_in(new, old))):
            return False
        same = self.before.others(paths) == after.others(paths)
        return same and after.errors <= self.before.errors

    # Reminders

    def reminders(self, paths: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Of `paths` those that are reminders of the session's own scope: within the cap, and beyond it."""
        own = [p for p in sorted(paths) if self._lies_well(p) and self._both(p, self._is_own_reminder)]
        gone = [path for path in own if path not in self.after.by_path]
        open_ones = self._open_reminders(self.before) - set(gone)
        coming, within, beyond = self._open_reminders(self.after), list(gone), []
        for path in (path for path in own if path not in gone):
            if path in coming and path not in open_ones and len(open_ones) >= MOST_REMINDERS:
                beyond.append(path)
                continue
            within.append(path)
            open_ones = open_ones | ({path} & coming)
        return tuple(within), tuple(beyond)

    def _lies_well(self, path: str) -> bool:
        """Whether a reminder may lie at `path`: where one was, or a new one where reminders lie.

        A name that programs obey is none for it.
        """
        if path in self.before.by_path:
            return True
        return path.startswith(REMINDERS) and not _is_obeyed(path)

    def _open_reminders(self, state: _State) -> frozenset[str]:
        """The paths of own reminders whose time has not passed for good."""
        return frozenset(
            resource.source.path
            for resource in state.by_path.values()
            if self._is_own_reminder(resource) and self._is_open(resource)
        )

    def _is_open(self, resource: AnyResource) -> bool:
        assert isinstance(resource.spec, ReminderSpec)
        slot = ReminderJob("", resource.ref.name, resource.source.path, resource.spec).slot
        return slot.at.astimezone(UTC) > self.now - FORGOTTEN

    def _is_own_reminder(self, resource: AnyResource) -> bool:
        spec = resource.spec
        if not isinstance(spec, ReminderSpec):
            return False
        # What others' sessions have said in the owner's chat could pass for the engine's own words.
        heard = self._own_chats | ({OWNER} if self._speaks_to_owner else set())
        if not self._people_of(spec.send_to) <= heard:
            return False
        if spec.scope is not None:
            return spec.scope == self.policy.scope
        # Without a scope it belongs to whom it is for.
        return bool(spec.send_to) and self._people_of(spec.send_to) <= self._own_chats

    # What `allow` admits

    def is_own_work(self, path: str) -> bool:
        """Whether a change concerns nothing but what the session's scope does for itself."""
        known = path in self.before.by_path
        return (known or not _is_obeyed(path)) and self._both(path, self._is_own)

    def _is_own(self, resource: AnyResource) -> bool:
        own = self.policy.scope
        match resource.spec:
            case CronSpec() as cron:
                return self._runs_own(cron)
            case CrontabSpec() as crontab:
                return bool(crontab.jobs) and all(map(self._runs_own, crontab.jobs))
            case RuleSpec() as rule:
                return set(rule.scopes) == {own}
            case MemorySpec() as memory:
                return set(memory.scopes) == {own} and self._knows(memory)
        return self._is_own_reminder(resource)

    def _runs_own(self, cron: CronSpec) -> bool:
        mounts = set(cron.mounts) <= set(self.policy.mounts)
        return cron.scope == self.policy.scope and mounts and self._tells_own(cron.send_to)

    def _knows(self, memory: MemorySpec) -> bool:
        """Whether the memory tells the scope nothing that it may not read."""
        policy, places = self.policy, [memory.path, *([memory.archive] if memory.archive else [])]
        return memory.storage == "vault" and all(
            covers((*policy.can_read, *policy.can_write), place)
            and not is_protected(place)
            and not any(meet(place, hidden) for hidden in policy.except_)
            for place in places
        )

    # Both

    def _both(self, path: str, fits: Callable[[AnyResource], bool]) -> bool:
        """Whether what the note at `path` declared and what it declares now fit; one may be absent."""
        old, new = self.before.by_path.get(path), self.after.by_path.get(path)
        if (old is None) is not (self.before.files.entry(path) is None):
            return False
        if (new is None) is not (self.after.files.entry(path) is None):
            return False
        # An `id` is whose past counts: nobody takes over another one's.
        ids = {None, old.spec.id if old else None}
        return all(map(fits, filter(None, (old, new)))) and (new is None or new.spec.id in ids)

    def _tells_own(self, send_to: Iterable[str]) -> bool:
        return self._people_of(send_to) <= self._own_chats | {OWNER}

    @property
    def _speaks_to_owner(self) -> bool:
        return self.policy.audience in (Audience.OWNER, Audience.CRON)

    @property
    def _own_chats(self) -> frozenset[str]:
        return self._people_of((*self.policy.chats, self.policy.scope))

    def _people_of(self, recipients: Iterable[str]) -> frozenset[str]:
        return frozenset(OWNER if one in self.owners else one for one in recipients)


def _is_obeyed(path: str) -> bool:
    """Whether programs obey a file of this name wherever it lies: CLAUDE.md, AGENTS.md and others."""
    return is_protected(path.removeprefix(f"{FOLDER}/"), ())


def _permissions(before: _State, after: _State) -> Iterator[str]:
    known = Known(notes_in(after.files), after.owners)
    was, is_ = before.snapshot.resources, after.snapshot.resources
    for ref in sorted(was.keys() | is_.keys()):
        old, new = was.get(ref), is_.get(ref)
        if old and new and old.spec == new.spec:
            continue
        found = _NAMES[ref.kind].spec.permission_changes(old, new, known)
        yield from map(visible, found)
        told = _TOLD.get(ref.kind, frozenset()) if found else frozenset()
        rest = [change for change in field_changes(old, new) if change.field not in told]
        if rest or not found:
            yield visible(_in_general(ref, old, new, rest))


def _in_general(
    ref: Ref, old: AnyResource | None, new: AnyResource | None, rest: Collection[FieldChange]
) -> str:
    """What is to be said of fields that no sentence on permissions covers: their names, and what is short."""
    shown = new or old
    assert shown is not None
    what = f"{ref.kind} {ref.name}{_for_whom(shown)}"
    if new is None:
        return f"- {what}"
    fields = ", ".join(map(_field, rest))
    if old is None:
        return f"+ {what}: {fields}" if fields else f"+ {what}"
    return f"~ {what}: {fields or 'moved'}"


def _for_whom(resource: AnyResource) -> str:
    spec = resource.spec
    if scope := getattr(spec, "scope", None):
        return f", under the scope {scope}"
    if not isinstance(spec, RuleSpec | MemorySpec):
        return ""
    return f", for {', '.join(spec.scopes)}" if spec.scopes else ", for all scopes"


def _field(change: FieldChange) -> str:
    """Its name and what it says now: a text below a note, and other long ones, are for the difference."""
    value = change.new
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = ", ".join(value)
    says = isinstance(value, str | int | float) and change.field != "body" and len(str(value)) <= _SHORT
    return f"{change.field} ({value})" if says else change.field
