"""People and agents write at once, pushes race and are refused, the engine is killed: nothing is lost."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from support.fight import CHATS, CLONES, Fight, fought, sessions_on
from vaultloop.model.conversation import Outcome

pytestmark = pytest.mark.acceptance

MARKERS = re.compile(r"^(<{7} |={7}$|>{7} )", re.MULTILINE)
CALLOUT = re.compile(r"^>.*$", re.MULTILINE)


@pytest.mark.timeout(180)
def test_sixty_pairs_of_edits_and_eight_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    with fought(tmp_path, pairs=60, kills=8, seed=1) as fight:
        verify(fight)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_five_hundred_pairs_of_edits_and_fifty_kills_lose_nothing(tmp_path: Path) -> None:
    with fought(tmp_path, pairs=500, kills=50, seed=2) as fight:
        verify(fight)


def verify(fight: Fight) -> None:
    assert fight.killed == fight.kills
    assert len(fight.words) == fight.pairs // CLONES * CLONES
    notes = fight.place.notes()
    everything = "\n".join(notes.values())
    turns = fight.place.turns()
    done = [turn for turn in turns if turn.outcome is Outcome.DONE]
    assert len(done) >= fight.pairs // len(CHATS) * len(CHATS)
    # No engine that dies cuts off more sessions than may run.
    cut = [turn for turn in turns if turn.outcome is Outcome.INTERRUPTED]
    assert len(done) + len(cut) == len(turns)
    assert len(cut) <= len(CHATS) * fight.kills

    written = [*fight.words, *(turn.turn.prompt.split()[0] for turn in done)]
    assert [word for word in written if not re.search(rf"\b{word}\b", everything)] == []
    assert [path for path, text in notes.items() if MARKERS.search(text)] == []
    assert all(isinstance(properties(text), dict) for text in notes.values())
    # What stands as a line of its own stands there once; a callout may repeat it as a loser's surroundings.
    lines = Counter(line for text in notes.values() for line in CALLOUT.sub("", text).splitlines())
    whole = re.compile(r"- \w+ (at the end|in between)")
    assert [line for line, count in lines.items() if whole.fullmatch(line) and count > 1] == []

    assert sessions_on(fight.place.remote) == Counter(turn.id for turn in done)


def properties(text: str) -> object:
    _, front, _ = text.split("---\n", 2)
    return yaml.safe_load(front)
