"""Where a vault is, seen from a path in it."""

from pathlib import Path

from support.folders import write
from vaultloop.components import KINDS
from vaultloop.vault.notes.glance import KIND_NAMES
from vaultloop.vault.notes.location import look_alike, top_of


def test_the_nearest_folder_that_holds_agent_is_the_vault(tmp_path: Path) -> None:
    write(tmp_path, {"agent/crons/a.md": "", "Notes/Deep/b.md": "", "Notes/inner/agent/c.md": ""})
    assert top_of(tmp_path) == tmp_path
    assert top_of(tmp_path / "agent/crons") == tmp_path
    assert top_of(tmp_path / "Notes/Deep") == tmp_path
    assert top_of(tmp_path / "Notes/inner") == tmp_path / "Notes/inner"


def test_a_folder_named_agent_inside_a_vault_is_no_vault(tmp_path: Path) -> None:
    write(tmp_path, {"agent/a.md": "---\nkind: rule\n---\n", "Projects/agent/b.md": "Text\n"})
    assert top_of(tmp_path / "Projects") == tmp_path


def test_the_kinds_that_are_known_at_a_glance_are_all_kinds() -> None:
    assert sorted(KIND_NAMES) == sorted(kind.name for kind in KINDS)


def test_the_search_ends_with_the_repository(tmp_path: Path) -> None:
    write(tmp_path, {"agent/a.md": "", "code/.git/HEAD": "", "code/src/b.py": ""})
    assert top_of(tmp_path / "code/src") is None


def test_a_folder_of_another_name_is_no_vault_but_can_be_named(tmp_path: Path) -> None:
    write(tmp_path, {"AGENT/a.md": ""})
    assert top_of(tmp_path) is None
    assert look_alike(tmp_path) == "AGENT"
    assert look_alike(tmp_path / "AGENT") is None
