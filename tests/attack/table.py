"""The table of a campaign: for each case what stopped it, on each kind of machine and for each scope."""

import re
from collections.abc import Iterable, Mapping, Sequence

from attack.campaign import Findings, Profile
from attack.hostile.__main__ import CASES
from attack.hostile.catalogue import Case
from attack.hostile.gateway import GATEWAY
from attack.hostile.limits import LIMITS
from attack.hostile.processes import ORPHANS, SIGNALS
from attack.hostile.publishing import PUBLISH
from attack.hostile.sockets import SOCKETS
from attack.session import Outcome, Verdict

# What the columns say of what is no errno.
ESCAPED, BROKEN, RESIDUAL, GRANTED, REFUSED = "ESCAPED", "BROKEN", "residual", "granted", "refused"

_ERRNO = re.compile(r"E[A-Z0-9]{2,}")
_STATUS = re.compile(r"refused: (\d{3})")


def layer(case: Case, verdict: Verdict, profile: Profile) -> str:
    """What stopped it: a layer of the fence.

    The kernel does not say which of its layers refused a call, so that this follows from the kind of case
    and the errno that each layer gives.
    """
    if verdict.outcome is not Outcome.STOPPED:
        return ""
    errno = verdict.what if _ERRNO.fullmatch(verdict.what) else ""
    by_subject = {
        ORPHANS: "supervisor",
        LIMITS: "limits",
        GATEWAY: "gateway",
        PUBLISH: "publishing",
        SOCKETS: "call filter" if errno in ("EPERM", "ENOSYS") else "connect guard, call filter",
        SIGNALS: "Landlock" if (profile.abi or 6) >= 6 else "signal guard",
    }
    if case.subject in (GATEWAY, PUBLISH) and errno:
        return "Landlock, call filter" if case.subject == PUBLISH else "connect guard"
    if found := by_subject.get(case.subject):
        return found
    if errno in ("EPERM", "ENOSYS", "ENOTSUP"):
        return "call filter"
    return "Landlock" if errno in ("EACCES", "EXDEV") else "clean cell"


def mark(verdict: Verdict) -> str:
    """A verdict in a column: an errno, a status, or a word."""
    words = {
        Outcome.ESCAPED: ESCAPED,
        Outcome.BROKEN: BROKEN,
        Outcome.RESIDUAL: RESIDUAL,
        Outcome.GRANTED: GRANTED,
        Outcome.REFUSED: REFUSED,
    }
    if word := words.get(verdict.outcome):
        return word
    if _ERRNO.fullmatch(verdict.what):
        return verdict.what
    if status := _STATUS.fullmatch(verdict.what):
        return status[1]
    if "held for the owner" in verdict.what:
        return "held"
    return "ended" if "was ended" in verdict.what else "stopped"


def lines(findings: Sequence[Findings]) -> Iterable[str]:
    """The whole table, and what it comes to; the last line is `N cases, N escapes`."""
    profiles = list(dict.fromkeys(found.profile.name for found in findings))
    rows = [("case", "stopped by", *profiles)]
    for name, case in CASES.items():
        of_case = [found for found in findings if name in found.verdicts]
        layers = dict.fromkeys(layer(case, found.verdicts[name], found.profile) for found in of_case)
        columns = (_column(name, [f for f in of_case if f.profile.name == profile]) for profile in profiles)
        rows.append((name, ", ".join(filter(None, layers)), *columns))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield from _notes(findings)
    escapes = sum(len(found.escapes) for found in findings)
    yield f"{len(CASES)} cases, {escapes} escapes"


def _column(name: str, findings: Sequence[Findings]) -> str:
    """One mark if it is the same for all scopes, else one for each kind."""
    marks: dict[str, str] = {}
    for found in findings:
        said = mark(found.verdicts[name])
        marks[said] = marks.get(said, "") + found.scope[0]
    if len(marks) == 1:
        return next(iter(marks))
    return " ".join(f"{scopes}:{said}" for said, scopes in marks.items())


def _notes(findings: Sequence[Findings]) -> Iterable[str]:
    yield ""
    yield "Where scopes differ their first letters say which (o owner, g group, p public, c cron)."
    for found in findings:
        if found.refused:
            yield f"{found.profile.name}, {found.scope}: refused as a class. {found.refused.splitlines()[0]}"
    residuals: Mapping[str, str] = {name: case.residual for name, case in CASES.items() if case.residual}
    for name, residual in residuals.items():
        seen = [found.scope for found in findings if _is(found, name, Outcome.RESIDUAL)]
        if seen:
            yield f"residual {name}: {residual} ({', '.join(dict.fromkeys(seen))})"
    for found in findings:
        where = f"{found.profile.name}, {found.scope}"
        for complaint in found.failed:
            yield f"FAILED {where}: {complaint}"
        for name, verdict in found.escapes.items():
            yield f"{str(verdict.outcome).upper()} {where}: {name}: {verdict.what}"


def _is(found: Findings, name: str, outcome: Outcome) -> bool:
    verdict = found.verdicts.get(name)
    return verdict is not None and verdict.outcome is outcome
