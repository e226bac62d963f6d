"""What is said of a version, and what is pinned."""

import re
from pathlib import Path

import pytest

from vaultloop.runners.claude.version import BYTES, OLDEST, SHA256, TESTED, Version, parsed, remark


@pytest.mark.parametrize(
    ("said", "version"),
    [("2.1.330 (Claude Code)\n", Version(2, 1, 330)), ("10.0.1", Version(10, 0, 1)), ("unknown", None)],
)
def test_the_version_is_read_from_what_the_program_says(said: str, version: Version | None) -> None:
    assert parsed(said) == version


def test_the_tested_version_needs_no_word_and_any_other_is_named() -> None:
    assert remark(TESTED) is None
    assert (remark(Version(2, 1, 340)) or "").startswith(f"claude 2.1.340 is newer than {TESTED}")
    assert (remark(OLDEST) or "").startswith(f"claude {OLDEST} is older than {TESTED}")
    assert OLDEST < TESTED


def test_each_machine_has_a_whole_sum_and_a_size() -> None:
    assert SHA256.keys() == BYTES.keys()
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in SHA256.values())


def test_the_page_about_agents_names_these_versions_and_no_others() -> None:
    page = (Path(__file__).parents[3] / "docs" / "agents.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\d+\.\d+\.\d+", page)) == {str(TESTED), str(OLDEST)}
