"""The state directory."""

import os
import shutil
from pathlib import Path

import pytest

from vaultloop.model.errors import VaultloopError
from vaultloop.state.directory import Busy, StateDirectory, alone_on


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


def test_whether_somebody_acts_on_it_can_be_seen_without_being_in_the_way(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    assert not directory.is_held
    with directory.locked():
        assert StateDirectory(tmp_path).is_held
    assert not directory.is_held


def test_only_one_engine_follows_a_folder_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    with alone_on(tmp_path), pytest.raises(Busy, match="One folder takes one engine"), alone_on(tmp_path):
        pass
    with alone_on(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_yet_keeps_nobody_from_starting(tmp_path: Path) -> None:
    with alone_on(tmp_path / "later"):
        pass


def test_a_path_that_cannot_be_a_directory_is_refused_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VaultloopError, match="VAULTLOOP_STATE"):
        StateDirectory(tmp_path / "file" / "state").make()


def test_who_acts_on_it_is_told_to_those_who_wait(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    with directory.locked():
        assert StateDirectory(tmp_path).holder == f"process {os.getpid()}"
        assert directory.is_held_here
    (tmp_path / "lock").write_text("7 elsewhere\n")
    assert directory.holder == "process 7 on elsewhere"
    assert not directory.is_held_here


def test_an_engine_keeps_its_id_and_a_copy_of_it_is_another_place(tmp_path: Path) -> None:
    directory, copy = StateDirectory(tmp_path / "state"), StateDirectory(tmp_path / "copy")
    with directory.locked():
        who = (directory.engine_id, directory.boot)
        shutil.copytree(directory.path, copy.path)
    with directory.locked():
        assert (directory.engine_id, directory.boot) == who
    assert copy.engine_id == who[0]
    assert copy.boot != who[1]
