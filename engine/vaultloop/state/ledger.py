"""What sessions have cost: one row for each request to a model, written before the request leaves.

The gateway is the only writer; others read while it writes. Money is counted in billionths of a dollar, so
that sums are exact.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from vaultloop.model.gateway import Bill
from vaultloop.state.period import Period
from vaultloop.state.sqlite_file import Form, SqliteFile
from vaultloop.state.writer import is_alive

FILE_NAME = "ledger.db"

# Billionths in a dollar: the price of one token is a whole number of them.
NANO = 1_000_000_000

# How long a writer waits for another one (seconds): a gateway that reads its last streams to their end may
# still write when the next one has started.
_LOCK_PATIENCE = 10.0

# One entry per schema version, never edited once released.
MIGRATIONS = (
    """
    CREATE TABLE requests (
        number INTEGER PRIMARY KEY,    -- the order of being forwarded
        gateway TEXT NOT NULL,         -- the process that forwards it
        session TEXT NOT NULL, scope TEXT NOT NULL,
        trigger_kind TEXT NOT NULL, trigger_name TEXT NOT NULL,
        model TEXT NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT,                 -- while it is NULL, the figures are what was served at most so far
        input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
        cache_write_5m_tokens INTEGER NOT NULL, cache_write_1h_tokens INTEGER NOT NULL,
        cache_read_tokens INTEGER NOT NULL,
        web_searches INTEGER NOT NULL, web_fetches INTEGER NOT NULL,
        nano_usd INTEGER NOT NULL,
        priced INTEGER NOT NULL,       -- 0: the price of the model is not known, and counted as nothing
        estimated INTEGER NOT NULL     -- 1: its stream broke; never below what was served
    ) STRICT;
    CREATE INDEX requests_session ON requests (session, number);
    -- With what is summed up: a month is looked at before each request.
    CREATE INDEX requests_scope ON requests (scope, started_at, ended_at, nano_usd);
    CREATE INDEX requests_time ON requests (started_at, ended_at, nano_usd);
    CREATE INDEX requests_open ON requests (gateway) WHERE ended_at IS NULL;
    """,
)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a vendor charges for, counted.

    Attributes:
        input_tokens: neither read from the cache nor written to it.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0
    web_searches: int = 0
    web_fetches: int = 0

    @property
    def prompt_tokens(self) -> int:
        """The length of the prompt, whatever became of it in the cache."""
        return sum(
            (
                self.input_tokens,
                self.cache_write_5m_tokens,
                self.cache_write_1h_tokens,
                self.cache_read_tokens,
            )
        )


FIGURES = tuple(field.name for field in fields(Usage))
_SUMS = ", ".join(f"COALESCE(SUM({name}), 0) AS {name}" for name in FIGURES)
_SETS = ", ".join(f"{name} = :{name}" for name in FIGURES)


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that is about to be forwarded.

    Attributes:
        trigger: kind and name.
        priced: whether the price of the model is known.
    """

    session: str
    scope: str
    trigger: tuple[str, str]
    model: str
    started_at: datetime
    priced: bool = True


class By(StrEnum):
    """What costs are told apart by."""

    SCOPE = "scope"
    TRIGGER = "trigger"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Cost:
    """What the requests of one scope, trigger or model have cost.

    Attributes:
        name: of the scope or model; kind and name of the trigger, `cron digest`.
        estimated: of some of them that is an estimate.
        unpriced: how many went to a model whose price is not known; they count as nothing.
    """

    name: str
    usd: float
    requests: int
    usage: Usage
    estimated: bool = False
    unpriced: int = 0


_NAMES = {By.SCOPE: "scope", By.TRIGGER: "trigger_kind || ' ' || trigger_name", By.MODEL: "model"}


