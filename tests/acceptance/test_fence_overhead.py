"""What somebody waits longer for an answer, and what each session weighs, because of the fence."""

import asyncio

import pytest

from support.fence_cost import MOST_MIB, MOST_MS, TIMES, measured

pytestmark = pytest.mark.acceptance


def test_the_full_fence_costs_at_most_40_ms_and_6_mib_a_session() -> None:
    cost = asyncio.run(measured())
    reference = f"/bin/true: {cost.fenced_ms:.1f} ms in the full fence, {cost.plain_ms:.1f} ms plain"
    print(f"{reference} (medians of {TIMES}); {cost.session_mib:.1f} MiB PSS a session")  # noqa: T201
    assert cost.overhead_ms <= MOST_MS, reference
    assert cost.session_mib <= MOST_MIB
