from pathlib import Path

import pytest

from support.nested import nest
from vaultloop.vault.debris import clear_away


def test_no_depth_is_too_much(tmp_path: Path) -> None:
    nest(tmp_path / "place", 1500)
    clear_away(tmp_path / "place")
    assert not (tmp_path / "place").exists()


def test_what_a_link_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.md").touch()
    (tmp_path / "place/inner").mkdir(parents=True)
    (tmp_path / "place/inner/link").symlink_to(tmp_path / "outside")
    clear_away(tmp_path / "place")
    assert (tmp_path / "outside/a.md").exists()
    assert not (tmp_path / "place").exists()


def test_a_link_in_the_place_of_a_folder_is_removed_alone(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "place").symlink_to(tmp_path / "outside")
    clear_away(tmp_path / "place")
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]


def test_folders_that_are_closed_to_us_are_removed(tmp_path: Path) -> None:
    (tmp_path / "place/one/two").mkdir(parents=True)
    (tmp_path / "place/one/two/a.md").touch()
    for folder in ("place/one/two", "place/one", "place"):
        (tmp_path / folder).chmod(0)
    clear_away(tmp_path / "place")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_nothing_to_talk_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clear_away(tmp_path / "place")
    assert caplog.records == []
