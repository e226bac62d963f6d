"""The command line as a whole: help, exit codes, what a wrong call says."""

import subprocess
from pathlib import Path

import pytest

from support.installation import COMMAND, environment
from vaultloop.cli import COMMANDS


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], env=environment(**variables), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: vaultloop {command}")


def test_help_lists_every_command_and_the_exit_codes() -> None:
    text = run("--help").stdout
    assert all(f"  {command} " in text for command in COMMANDS)
    assert "Exit codes" in text


def test_a_wrong_word_exits_64_and_names_it() -> None:
    done = run("stauts")
    assert done.returncode == 64
    assert "stauts" in done.stderr


def test_a_wrong_setting_exits_78_and_says_what_was_expected(tmp_path: Path) -> None:
    done = run("status", VAULTLOOP_FOLDER=str(tmp_path), VAULTLOOP_POLL="soon", VAULTLOOP_STATE=str(tmp_path))
    assert done.returncode == 78
    assert "VAULTLOOP_POLL" in done.stderr
    assert "Traceback" not in done.stderr


def test_asking_an_engine_that_does_not_run_exits_69_and_says_how_to_start_it(tmp_path: Path) -> None:
    done = run("run", "digest", VAULTLOOP_FOLDER=str(tmp_path), VAULTLOOP_STATE=str(tmp_path / "s"))
    assert done.returncode == 69
    assert "vaultloop up" in done.stderr


def test_status_before_the_first_start_says_so(tmp_path: Path) -> None:
    done = run("status", VAULTLOOP_FOLDER=str(tmp_path), VAULTLOOP_STATE=str(tmp_path / "s"))
    assert done.returncode == 1
    assert "vaultloop up" in done.stderr


def test_a_reader_that_leaves_early_causes_no_traceback() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{' '.join(COMMAND)} schema | head -c 1"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
