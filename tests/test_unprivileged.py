"""The user that fence tests run as is one whom a fence can hold."""

import os
from pathlib import Path

import pytest

from support.unprivileged import drive, place, user


def who(folder: str) -> list[object]:
    """Who the driver is, after it wrote a file into its place."""
    (Path(folder) / "file").write_text("mine")
    return [os.getresuid(), os.getresgid(), [group for group in os.getgroups() if group != os.getgid()]]


def effective_rights() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("CapEff")).split()[1], 16)


def failing() -> None:
    raise ValueError("on purpose")


def long() -> str:
    return "x" * 1_000_000


def environment_names() -> list[str]:
    return sorted(os.environ)


def test_a_driver_runs_as_a_user_without_rights_in_a_place_that_it_owns() -> None:
    with place() as folder:
        users, groups, others = drive(who, str(folder))
        assert users == [user().uid] * 3
        assert groups == [user().gid] * 3
        assert user().uid != 0
        assert (folder / "file").stat().st_uid == user().uid
        assert folder.stat().st_mode & 0o777 == 0o700
        if os.getuid() == 0:
            assert others == []
    assert not folder.exists()


def test_a_driver_has_no_capability() -> None:
    assert drive(effective_rights) == 0


def test_a_driver_that_fails_says_why() -> None:
    with pytest.raises(AssertionError, match=r"failing failed:(.|\n)*ValueError: on purpose"):
        drive(failing)


def test_a_long_answer_arrives() -> None:
    assert len(drive(long)) == 1_000_000


def test_a_driver_gets_nothing_of_the_suites_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of the suite")
    assert "SECRET" not in drive(environment_names)
