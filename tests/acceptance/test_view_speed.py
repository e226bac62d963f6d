"""What a session waits for before it begins, and a reply before it is sent, in a vault of 10,000 notes."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from support.large_vault import large_vault
from support.notes import OWNER
from support.warm_view import WarmView, stat_walk, write

pytestmark = pytest.mark.acceptance

NOTES = 10_000
CHANGED = 10
# Milliseconds, on a machine that does nothing else.
FORWARD = 30
# Of a plain stat walk.
SCAN = 1.5
# Runs in turn, and runs before them that only warm up.
RUNS = 15
WARM_UP = 2


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> WarmView:
    root = tmp_path_factory.mktemp("large")
    return WarmView(root, large_vault(root / "vault.git", NOTES, {"agent/scopes/owner.md": OWNER}))


def milliseconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def is_busy() -> bool:
    """Whether more programs want to run than there are processors: then a time says little."""
    return os.getloadavg()[0] > (os.cpu_count() or 1)


def test_a_clean_view_is_brought_forward_by_ten_files_in_30_ms(warm: WarmView, tmp_path: Path) -> None:
    walls, processor, plainly = [], [], []
    for _ in range(RUNS + WARM_UP):
        files, begun = warm.changed(CHANGED), time.process_time()
        walls.append(milliseconds(lambda files=files: warm.lease(files)))  # type: ignore[misc]
        processor.append((time.process_time() - begun) * 1000)
        plainly.append(milliseconds(lambda: write(tmp_path, warm.contents)))
        for path, data in warm.contents:
            assert (warm.view.folder / path).read_bytes() == data
    took, worked, reference = (median(times[WARM_UP:]) for times in (walls, processor, plainly))
    figures = f"{took:.1f} ms ({worked:.1f} of the processor); writing the same files: {reference:.1f} ms"
    sys.stdout.write(f"a view of {NOTES:,} notes forward by {CHANGED}: {figures}\n")
    assert worked <= FORWARD, figures
    assert took <= FORWARD or is_busy(), figures


def test_looking_through_a_view_takes_little_longer_than_a_plain_stat_walk(warm: WarmView) -> None:
    folder = warm.view.folder
    pairs = [
        (milliseconds(warm.look_through), milliseconds(lambda: stat_walk(folder)))
        for _ in range(RUNS + WARM_UP)
    ]
    took, reference = (median(times) for times in zip(*pairs[WARM_UP:], strict=True))
    figures = f"{took:.1f} ms; a plain stat walk: {reference:.1f} ms"
    sys.stdout.write(f"the changes of a view of {NOTES:,} notes: {figures}\n")
    assert took <= SCAN * reference, figures
