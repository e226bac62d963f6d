"""Where a vault is, seen from a path in it."""

from pathlib import Path

from support.folders import write
from vaultloop.vault.location import look_alike, top_of


def test_the_nearest_folder_that_holds_agent_is_the_vault(tmp_path: Path) -> None:
    write(tmp_path, {"agent/crons/a.md": "", "Notes/Deep/b.md": "", "Notes/inner/agent/c.md": ""})
    assert top_of(tmp_path) == tmp_path
    assert top_of(tmp_path / "agent/crons") == tmp_path
    assert top_of(tmp_path / "Notes/Deep") == tmp_path
    assert top_of(tmp_path / "Notes/inner") == tmp_path / "Notes/inner"


def test_the_search_ends_with_the_repository(tmp_path: Path) -> None:
    write(tmp_path, {"agent/a.md": "", "code/.git/HEAD": "", "code/src/b.py": ""})
    assert top_of(tmp_path / "code/src") is None


def test_a_folder_of_another_name_is_no_vault_but_can_be_named(tmp_path: Path) -> None:
    write(tmp_path, {"AGENT/a.md": ""})
    assert top_of(tmp_path) is None
    assert look_alike(tmp_path) == "AGENT"
    assert look_alike(tmp_path / "AGENT") is None
