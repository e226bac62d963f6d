"""What the engine's records say, in the shapes that the command line promises.

Reads only, so it answers whether the engine runs or not. The shapes are a contract: later keys may be
added, none changed.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from vaultloop.aio.clock import SystemClock
from vaultloop.components import KINDS
from vaultloop.components.cron.job import KINDS_OF_JOBS, Job, ReminderJob, jobs_of
from vaultloop.model.conversation import Outcome
from vaultloop.model.resource import Ref
from vaultloop.model.status import Confinement
from vaultloop.settings import Settings
from vaultloop.state.database import Database
from vaultloop.state.directory import StateDirectory
from vaultloop.state.proposals import Proposal, Proposals
from vaultloop.state.slots import PastSlot, SlotStore
from vaultloop.state.status_book import StatusBook
from vaultloop.state.turns import TurnRecord, Turns
from vaultloop.vault.git.repository import Repository

# How many past slots `crons` shows of each job.
PAST_SLOTS = 5


def overview(database: Database) -> dict[str, Any]:
    """`vaultloop status`; a reminder that is over and well is not among the resources."""
    book, gone = StatusBook(database), _reminders_done(database)
    return {
        "revision": book.revision,
        "applied": book.applied_revision,
        "push": book.push.as_json(),
        "lease": dict(book.tenancy),
        "sandbox": dict(book.sandbox),
        "attention": list(book.attention),
        "resources": [status.as_json() for status in book.statuses() if status.ref not in gone],
    }


def sandbox_text(classes: Mapping[str, str]) -> str:
    """What holds sessions in, in one line: the classes that are less than fenced stand out."""
    if not classes:
        return "not looked at yet"
    weaker = [f"{name} {word.upper()}" for name, word in classes.items() if word != Confinement.FENCED]
    if not weaker:
        return "fenced"
    return f"fenced, but {', '.join(weaker)}" if len(weaker) < len(classes) else ", ".join(weaker)


def crons(database: Database, *, count: int, start: datetime) -> list[dict[str, Any]]:
    """`vaultloop crons`: each job in force, its slots after `start` and its newest past ones.

    A row of a crontab is named `note/row`. A reminder that is over and well is not among them. What the
    jitter delays is shown for when it starts.
    """
    slots = SlotStore(database, SystemClock())
    return [
        {
            "name": job.name,
            "kind": job.kind,
            "paused": job.spec.paused,
            "timezone": str(job.zone),
            "next": [at.isoformat(timespec="minutes") for at in job.coming(count, start)],
            "past": [_past(past, job) for past in slots.past(job.uid, PAST_SLOTS)],
        }
        for job in _jobs_in_force(database)
        if not _is_done(job, slots)
    ]


def _past(past: PastSlot, job: Job) -> dict[str, Any]:
    waits = past.not_before if past.outcome is None else None
    return {
        "slot": past.slot,
        "outcome": past.outcome or "running",
        "session": past.session,
        "detail": past.detail,
        "attempts": past.attempts,
        "waits_until": waits.astimezone(job.zone).isoformat(timespec="seconds") if waits else None,
    }


def _jobs_in_force(database: Database, of: Collection[str] = KINDS_OF_JOBS) -> Iterator[Job]:
    kinds = {kind.name: kind for kind in KINDS}
    for good in StatusBook(database).last_good():
        if good.ref.kind in of and (resource := good.resource(kinds)) is not None:
            yield from jobs_of(resource)


def _is_done(job: Job, slots: SlotStore) -> bool:
    """Whether it is a reminder that was told, or whose run is done: there is nothing more to see to."""
    if not isinstance(job, ReminderJob):
        return False
    entry = slots.entry(job.uid, job.slot.name)
    return entry is not None and entry.outcome is Outcome.DONE


def _reminders_done(database: Database) -> set[Ref]:
    slots = SlotStore(database, SystemClock())
    reminders = _jobs_in_force(database, (ReminderJob.kind,))
    return {Ref(job.kind, job.name) for job in reminders if _is_done(job, slots)}


def status_text(database: Database) -> str:
    """`/status` in a chat: what needs a human first, then how many stand how."""
    found = overview(database)
    resources = found["resources"]
    stuck = [r for r in resources if r["condition"] not in ("Ready", "Suspended")]
    revisions = f"{_short(found['revision'])}, applied {_short(found['applied'])}"
    lines = [
        f"Revision {revisions}, {found['push']['state']}.",
        f"Sessions: {sandbox_text(found['sandbox'])}.",
        *found["attention"],
        *(f"{r['kind']}/{r['name']}: {r['condition']}. {r['message']}" for r in stuck),
        *_parked(database),
        f"{len(resources) - len(stuck)} of {len(resources)} declarations are as they should be.",
    ]
    return "\n".join(lines)


def _parked(database: Database) -> Iterator[str]:
    """What waits for a budget, a line for each reason: also what waits behind it in its conversation."""
    first_of: dict[str, TurnRecord] = {}
    waiting = Counter[str]()
    for record in Turns(database).unfinished():
        oldest = first_of.setdefault(record.turn.conversation, record)
        if oldest.parked:
            waiting[oldest.detail] += 1
    yield from (f"{number} waiting for a budget: {why}" for why, number in waiting.items())


def crons_text(database: Database, now: datetime) -> str:
    """`/crons` in a chat: each schedule's next slot and how the last one ended."""
    lines = []
    for cron in crons(database, count=1, start=now):
        coming = f"next {cron['next'][0]}" if cron["next"] else nothing_to_come(cron)
        past = cron["past"][0] if cron["past"] else None
        last = f", last {past['slot']} {ending(past)}" if past else ""
        lines.append(f"{cron['name']}: {coming}{last}")
    return "\n".join(lines) or "No crons run."


