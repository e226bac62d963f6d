"""Timing two things in turn, so that a drifting machine drifts for both."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median

# Pairs that are measured, and pairs before them that only warm up.
RUNS = 15
WARM_UP = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        ours, reference: in `unit`, medians.
        allowed: the largest ratio, or the largest count where there is no reference; None only informs.
    """

    title: str
    ours: float
    unit: str
    against: str = ""
    reference: float | None = None
    allowed: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return None if not self.reference else self.ours / self.reference

    @property
    def holds(self) -> bool:
        value = self.ours if self.ratio is None else self.ratio
        return self.allowed is None or value <= self.allowed


async def wall(work: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds that `work` takes."""
    begun = time.perf_counter()
    await work()
    return (time.perf_counter() - begun) * 1000


async def cpu(work: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds of processor time, of all threads of this process, that `work` takes."""
    begun = time.process_time()
    await work()
    return (time.process_time() - begun) * 1000


def blocking(work: Callable[[], object]) -> Callable[[], Awaitable[None]]:
    """A plain function where a coroutine is measured."""

    async def run() -> None:
        work()

    return run


async def in_turn(
    ours: Callable[[], Awaitable[float]], theirs: Callable[[], Awaitable[float]]
) -> tuple[float, float]:
    """Medians of what two measurements return, made in turn."""
    pairs = [(await ours(), await theirs()) for _ in range(RUNS + WARM_UP)][WARM_UP:]
    return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
