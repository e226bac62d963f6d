"""`entrypoint.sh`: what the container says before the engine runs, and that it then is the engine."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.installation import Engine, environment
from support.running import Place
from vaultloop.state.database import Database
from vaultloop.state.outbox import Outbox

SCRIPT = Path(__file__).parents[1] / "entrypoint.sh"
NOBODY = 65534


def variables(**more: str) -> dict[str, str]:
    """The environment of the container: our `vaultloop` and `python` come first on PATH."""
    return {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **more}


def start(folder: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run the script to its end, in `folder`."""
    return subprocess.run(
        ["/bin/sh", SCRIPT, *words],
        cwd=folder,
        env=environment(**variables(**more)),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def start_as_nobody(**more: str) -> "subprocess.CompletedProcess[str]":
    """Run the script as a user who owns nothing but what is handed to them; who is not root is one."""
    user = NOBODY if os.getuid() == 0 else None
    with SCRIPT.open() as script:  # the checkout may be closed to that user
        return subprocess.run(
            ["/bin/sh", "-s"],
            stdin=script,
            cwd="/",
            env=environment(**variables(**more)),
            capture_output=True,
            text=True,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            timeout=50,
            check=False,
        )


@pytest.fixture
def own_state() -> Iterator[Path]:
    """A state directory of the user that `start_as_nobody` runs as."""
    root = Path(tempfile.mkdtemp(prefix="vaultloop-", dir="/tmp"))
    root.chmod(0o755)
    state = root / "state"
    state.mkdir(mode=0o700)
    if os.getuid() == 0:
        os.chown(state, NOBODY, NOBODY)
    yield state
    shutil.rmtree(root)


def refused(done: "subprocess.CompletedProcess[str]", code: int, *said: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("entrypoint: ")
    for text in said:
        assert text in done.stderr
    assert done.stdout == ""


def test_without_any_setting_it_says_what_to_set_and_makes_nothing(tmp_path: Path) -> None:
    done = start(tmp_path, VAULTLOOP_STATE=str(tmp_path / "state"))
    refused(done, 78, "no vault is named", "VAULTLOOP_REMOTE", "VAULTLOOP_FOLDER", f"{tmp_path / 'state'}")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_state_directory_has_a_default(tmp_path: Path) -> None:
    refused(start(tmp_path, HOME="/home/x"), 78, "/home/x/.local/state/vaultloop")
    refused(start(tmp_path, XDG_STATE_HOME="/var/x"), 78, "/var/x/vaultloop")


def test_a_command_of_your_own_is_run_as_it_is_written(tmp_path: Path) -> None:
    done = start(tmp_path, "printf", "%s|", "a b", "*", "--c")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a b|*|--c|", "")
    assert start(tmp_path, "vaultloop", "--version").stdout.startswith("vaultloop, version")
    assert start(tmp_path, "sh", "-c", "exit 7").returncode == 7


def test_a_state_directory_that_cannot_be_made_is_named_with_the_cure(tmp_path: Path) -> None:
    done = start(tmp_path, VAULTLOOP_REMOTE="r", VAULTLOOP_STATE="/proc/state")
    refused(done, 78, "/proc/state cannot be made by user", "Mount a volume there")


def test_the_state_directory_is_taken_from_the_flag_and_may_be_no_file(tmp_path: Path) -> None:
    refused(start(tmp_path, "--state", "/proc/zz", VAULTLOOP_REMOTE="r"), 78, "/proc/zz cannot be made")
    file = tmp_path / "state"
    file.write_text("")
    where = {"VAULTLOOP_STATE": "~/state", "HOME": str(tmp_path)}
    refused(start(tmp_path, VAULTLOOP_REMOTE="r", **where), 78, f"{file} is a file")
    refused(start(tmp_path, VAULTLOOP_REMOTE=" ", **where), 78, "no vault is named")


def test_a_state_directory_of_somebody_else_is_named_with_both_users() -> None:
    me = NOBODY if os.getuid() == 0 else os.getuid()
    done = start_as_nobody(VAULTLOOP_REMOTE="r", VAULTLOOP_STATE="/usr")
    refused(done, 78, f"/usr cannot be written by user {me}: it belongs to user 0", f"chown -R {me}:")
    # Everybody may write there, and only its owner could close it.
    done = start_as_nobody(VAULTLOOP_REMOTE="r", VAULTLOOP_STATE="/tmp")
    refused(done, 78, f"/tmp belongs to user 0, and this is user {me}", f"chown -R {me}:")


def test_a_vault_folder_that_cannot_be_written_is_named(own_state: Path) -> None:
    done = start_as_nobody(VAULTLOOP_FOLDER="/usr", VAULTLOOP_STATE=str(own_state))
    refused(done, 78, "the vault folder /usr cannot be written by user", "Mount it writable")


def test_an_engine_that_does_not_load_is_said_before_it_is_started(tmp_path: Path) -> None:
    package = tmp_path / "broken" / "vaultloop"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('libgit2.so.1.9: no such file')")
    where = {"VAULTLOOP_REMOTE": "r", "VAULTLOOP_STATE": str(tmp_path / "state")}
    done = start(tmp_path, PYTHONPATH=str(tmp_path / "broken"), **where)
    refused(
        done, 70, "this engine does not load", "libgit2.so.1.9: no such file", "go back to the one before"
    )


@pytest.mark.acceptance
def test_an_engine_that_does_not_load_gives_way_to_the_one_before_and_its_owner_is_told(
    tmp_path: Path,
) -> None:
    """The one before is this one, in a virtual environment of its own as the image would hold it."""
    package = tmp_path / "broken" / "vaultloop"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('libgit2.so.1.9: no such file')")
    previous = tmp_path / "previous"
    (previous / "bin").mkdir(parents=True)
    python = previous / "bin" / "python"
    python.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    place = Place.with_remote(tmp_path)
    more = {"PYTHONPATH": str(tmp_path / "broken"), "ENGINE_PREVIOUS": str(previous)}
    with running(place, VAULTLOOP_REMOTE=str(place.remote), **more) as engine:
        engine.line("entrypoint: The newest engine does not load .*libgit2.so.1.9.*the one before it runs")
        engine.line(r"ready at")
        (said,) = place.installation.json("status")["attention"]
        assert "libgit2.so.1.9: no such file" in said
        assert "the one before it runs" in said
    with Database(place.settings.state / "engine.db", read_only=True) as database:
        told = Outbox(database).next("console", "owner")
        assert told is not None
        assert told.text == said


@pytest.mark.parametrize("wrong", [{"VAULTLOOP_POLL": "soon"}, {"VAULTLOOP_FOLDER": "/nowhere"}])
def test_a_wrong_setting_is_refused_by_the_engine_in_its_own_words(
    tmp_path: Path, wrong: dict[str, str]
) -> None:
    done = start(tmp_path, **{"VAULTLOOP_REMOTE": "r", "VAULTLOOP_STATE": str(tmp_path / "s"), **wrong})
    assert done.returncode == 78
    assert done.stderr.startswith("vaultloop: ")
    assert "Traceback" not in done.stderr


def running(place: Place, *words: str, **more: str) -> Engine:
    """The script with an engine behind it."""
    state = {"VAULTLOOP_STATE": str(place.settings.state)}
    return Engine(["/bin/sh", str(SCRIPT), *words], variables(**state, **more))


@pytest.mark.acceptance
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_engine_gets_the_signals_and_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    place = Place.with_remote(tmp_path)
    with running(place, VAULTLOOP_REMOTE=str(place.remote)) as engine:
        engine.line(r"ready at")
        assert b"vaultloop\0up\0" in Path(f"/proc/{engine.pid}/cmdline").read_bytes()
        os.kill(engine.pid, number)
        assert engine.wait() == 0
        assert engine.log[-1].endswith("stopped\n")
    assert (place.settings.state / "vault.git").is_dir()


@pytest.mark.acceptance
def test_a_folder_is_opened_where_it_lies(tmp_path: Path) -> None:
    place = Place.with_folder(tmp_path, own_git=True)
    with running(place, VAULTLOOP_FOLDER=str(place.human.path)) as engine:
        engine.line(rf"ready at {place.human.head[:12]}")


@pytest.mark.acceptance
def test_flags_and_a_settings_file_name_the_vault_too(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path)
    with running(place, "--remote", str(place.remote)) as engine:
        engine.line(r"ready at")
    shutil.copy(place.config, place.settings.state / "vaultloop.toml")
    with running(place) as engine:
        engine.line(r"ready at")


@pytest.mark.acceptance
def test_a_second_start_on_one_state_directory_says_who_holds_it_and_takes_over(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path)
    with running(place, VAULTLOOP_REMOTE=str(place.remote)) as engine:
        engine.line(r"ready at")
        with running(place, VAULTLOOP_REMOTE=str(place.remote)) as second:
            second.line(rf"acts on {place.settings.state}; this one takes over when it ends")
            engine.stop()
            second.line(r"ready at")
