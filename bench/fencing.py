"""What the fence costs: the time until a program in a cell has run, and the memory of what guards it."""

from bench.measure import Row
from support.fence_cost import MOST_MIB, MOST_MS, SESSIONS, TIMES, measured


async def rows() -> list[Row]:
    """Two rows: time and memory."""
    cost = await measured()
    return [
        Row(
            "full fence, more than a plain exec of /bin/true",
            cost.overhead_ms,
            "ms",
            allowed=MOST_MS,
            note=f"{cost.fenced_ms:.1f} ms in the fence, {cost.plain_ms:.1f} ms plain, medians of {TIMES}",
        ),
        Row(
            "supervisor of a session, PSS",
            cost.session_mib,
            "MiB",
            allowed=MOST_MIB,
            note=f"of {SESSIONS} at once, the zygote that they share not counted",
        ),
    ]
