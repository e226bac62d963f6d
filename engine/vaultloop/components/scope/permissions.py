"""What a changed scope allows more (`+`) or less (`-`), in sentences for its owner."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vaultloop.model.fields import duration_text
from vaultloop.model.resource import Resource

if TYPE_CHECKING:
    from vaultloop.components.scope.kind import ScopeSpec

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
_SELF_EDIT = {"deny": 0, "propose": 1, "allow": 2}


def permission_changes(
    old: "Resource[ScopeSpec] | None", new: "Resource[ScopeSpec] | None"
) -> tuple[str, ...]:
    """The sentences, losses and gains of one field together; None stands for a scope that is not there.

    A paused scope grants nothing.
    """
    shown = new or old
    if shown is None:
        return ()
    before, after = _in_force(old), _in_force(new)
    return tuple(f"{shown.ref.name}: {change}" for change in _changes(before, after))


def _in_force(scope: "Resource[ScopeSpec] | None") -> "ScopeSpec | None":
    return None if scope is None or scope.spec.paused else scope.spec


def _changes(before: "ScopeSpec | None", after: "ScopeSpec | None") -> Iterator[str]:
    for field, verb in _GRANTS.items():
        yield from _listed(verb, _values(before, field), _values(after, field))
    # What is hidden is a grant turned round: hiding less allows more.
    yield from _listed("reads and writes", _values(after, "except_"), _values(before, "except_"))
    if before is None or after is None:
        return
    for field, unit in _LIMITS.items():
        yield from _limited(unit, getattr(before, field), getattr(after, field))
    if before.stop_after != after.stop_after:
        sign = "+" if after.stop_after > before.stop_after else "-"
        yield f"{sign} {duration_text(after.stop_after)} a session"
    yield from _self_edit(before.self_edit, after.self_edit)


def _values(spec: "ScopeSpec | None", field: str) -> tuple[str, ...]:
    values: tuple[str, ...] | None = None if spec is None else getattr(spec, field)
    return values or ()


def _listed(verb: str, before: tuple[str, ...], after: tuple[str, ...]) -> Iterator[str]:
    yield from (f"- {verb} {gone}" for gone in dict.fromkeys(before) if gone not in after)
    yield from (f"+ {verb} {added}" for added in dict.fromkeys(after) if added not in before)


def _limited(unit: str, before: Any, after: Any) -> Iterator[str]:
    if before == after:
        return
    if after is None:
        yield f"+ any number of {unit}"
    else:
        yield f"{'+' if before is not None and after > before else '-'} {after:g} {unit}"


def _self_edit(before: str | None, after: str | None) -> Iterator[str]:
    if before == after:
        return
    # What a scope without the key does depends on its chats; named rather than judged.
    rank = _SELF_EDIT.get(after or "deny", 0) - _SELF_EDIT.get(before or "deny", 0)
    yield f"{'-' if rank < 0 or after == 'deny' else '+'} edits of agent/: {after or 'as is usual here'}"
