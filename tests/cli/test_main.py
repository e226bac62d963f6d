"""The command line as a whole: help, exit codes, what a wrong call says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.installation import COMMAND, environment
from support.notes import OWNER
from support.vault_clone import VaultClone
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


def test_a_folder_that_is_not_there_is_refused_at_start_and_nothing_is_made(tmp_path: Path) -> None:
    state = tmp_path / "state"
    done = run("up", VAULTLOOP_FOLDER=str(tmp_path / "typo"), VAULTLOOP_STATE=str(state))
    assert done.returncode == 78
    assert f"{tmp_path / 'typo'} is not there" in done.stderr
    assert f"vaultloop init {tmp_path / 'typo'}" in done.stderr
    assert not state.exists()
    assert not (tmp_path / "typo").exists()


def test_a_folder_on_a_branch_of_another_name_needs_no_setting(tmp_path: Path) -> None:
    human = VaultClone.fresh(tmp_path / "vault", "master")
    human.save("agent/scopes/owner.md", OWNER)
    where = {"VAULTLOOP_FOLDER": str(human.path), "VAULTLOOP_STATE": str(tmp_path / "state")}
    done = run("plan", "--json", **where)
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stdout)["revision"] == human.head


def test_asking_an_engine_that_does_not_run_exits_69_and_says_how_to_start_it(tmp_path: Path) -> None:
    done = run("run", "digest", VAULTLOOP_FOLDER=str(tmp_path / "v"), VAULTLOOP_STATE=str(tmp_path / "s"))
    assert done.returncode == 69
    assert "vaultloop up" in done.stderr


def test_status_before_the_first_start_says_so(tmp_path: Path) -> None:
    done = run("status", VAULTLOOP_FOLDER=str(tmp_path / "v"), VAULTLOOP_STATE=str(tmp_path / "s"))
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


@pytest.mark.parametrize(("variables", "places"), [({}, "()"), ({"PYTHONTZPATH": "/zones"}, "('/zones',)")])
def test_the_rules_of_clocks_come_from_our_package_unless_the_operator_names_others(
    variables: dict[str, str], places: str
) -> None:
    script = (
        "import sys; from vaultloop.cli import main\n"
        "assert 'zoneinfo' not in sys.modules\n"
        "sys.argv = ['vaultloop', 'schema', 'rule']\n"
        "try:\n    main()\n"
        "finally:\n    import zoneinfo; print(zoneinfo.TZPATH, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (0, places)
