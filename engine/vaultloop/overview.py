"""What the engine's records say, in the shapes that the command line promises.

Reads only, so it answers whether the engine runs or not. The shapes are a contract: later keys may be
added, none changed.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from vaultloop.aio.clock import SystemClock
from vaultloop.components import KINDS
from vaultloop.components.cron.kind import CronSpec
from vaultloop.components.cron.schedule import Schedule
from vaultloop.settings import Settings
from vaultloop.state.database import Database
from vaultloop.state.directory import StateDirectory
from vaultloop.state.slots import SlotStore
from vaultloop.state.status_book import StatusBook
from vaultloop.state.turns import TurnRecord, Turns
from vaultloop.vault.repository import Repository
from vaultloop.vault.signing import Signer, author_class

# How many past slots `crons` shows of each job.
PAST_SLOTS = 5


def overview(database: Database) -> dict[str, Any]:
    """`vaultloop status`."""
    book = StatusBook(database)
    return {
        "revision": book.revision,
        "applied": book.applied_revision,
        "push": book.push.as_json(),
        "sandbox": book.sandbox,
        "attention": list(book.attention),
        "resources": [status.as_json() for status in book.statuses()],
    }


def crons(database: Database, *, count: int, start: datetime) -> list[dict[str, Any]]:
    """`vaultloop crons`: each cron in force, its slots after `start` and its newest past ones."""
    slots = SlotStore(database, SystemClock())
    return [
        {
            "name": name,
            "timezone": spec.timezone,
            "next": _coming(spec, count, start),
            "past": [
                {"slot": past.slot, "outcome": past.outcome or "running", "session": past.session}
                for past in slots.past(uid, PAST_SLOTS)
            ],
        }
        for name, uid, spec in _crons_in_force(database)
    ]


def _crons_in_force(database: Database) -> Iterator[tuple[str, str, CronSpec]]:
    kinds = {kind.name: kind for kind in KINDS}
    for good in StatusBook(database).last_good():
        resource = good.resource(kinds)
        if resource is not None and isinstance(resource.spec, CronSpec):
            yield resource.ref.name, resource.uid, resource.spec


def _coming(spec: CronSpec, count: int, start: datetime) -> list[str]:
    if spec.paused:
        return []
    zone = ZoneInfo(spec.timezone)
    coming = islice(Schedule.parse(spec.schedule).slots(start, zone), count)
    return [slot.at.astimezone(zone).isoformat(timespec="minutes") for slot in coming]


def status_text(database: Database) -> str:
    """`/status` in a chat: what needs a human first, then how many stand how."""
    found = overview(database)
    resources = found["resources"]
    stuck = [r for r in resources if r["condition"] not in ("Ready", "Suspended")]
    revisions = f"{_short(found['revision'])}, applied {_short(found['applied'])}"
    lines = [
        f"Revision {revisions}, {found['push']['state']}.",
        f"Sessions are {found['sandbox'].upper()}.",
        *found["attention"],
        *(f"{r['kind']}/{r['name']}: {r['condition']}. {r['message']}" for r in stuck),
        f"{len(resources) - len(stuck)} of {len(resources)} declarations are as they should be.",
    ]
    return "\n".join(lines)


def crons_text(database: Database, now: datetime) -> str:
    """`/crons` in a chat: each schedule's next slot and how the last one ended."""
    lines = []
    for cron in crons(database, count=1, start=now):
        coming = f"next {cron['next'][0]}" if cron["next"] else "paused"
        past = cron["past"][0] if cron["past"] else None
        lines.append(
            f"{cron['name']}: {coming}" + (f", last {past['slot']} {past['outcome']}" if past else "")
        )
    return "\n".join(lines) or "No crons run."


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
    return {**_session(record), "prompt": record.turn.prompt, "reply": record.reply}


def _session(record: TurnRecord) -> dict[str, Any]:
    return {
        "session": record.id,
        "scope": record.turn.scope,
        "trigger": str(record.turn.trigger),
        "state": str(record.state),
        "outcome": str(record.outcome) if record.outcome else None,
        "detail": record.detail,
        "created": record.created_at.isoformat(timespec="seconds"),
        "ended": record.ended_at.isoformat(timespec="seconds") if record.ended_at else None,
        "policy": record.policy,
        "base": record.base,
        "commit": record.commit,
        "model": record.model,
        "cost_usd": record.cost_usd,
        "confinement": "UNCONFINED",
    }


def history(settings: Settings, database: Database, *, limit: int) -> list[dict[str, Any]]:
    """`vaultloop log`: the newest commits.

    Who made each is read from its signature, and a session is named where our records say so: trailers could
    be pushed by anybody.
    """
    revision = StatusBook(database).revision
    if revision is None:
        return []
    repository, signer = _repository(settings), Signer.load(settings.state)
    by_commit = {record.commit: record for record in Turns(database).recent(limit * 10) if record.commit}
    found = []
    for commit in repository.log(revision, limit):
        record = by_commit.get(commit.id)
        found.append(
            {
                "commit": commit.id,
                "at": commit.at.isoformat(timespec="seconds"),
                "author": commit.author.name,
                "class": author_class(repository, commit.id, signer) or "merge",
                "subject": commit.subject,
                "session": record.id if record else None,
                "scope": record.turn.scope if record else None,
                "trigger": str(record.turn.trigger) if record else None,
                "outcome": str(record.outcome) if record and record.outcome else None,
                "cost_usd": record.cost_usd if record else 0.0,
            }
        )
    return found


def _repository(settings: Settings) -> Repository:
    folder = settings.folder
    if folder is not None and (folder / ".git").exists():
        return Repository.in_folder(folder, None)
    return Repository.bare(StateDirectory(settings.state).repository, settings.branch)