class Ledger(SqliteFile):
    """An open ledger."""

    # Two commits a request and more, on the way of an answer: hence not `FULL`.
    form = Form(
        MIGRATIONS,
        synchronous="NORMAL",
        early="Start the engine with `vaultloop up`, and let one session run.",
        damaged="Move it away with the files beside it that begin with its name: a new ledger begins at "
        "nothing, and so do budgets.",
        threads=True,
        patience=_LOCK_PATIENCE,
    )

    # Writing: the gateway's.

    def begin(self, entry: Entry, usage: Usage, nano_usd: int, *, gateway: str) -> int:
        """Write a row for a request that is not forwarded yet; its number.

        `usage` and `nano_usd` are what the row is closed with if this process is killed before it says more:
        at least what may have been served until then.
        """
        values = {
            "gateway": gateway,
            "session": entry.session,
            "scope": entry.scope,
            "trigger_kind": entry.trigger[0],
            "trigger_name": entry.trigger[1],
            "model": entry.model,
            "started_at": _text(entry.started_at),
            **asdict(usage),
            "nano_usd": nano_usd,
            "priced": entry.priced,
            "estimated": True,
        }
        columns, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        query = f"INSERT INTO requests ({columns}) VALUES ({places})"  # noqa: S608 - names of ours
        number = self._connection.execute(query, values).lastrowid
        assert number is not None
        return number

    def note(self, number: int, usage: Usage, nano_usd: int) -> None:
        """Raise what the open row counts as served, before it is."""
        self._connection.execute(
            f"UPDATE requests SET {_SETS}, nano_usd = :nano_usd WHERE number = :number",  # noqa: S608 - likewise
            {**asdict(usage), "nano_usd": nano_usd, "number": number},
        )

    def end(self, number: int, usage: Usage, nano_usd: int, *, at: datetime, estimated: bool = False) -> None:
        """Complete a row: the stream was read to its end, or broke."""
        self._connection.execute(
            f"UPDATE requests SET {_SETS}, nano_usd = :nano_usd, ended_at = :ended_at,"  # noqa: S608 - likewise
            " estimated = :estimated WHERE number = :number",
            {
                **asdict(usage),
                "nano_usd": nano_usd,
                "ended_at": _text(at),
                "estimated": estimated,
                "number": number,
            },
        )

    def gateways(self) -> list[str]:
        """The processes that have rows open."""
        query = "SELECT DISTINCT gateway FROM requests WHERE ended_at IS NULL"
        return [row["gateway"] for row in self._connection.execute(query)]

    def close_rows_of(self, gateway: str, at: datetime) -> int:
        """Close the rows that a killed process left open, as the estimates that they are; how many."""
        query = "UPDATE requests SET ended_at = ? WHERE gateway = ? AND ended_at IS NULL"
        return self._connection.execute(query, (_text(at), gateway)).rowcount

    # Reading: anybody's.

    def last(self) -> int:
        """The number of the newest row; 0 if there is none."""
        return int(self._connection.execute("SELECT COALESCE(MAX(number), 0) FROM requests").fetchone()[0])

    def spent(self, period: Period, at: datetime, timezone: str, scope: str | None = None) -> int:
        """Billionths of a dollar of the day or month that `at` falls into, of one scope or of all.

        Requests that are under way are not in it: what they may cost at most is mostly far too much. Those
        that a killed gateway left open are: nothing more is learned about them.
        """
        begins, ends = period.around(at, timezone)
        abandoned = json.dumps([gateway for gateway in self.gateways() if not is_alive(gateway)])
        counts = "ended_at IS NOT NULL"
        if abandoned != "[]":
            counts = "(ended_at IS NOT NULL OR gateway IN (SELECT value FROM json_each(:abandoned)))"
        query = (
            f"SELECT COALESCE(SUM(nano_usd), 0) FROM requests WHERE {counts}"  # noqa: S608 - words of ours
            " AND started_at >= :begins AND started_at < :ends"
        )
        if scope is not None:
            query += " AND scope = :scope"
        values = {"begins": _text(begins), "ends": _text(ends), "scope": scope, "abandoned": abandoned}
        return int(self._connection.execute(query, values).fetchone()[0])

    def spent_by(self, session: str, after: int = 0) -> int:
        """Billionths of a dollar of a session, of its rows after the one with number `after`."""
        query = (
            "SELECT COALESCE(SUM(nano_usd), 0) FROM requests"
            " WHERE session = ? AND number > ? AND ended_at IS NOT NULL"
        )
        return int(self._connection.execute(query, (session, after)).fetchone()[0])

    def bill(self, session: str, *, after: int = 0, since: datetime | None = None) -> Bill:
        """What a session was charged: rows after a number, or since an instant.

        What is under way is counted with what may have been served so far, and as an estimate.
        """
        query = (
            f"SELECT COUNT(*) AS requests, COALESCE(SUM(nano_usd), 0) AS nano_usd, {_SUMS},"  # noqa: S608 - names of ours
            " COALESCE(MAX(estimated), 0) AS estimated"
            " FROM requests WHERE session = ? AND number > ? AND started_at >= ?"
        )
        start = _text(since) if since is not None else ""
        row = self._connection.execute(query, (session, after, start)).fetchone()
        return Bill(
            usd=row["nano_usd"] / NANO,
            requests=row["requests"],
            usage={name: row[name] for name in FIGURES if row[name]},
            estimated=bool(row["estimated"]),
        )

    def costs(self, by: By, period: Period, at: datetime, timezone: str) -> list[Cost]:
        """What the day or month that `at` falls into has cost, the dearest first, what is under way too."""
        begins, ends = period.around(at, timezone)
        query = (
            f"SELECT {_NAMES[by]} AS name, COUNT(*) AS requests, SUM(nano_usd) AS nano_usd,"  # noqa: S608 - names of ours
            f" {_SUMS}, MAX(estimated) AS estimated, SUM(1 - priced) AS unpriced"
            " FROM requests WHERE started_at >= ? AND started_at < ? GROUP BY 1 ORDER BY nano_usd DESC, name"
        )
        rows = self._connection.execute(query, (_text(begins), _text(ends)))
        return [
            Cost(
                name=row["name"],
                usd=row["nano_usd"] / NANO,
                requests=row["requests"],
                usage=Usage(**{name: row[name] for name in FIGURES}),
                estimated=bool(row["estimated"]),
                unpriced=row["unpriced"],
            )
            for row in rows
        ]


@contextmanager
def reading(state: Path) -> Iterator[Ledger | None]:
    """The ledger in a state directory, to be read; None where nothing was ever charged.

    Raises:
        Stalled: it cannot be read.
    """
    path = state / FILE_NAME
    if not path.exists():
        yield None
        return
    with Ledger(path, read_only=True) as ledger:
        yield ledger


def charged(state: Path, session: str, since: datetime) -> Bill:
    """What a session was charged since an instant, by the ledger alone: for when its gateway is gone.

    Raises:
        Stalled: the ledger cannot be read.
    """
    with reading(state) as ledger:
        return ledger.bill(session, since=since) if ledger else Bill()


def _text(instant: datetime) -> str:
    """An instant as text that sorts by time."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")
