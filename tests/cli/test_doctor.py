"""`vaultloop doctor`, as a stranger calls it: an unprivileged user, no engine, no vault."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.unprivileged import environment, place, python, start
from vaultloop.sandbox import landlock
from vaultloop.sandbox.probe import LAYERS, Layer
from vaultloop.sandbox.syscalls import X86_64, this_machine

pytestmark = pytest.mark.skipif(landlock.abi() < 2, reason="needs Landlock of ABI 2 or newer")


def called(
    arguments: Sequence[str],
    files: Mapping[str, str] | None,
    variables: Mapping[str, str],
    inside: Sequence[str] = (),
) -> tuple[int, str]:
    """Its exit code and what it says, called by a program in an empty folder with these files."""
    with place() as home:
        for name, text in (files or {}).items():
            program = home / name
            program.write_text(text)
            program.chmod(0o755)
        env = environment(home, **{name: value.format(home=home) for name, value in variables.items()})
        command = [*inside, python(), "-m", "vaultloop", "doctor", *arguments]
        process = start(command, env, home, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        said, complaint = process.communicate(timeout=50)
        assert complaint == b""
        return process.returncode, said.decode()


def doctor(*arguments: str, files: dict[str, str] | None = None, **variables: str) -> tuple[int, str]:
    return called(arguments, files, variables)


def report(*arguments: str, files: dict[str, str] | None = None, **variables: str) -> tuple[int, Any]:
    code, said = called([*arguments, "--json"], files, variables)
    return code, json.loads(said)


def classes(told: Any) -> dict[str, str]:
    return {each["audience"]: each["confinement"] for each in told["classes"]}


def test_a_machine_with_every_layer_fences_all_classes() -> None:
    code, told = report()
    assert code == 0
    assert classes(told) == dict.fromkeys(("owner", "cron", "group", "public"), "fenced")
    assert [layer["layer"] for layer in told["layers"]] == [layer.value for layer in Layer]
    assert all(layer["found"] for layer in told["layers"] if layer["required"])
    assert told["settings_problem"] == ""


@pytest.mark.skipif(this_machine() is not X86_64, reason="the container's profile is compiled for x86_64")
@pytest.mark.parametrize("abi", ["2", "4", "6"])
def test_an_ordinary_container_on_an_older_kernel_fences_all_classes(abi: str) -> None:
    container = (python(), "-m", "support.container_profile")
    code, said = called(["--json"], None, {"VAULTLOOP_LANDLOCK_ABI": abi}, container)
    assert (code, json.loads(said)["cell_problem"]) == (0, "")


def test_without_landlock_every_class_is_refused_with_errno_and_remedy() -> None:
    code, told = report(VAULTLOOP_LANDLOCK_ABI="0")
    assert code == 1
    assert set(classes(told).values()) == {"refused"}
    files = next(layer for layer in told["layers"] if layer["layer"] == "files")
    assert (files["found"], files["errno"]) == (False, "ENOTSUP")
    assert files["remedy"] == LAYERS[Layer.FILES].remedy


def test_what_the_settings_allow_runs_degraded_and_the_others_are_refused() -> None:
    code, told = report(VAULTLOOP_LANDLOCK_ABI="0", VAULTLOOP_DEGRADED="owner,cron")
    assert code == 1
    assert classes(told) == {
        "owner": "degraded",
        "cron": "degraded",
        "group": "refused",
        "public": "refused",
    }


def test_a_settings_file_is_read_although_it_names_no_vault() -> None:
    settings = {"vaultloop.toml": 'degraded = ["owner"]\n'}
    _, told = report("--config", "vaultloop.toml", files=settings, VAULTLOOP_LANDLOCK_ABI="1")
    assert classes(told)["owner"] == "degraded"
    assert told["settings_problem"] == ""


def test_wrong_settings_are_told_and_everything_else_too() -> None:
    code, told = report(VAULTLOOP_DEGRADED="group")
    assert "only owner and cron" in told["settings_problem"]
    assert (code, len(told["layers"])) == (0, len(Layer))


def test_people_read_what_is_missing_and_how_to_get_it() -> None:
    code, said = doctor(VAULTLOOP_LANDLOCK_ABI="1", COLUMNS="400")
    assert code == 1
    assert "missing  Landlock moves" in said
    assert "EXDEV" in said
    assert LAYERS[Layer.MOVES].remedy in said
    assert "group   refused" in said
    assert "found    connect guard" in said


def test_what_the_engine_does_without_is_optional_whether_the_machine_has_it_or_not() -> None:
    _, said = doctor(COLUMNS="400")
    for layer in (Layer.GROUPS, Layer.USER):
        (line,) = [line for line in said.splitlines() if LAYERS[layer].title in line]
        assert line.startswith("  optional ")
        assert LAYERS[layer].remedy not in said
    assert "missing  control group" not in said


def test_a_program_is_started_in_a_cell_to_see_that_the_layers_work_together() -> None:
    code, told = report(files={"true": "#!/bin/sh\necho no room >&2\nexit 3\n"}, PATH="{home}")
    assert code == 1
    assert "ended with 3" in told["cell_problem"]
    assert "no room" in told["cell_problem"]
    assert report()[1]["cell_problem"] == ""


def test_a_program_that_cannot_be_started_is_told_too() -> None:
    code, said = doctor(PATH="{home}", COLUMNS="400")
    assert code == 1
    assert "that should run in a cell did not: true cannot be started" in said


def programs(told: Any) -> dict[str, tuple[bool, str]]:
    return {each["name"]: (each["found"], each["detail"]) for each in told["programs"]}


def test_a_missing_agent_program_is_told_with_how_to_install_it() -> None:
    _, told = report(VAULTLOOP_CLAUDE="no-such-program")
    found, detail = programs(told)["claude"]
    assert not found
    assert "no-such-program" in detail
    assert "npm install -g @anthropic-ai/claude-code" in detail


@pytest.mark.parametrize(
    ("says", "found", "detail"),
    [
        ("2.1.330 (Claude Code)", True, "version 2.1.330"),
        ("1.0.3", False, "or newer is needed"),
        ("", False, ""),
    ],
    ids=["the tested version", "too old", "says nothing"],
)
def test_the_agent_program_is_asked_for_its_version(says: str, found: bool, detail: str) -> None:
    _, told = report(
        files={"claude": f"#!/bin/sh\necho '{says}'\n"},
        VAULTLOOP_CLAUDE="{home}/claude",
    )
    was_found, said = programs(told)["claude"]
    assert was_found is found
    assert detail in said


def test_other_programs_are_named_with_their_place() -> None:
    _, told = report()
    found, detail = programs(told)["ssh-keygen"]
    assert Path(detail).is_file() is found