def nothing_to_come(cron: Mapping[str, Any]) -> str:
    """Why a job has no next slot."""
    return "paused" if cron["paused"] else "nothing to come"


def ending(past: Mapping[str, Any]) -> str:
    """How a past slot ended, for people: the outcome, and what else there is to know of it."""
    if past["waits_until"]:
        return f"waits until {past['waits_until']} for try {past['attempts']}"
    tries = f" at try {past['attempts']}" if past["attempts"] > 1 else ""
    return f"{past['outcome']}{tries}"


def _short(revision: str | None) -> str:
    return revision[:10] if revision else "none yet"


def sessions(database: Database, *, limit: int) -> list[dict[str, Any]]:
    """`vaultloop sessions`: the newest first."""
    return [_session(record) for record in Turns(database).recent(limit)]


def session(database: Database, name: str) -> dict[str, Any] | None:
    """`vaultloop sessions show`: one session with what it was asked and what it said."""
    record = Turns(database).get(name)
    if record is None:
        return None
    store = Proposals(database)
    return {
        **_session(record),
        "refused": [f"{path}: {why}" for path, why in store.refused(name) or ()],
        "proposals": [f"{one.number} ({one.state})" for one in store.of_session(name)],
        "prompt": record.turn.prompt,
        "reply": record.reply,
    }


def _session(record: TurnRecord) -> dict[str, Any]:
    return {
        "session": record.id,
        "scope": record.turn.scope,
        "trigger": str(record.turn.trigger),
        "state": str(record.state),
        "outcome": str(record.outcome) if record.outcome else None,
        "detail": record.detail,
        "attempts": record.attempt,
        "waits_until": record.not_before.isoformat(timespec="seconds") if record.not_before else None,
        "created": record.created_at.isoformat(timespec="seconds"),
        "ended": record.ended_at.isoformat(timespec="seconds") if record.ended_at else None,
        "policy": record.policy,
        "base": record.base,
        "commit": record.commit,
        "model": record.model,
        "cost_usd": record.cost_usd,
        "confinement": str(record.confinement) if record.confinement else None,
    }


def proposals(database: Database, *, limit: int) -> list[dict[str, Any]]:
    """`vaultloop proposals`: what waits for the owner, then what was decided last, the newest first."""
    store = Proposals(database)
    waiting = store.open()[::-1]
    decided = [one for one in store.recent(limit + len(waiting)) if not one.is_open]
    return [_proposal(one) for one in (*waiting, *decided[:limit])]


def proposal(settings: Settings, database: Database, number: int) -> dict[str, Any] | None:
    """`vaultloop proposals show`: one proposal with its whole difference; None if there is no such one."""
    found = Proposals(database).get(number)
    if found is None:
        return None
    repository, draft = _repository(settings), found.draft
    there = repository.has(draft.commit) and repository.has(draft.base)
    return {**_proposal(found), "diff": repository.patch(draft.base, draft.commit) if there else None}


def _proposal(found: Proposal) -> dict[str, Any]:
    draft = found.draft
    return {
        "proposal": found.number,
        "state": str(found.state),
        "scope": draft.scope,
        "session": draft.session,
        "reason": draft.reason,
        "permissions": list(draft.permissions),
        "paths": list(draft.paths),
        "commit": draft.commit,
        "base": draft.base,
        "made": found.made_at.isoformat(timespec="seconds"),
        "settled": found.settled_at.isoformat(timespec="seconds") if found.settled_at else None,
        "settled_by": found.settled_by,
        "result": found.result,
    }


def _repository(settings: Settings) -> Repository:
    folder = settings.folder
    if folder is not None and (folder / ".git").exists():
        return Repository.in_folder(folder, None)
    return Repository.bare(StateDirectory(settings.state).repository, settings.branch)
