"""Whether one policy allows nothing that another one does not, field by field.

It errs to one side only: what cannot be compared counts as wider.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import eq
from typing import Any

from vaultloop.model.conversation import ANYONE
from vaultloop.model.glob import matches, normalised
from vaultloop.model.policy import Policy

_ATTACHMENTS = ("none", "on-demand", "all")
_SELF_EDIT = ("deny", "propose", "allow")


def wider_in(new: Policy, old: Policy) -> tuple[str, ...]:
    """The fields in which `new` may allow something that `old` does not."""
    return tuple(name for name, within in RULES.items() if not within(new, old))


def covers(patterns: Iterable[str], wanted: str) -> bool:
    """Whether every file that `wanted` names is named by one of `patterns` alone."""
    wanted = normalised(wanted)
    while wanted.endswith("/**"):
        wanted = wanted.removesuffix("/**")
    return not wanted or any(_covers(normalised(pattern), wanted) for pattern in patterns)


def _covers(pattern: str, wanted: str) -> bool:
    while pattern.endswith("/**"):
        pattern = pattern.removesuffix("/**")
    if pattern in ("**", wanted):
        return True
    if _is_plain(wanted):
        return matches(pattern, wanted)
    # A folder means all below it.
    return bool(pattern) and _is_plain(pattern) and wanted.startswith(f"{pattern}/")


def _is_plain(pattern: str) -> bool:
    return not any(letter in pattern for letter in "*?[")


Rule = Callable[[Policy, Policy], bool]


def _field(name: str, within: Callable[[Any, Any], bool]) -> Rule:
    return lambda new, old: within(getattr(new, name), getattr(old, name))


def _listed(new: Iterable[str], old: Iterable[str]) -> bool:
    return set(new) <= set(old)


def _people(new: Iterable[str], old: Iterable[str]) -> bool:
    return ANYONE in set(old) or _listed(new, old)


def _hidden(new: Iterable[str], old: Iterable[str]) -> bool:
    # Exceptions are a grant turned round.
    return _listed(old, new)


def _limited(new: Any, old: Any) -> bool:
    # No limit is the widest one.
    return old is None or (new is not None and bool(new <= old))


def _placed(new: str | None, old: str | None) -> bool:
    return new in (None, old)


def _ranked(ranks: tuple[str, ...]) -> Callable[[str, str], bool]:
    return lambda new, old: new in ranks and old in ranks and ranks.index(new) <= ranks.index(old)


def _reads(new: Policy, old: Policy) -> bool:
    # What may be written may be read.
    granted = (*old.can_read, *old.can_write)
    return all(covers(granted, pattern) for pattern in (*new.can_read, *new.can_write))


def _writes(new: Policy, old: Policy) -> bool:
    return all(covers(old.can_write, pattern) for pattern in new.can_write)


_SETS = ("chats", "mounts", "abilities", "mcp_servers", "telegram_may", "telegram_chats", "hosts", "commands")
_LIMITS = (
    *("max_steps", "stop_after", "budget_usd_per_run", "budget_usd_per_day", "budget_usd_per_month"),
    "messages_per_person_per_hour",
)
# Texts and choices: one is not less than another.
_SAME = ("scope", "audience", "conversation", "model", "instructions")

RULES: Mapping[str, Rule] = {
    **{name: _field(name, eq) for name in _SAME},
    **{name: _field(name, _listed) for name in _SETS},
    **{name: _field(name, _limited) for name in _LIMITS},
    "people": _field("people", _people),
    "can_read": _reads,
    "can_write": _writes,
    "except_": _field("except_", _hidden),
    "attachments": _field("attachments", _ranked(_ATTACHMENTS)),
    "self_edit": _field("self_edit", _ranked(_SELF_EDIT)),
    "files_to": _field("files_to", _placed),
}
