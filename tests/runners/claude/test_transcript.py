"""Transcripts as the CLI leaves them, and as an agent might."""

import json
import os
from pathlib import Path

import pytest

from vaultloop.model.cell import Transcript
from vaultloop.runners.claude.transcript import found, put, total_cost


def cost_line(cost: object) -> str:
    return json.dumps({"type": "cost-state", "totalCostUSD": cost}, separators=(",", ":")) + "\n"


_DEEP = '{"type":"cost-state","totalCostUSD":' + "[" * 100_000


def test_what_is_put_is_found_by_its_id_and_nothing_else_is(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("the conversation")
    home = tmp_path / "home"
    put(Transcript("abc", kept), home)
    place = found(home, "abc")
    assert place is not None
    assert place.read_text() == "the conversation"
    assert found(home, "abd") is None
    assert found(tmp_path / "nowhere", "abc") is None


def test_the_newest_cost_counts(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(cost_line(0.25) + '{"type":"user"}\n' + cost_line(0.5) + '{"type":"last-prompt"}\n')
    assert total_cost(file) == 0.5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        '{"type":"cost-state"\n',
        cost_line(None),
        cost_line(float("inf")),
        cost_line([]),
        cost_line(10**400),
        _DEEP,
    ],
)
def test_a_transcript_that_does_not_say_it_costs_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(text)
    assert total_cost(file) == 0.0


def test_an_agent_cannot_hold_up_the_engine_with_what_it_puts_in_its_place(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe.jsonl", tmp_path / "link.jsonl"
    os.mkfifo(pipe)
    (tmp_path / "elsewhere").write_text(cost_line(9))
    link.symlink_to(tmp_path / "elsewhere")
    assert [total_cost(place) for place in (pipe, link, tmp_path / "none")] == [0.0, 0.0, 0.0]
