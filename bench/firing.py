"""Finding when schedules fire next, against the two libraries that people use for it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from bench.measure import Row, blocking, cpu, in_turn
from vaultloop.components.cron.schedule import Schedule

EXPRESSIONS = (
    "* * * * *",
    "*/15 * * * *",
    "0 7 * * *",
    "30 2 * * mon-fri",
    "0 0 1,15 * *",
    "0 */2 * * sun",
    "0 12 29 2 *",
)
# Times of each schedule, one after the other, and how often that is begun: each begin parses.
EACH, BEGUN = 20, 10
FIRES = EACH * BEGUN * len(EXPRESSIONS)

ZONE = ZoneInfo("Europe/Berlin")
START = datetime(2026, 10, 20, tzinfo=UTC)


async def rows() -> list[Row]:
    """Processor time for one fire time, across a clock change."""
    begun = START.astimezone(ZONE)
    ours, cronsim = await _against(lambda expression: CronSim(expression, begun))
    again, other = await _against(lambda expression: croniter(expression, begun).all_next(datetime))
    title = f"a fire time, {EACH} of each schedule, CPU"
    return [
        Row(title, again, "us", "croniter", other, 1.0),
        Row(title, ours, "us", "cronsim, which a test holds against us", cronsim),
    ]


async def _against(reference: Callable[[str], Iterator[object]]) -> tuple[float, float]:
    def ours(expression: str) -> Iterator[object]:
        return Schedule.parse(expression).slots(START, ZONE)

    def fire(times: Callable[[str], Iterator[object]]) -> None:
        for _ in range(BEGUN):
            for expression in EXPRESSIONS:
                assert len(list(islice(times(expression), EACH))) == EACH

    mine, other = await in_turn(
        lambda: cpu(blocking(lambda: fire(ours))), lambda: cpu(blocking(lambda: fire(reference)))
    )
    return mine / FIRES * 1000, other / FIRES * 1000
