"""What a changed scope allows more (`+`) or less (`-`), in sentences for its owner."""

from collections.abc import Collection, Iterator
from functools import cache
from typing import Any, Protocol

from vaultloop.model.fields import duration_text
from vaultloop.model.glob import matches
from vaultloop.model.narrower import covers
from vaultloop.model.policy import Audience, Policy

# What a list grants, in the words of a sentence: `owner: + reads personal/**`.
_GRANTS = {
    "chats": "covers chat",
    "people": "answers",
    "can_read": "reads",
    "can_write": "writes",
    "mounts": "uses the mount",
    "abilities": "may use",
    "mcp_servers": "may use the tools of",
    "telegram_may": "on Telegram may",
    "telegram_chats": "on Telegram in chat",
    "hosts": "reaches",
    "commands": "may say",
}
# Limits: no value is the widest.
_LIMITS = {
    "budget_usd_per_run": "USD a session",
    "budget_usd_per_day": "USD a day",
    "budget_usd_per_month": "USD a month",
    "messages_per_person_per_hour": "messages a person and hour",
    "max_steps": "steps",
}
# The keys of a note that these sentences cover.
TOLD = frozenset(
    {"except", "attachments", "stop-after", "self-edit"}
    | {name.replace("_", "-") for name in (*_GRANTS, *_LIMITS)}
)

# From the narrowest to the widest.
_SELF_EDIT = ("deny", "propose", "allow")
_ATTACHMENTS = ("none", "on-demand", "all")
_CLASSES = {
    Audience.OWNER: "is yours alone now",
    Audience.CRON: "is for schedules only now",
    Audience.GROUP: "is a group's now",
    Audience.PUBLIC: "is public now",
}


class Count(Protocol):
    """The end of a sentence on a pattern: for how many notes it makes a difference."""

    def __call__(self, pattern: str, *, gained: bool) -> str: ...


def permission_changes(
    name: str, before: Policy | None, after: Policy | None, notes: Collection[str] | None = None
) -> tuple[str, ...]:
    """The sentences, losses and gains of one field together; None stands for a scope that grants nothing.

    `notes` are those of the vault; with them each path says for how many of them it makes a difference.
    """
    return tuple(f"{name}: {change}" for change in _changes(before, after, notes))


def _changes(before: Policy | None, after: Policy | None, notes: Collection[str] | None) -> Iterator[str]:
    if after and (before is None or before.audience is not after.audience):
        yield _CLASSES[after.audience]
    for field, verb in _GRANTS.items():
        yield from _listed(
            verb, _values(before, field), _values(after, field), _counts(field, before, after, notes)
        )
    if after is None:
        return
    if before is None:
        yield from _beginning(after)
        return
    yield from _hidden(before.except_, after.except_, _counts("except_", before, after, notes))
    yield from _ranked("attachments", _ATTACHMENTS, before.attachments, after.attachments)
    for field, unit in _LIMITS.items():
        yield from _limited(unit, getattr(before, field), getattr(after, field))
    if before.stop_after != after.stop_after:
        sign = "+" if after.stop_after > before.stop_after else "-"
        yield f"{sign} {duration_text(after.stop_after)} a session"
    yield from _ranked("edits of agent/", _SELF_EDIT, before.self_edit, after.self_edit)


def _beginning(new: Policy) -> Iterator[str]:
    """What a scope that granted nothing before may do, beyond what it lists."""
    yield from _ranked("attachments", _ATTACHMENTS, "none", new.attachments)
    limits = {unit: getattr(new, field) for field, unit in _LIMITS.items()}
    yield from (f"+ at most {limit:g} {unit}" for unit, limit in limits.items() if limit is not None)
    if unlimited := [unit for unit, limit in limits.items() if limit is None]:
        yield f"+ any number of {', '.join(unlimited)}"
    yield f"+ {duration_text(new.stop_after)} a session"
    yield from _ranked("edits of agent/", _SELF_EDIT, "deny", new.self_edit)


def _hidden(before: tuple[str, ...], after: tuple[str, ...], count: Count) -> Iterator[str]:
    """The sentences on `except`, a grant turned round: hiding less allows more.

    A pattern that others cover makes no difference.
    """
    more = tuple(one for one in after if one in before or not covers(before, one))
    less = tuple(one for one in before if one in after or not covers(after, one))
    yield from _listed("reads and writes", more, less, count)


def _values(policy: Policy | None, field: str) -> tuple[str, ...]:
    values: tuple[str, ...] = () if policy is None else getattr(policy, field)
    return values


def _listed(verb: str, before: tuple[str, ...], after: tuple[str, ...], count: Count) -> Iterator[str]:
    yield from (
        f"- {verb} {gone}{count(gone, gained=False)}" for gone in dict.fromkeys(before) if gone not in after
    )
    yield from (
        f"+ {verb} {added}{count(added, gained=True)}"
        for added in dict.fromkeys(after)
        if added not in before
    )


def _counts(field: str, before: Policy | None, after: Policy | None, notes: Collection[str] | None) -> Count:
    """How many notes are gained or lost through a pattern of this field, where that can be told."""
    if notes is None or field not in ("can_read", "can_write", "except_"):
        return _uncounted

    def may(policy: Policy | None, note: str) -> bool:
        if policy is None:
            return False
        return policy.writes(note) if field == "can_write" else policy.reads(note)

    @cache
    def differing(*, gained: bool) -> list[str]:
        # Once for all patterns of a field: a vault has many notes.
        less, more = (before, after) if gained else (after, before)
        return [note for note in notes if may(more, note) and not may(less, note)]

    def count(pattern: str, *, gained: bool) -> str:
        number = sum(matches(pattern, note) for note in differing(gained=gained))
        return f" ({number} note)" if number == 1 else f" ({number} notes)"

    return count


def _uncounted(pattern: str, *, gained: bool) -> str:
    del pattern, gained
    return ""


def _limited(unit: str, before: Any, after: Any) -> Iterator[str]:
    """The sentence on a limit that changed; None stands for no limit."""
    if before == after:
        return
    if after is None:
        yield f"+ any number of {unit}"
    else:
        yield f"{'+' if before is not None and after > before else '-'} at most {after:g} {unit}"


def _ranked(what: str, order: tuple[str, ...], before: str, after: str) -> Iterator[str]:
    if before != after:
        yield f"{'+' if order.index(after) > order.index(before) else '-'} {what}: {after}"
