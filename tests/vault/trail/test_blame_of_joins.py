"""Lines that came through our own joins, callouts included: each is of who wrote it."""

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from support.commits import unsynced
from support.signed_lines import NOTE, Writers
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.trail.blame import blame


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with unsynced():
        yield Repository.bare(tmp_path / "vault.git")


@pytest.mark.parametrize("seed", range(30))
def test_every_line_of_a_join_is_of_the_side_that_wrote_it(repository: Repository, seed: int) -> None:
    writers = Writers(repository, Random(seed))
    head = writers.begin()
    for day in range(3):
        before = writers.lines(head)
        human = writers.commit(f"human{day}", writers.edited(f"human{day}", before), head)
        agent = writers.commit(f"agent{day}", writers.edited(f"agent{day}", before), head)
        head = writers.joined(human, agent)
    for line in blame(repository, head, NOTE):
        said = re.search(r" by (\w+) \d+$", line.text.decode())
        assert line.commit
        if said:
            assert writers.made[line.commit] == said[1], line
        elif b"[!conflict]" in line.text:
            assert writers.made[line.commit].startswith("agent"), line
