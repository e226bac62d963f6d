"""The state directory."""

from pathlib import Path

import pytest

from vaultloop.model.errors import VaultloopError
from vaultloop.state.directory import Busy, StateDirectory


def test_it_is_made_closed_to_others(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "a" / "b")
    directory.make()
    assert directory.path.stat().st_mode & 0o777 == 0o700


def test_only_one_acts_on_it_at_a_time(tmp_path: Path) -> None:
    held, second = StateDirectory(tmp_path).locked(), StateDirectory(tmp_path).locked()
    with held, pytest.raises(Busy, match="Another vaultloop acts on"), second:
        pass
    with StateDirectory(tmp_path).locked():
        pass


def test_a_path_that_cannot_be_a_directory_is_refused_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VaultloopError, match="VAULTLOOP_STATE"):
        StateDirectory(tmp_path / "file" / "state").make()
