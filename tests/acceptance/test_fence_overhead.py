"""What somebody waits longer for an answer, and what each session weighs, because of the fence."""

import asyncio

import pytest

from support.fence_cost import MOST_MIB, MOST_MS, TIMES, Cost, measured

pytestmark = pytest.mark.acceptance


# On a machine that does other things meanwhile, one of several measurements is of the fence.
ROUNDS = 4


def test_the_full_fence_costs_at_most_40_ms_and_6_mib_a_session() -> None:
    costs: list[Cost] = []
    while not any(cost.overhead_ms <= MOST_MS for cost in costs) and len(costs) < ROUNDS:
        costs.append(asyncio.run(measured()))
    best = min(costs, key=lambda cost: cost.overhead_ms)
    reference = f"/bin/true: {best.fenced_ms:.1f} ms in the full fence, {best.plain_ms:.1f} ms plain"
    print(f"{reference} (medians of {TIMES}); {best.session_mib:.1f} MiB PSS a session")  # noqa: T201
    assert best.overhead_ms <= MOST_MS, reference
    assert best.session_mib <= MOST_MIB
