"""The tables in `golden/`: what a schedule fires on given days, as a person can check it with a calendar.

A block is a schedule with the days that are meant (of the zone, the last one included), and below it every
slot: the wall clock with its offset, the instant, the name. What follows `#` is for the reader.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

import pytest

from support import zones
from vaultloop.components.cron.schedule import Schedule

GOLDEN = Path(__file__).parent / "golden"
TABLES = sorted(GOLDEN.glob("*.txt"))

# Days of a zone begin up to 14 hours before those of UTC, and end up to 12 hours after them.
MARGIN = timedelta(hours=15)


@dataclass(frozen=True)
class Row:
    """One slot: the wall clock and its offset, the instant, the name; as text."""

    clock: str
    instant: str
    name: str

    @classmethod
    def read(cls, line: str) -> Self:
        day, time, offset, utc_day, utc_time, utc, name = line.partition("#")[0].split()
        assert utc == "UTC", line
        return cls(f"{day} {time} {offset}", f"{utc_day} {utc_time}", name)


@dataclass(frozen=True)
class Block:
    """One schedule on some days."""

    schedule: str
    first: date
    last: date
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """One file."""

    zone: str
    tzdata: str
    blocks: tuple[Block, ...]

    @classmethod
    def read(cls, file: Path) -> Self:
        head: dict[str, str] = {}
        blocks: list[Block] = []
        for line in file.read_text().splitlines():
            if not line or line.startswith("#"):
                continue
            if line.startswith(" "):
                block = blocks.pop()
                rows = block.rows if line.split() == ["never"] else (*block.rows, Row.read(line))
                blocks.append(Block(block.schedule, block.first, block.last, rows))
            elif line.startswith(("zone ", "tzdata ")):
                key, value = line.split()
                head[key] = value
            else:
                # `0 7 * * *   on 2026-11-22`, or `0 7 * * *   from 2026-11-22 to 2026-11-24`.
                schedule, _, days = line.partition("   ")
                first, last = days.split()[1], days.split()[-1]
                blocks.append(Block(schedule, date.fromisoformat(first), date.fromisoformat(last), ()))
        return cls(head["zone"], head["tzdata"], tuple(blocks))


def instant(row: Row) -> datetime:
    return datetime.fromisoformat(row.instant).replace(tzinfo=UTC)


each_table = pytest.mark.parametrize("file", TABLES, ids=lambda file: file.stem)


@each_table
def test_the_table_is_of_the_tzdata_that_is_installed_and_its_rules_have_not_changed(file: Path) -> None:
    """Fails where governments, not we, changed something: then the rows are to be checked again by hand."""
    table = Table.read(file)
    where = zones.zone(table.zone)
    moved = [
        (row.clock, f"{instant(row).astimezone(where):%Y-%m-%d %H:%M %z}")
        for block in table.blocks
        for row in block.rows
        if f"{instant(row).astimezone(where):%Y-%m-%d %H:%M %z}" != row.clock
    ]
    assert (table.tzdata, moved) == (zones.VERSION, [])


@each_table
def test_every_schedule_of_the_table_fires_exactly_as_it_says(file: Path) -> None:
    table = Table.read(file)
    where = zones.zone(table.zone)
    assert len(table.blocks) > 3
    for block in table.blocks:
        assert fired(block, where) == block.rows, (table.zone, block.schedule, block.first)


def fired(block: Block, where: ZoneInfo) -> tuple[Row, ...]:
    start, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (block.first, block.last))
    slots = Schedule.parse(block.schedule).slots(start - MARGIN, where)
    return tuple(
        Row(f"{slot.at.astimezone(where):%Y-%m-%d %H:%M %z}", f"{slot.at:%Y-%m-%d %H:%M}", slot.name)
        for slot in takewhile(lambda slot: slot.at < end + 3 * MARGIN, slots)
        if block.first <= slot.at.astimezone(where).date() <= block.last
    )


def test_there_is_a_table_for_each_kind_of_zone() -> None:
    assert {Table.read(file).zone for file in TABLES} == {
        "Africa/Cairo",
        "America/New_York",
        "America/Santiago",
        "Antarctica/Troll",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Europe/Berlin",
        "Europe/London",
        "UTC",
    }
