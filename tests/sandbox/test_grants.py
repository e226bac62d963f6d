import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import vaultloop
from support.cells import WHO, cell_at, ended, fence, python, run_by
from vaultloop.model.errors import Stalled
from vaultloop.sandbox.grants import program_of, reaches, remedy, ruleset

SHELL = Path("/bin/sh")


def test_the_view_is_written_where_the_policy_can_write_and_else_read(tmp_path: Path) -> None:
    writing, reading = cell_at(tmp_path), cell_at(tmp_path, writes=False)
    own = {str(tmp_path / "home"), str(tmp_path / "tmp")}
    assert set(ruleset(SHELL, writing, ()).write) == own | {str(tmp_path / "view")}
    assert set(ruleset(SHELL, reading, ()).write) == own
    assert str(tmp_path / "view") in ruleset(SHELL, reading, ()).read


def test_mounts_are_read_and_programs_of_the_operator_run(tmp_path: Path) -> None:
    finance, tools = tmp_path / "finance", tmp_path / "tools"
    finance.mkdir()
    tools.mkdir()
    rules = ruleset(SHELL, replace(cell_at(tmp_path), mounts={"finance": finance}), [tools])
    assert str(finance) in rules.read
    assert str(tools) in rules.execute
    assert str(finance) not in (*rules.write, *rules.execute)


def test_a_program_outside_of_the_systems_folders_is_granted_alone(tmp_path: Path) -> None:
    program = tmp_path / "tools" / "agent"
    rules = ruleset(program, cell_at(tmp_path), ())
    assert str(program) in rules.execute
    assert str(program.parent) not in rules.execute


def test_this_python_is_granted_with_its_libraries_and_our_package(tmp_path: Path) -> None:
    execute = [Path(path) for path in ruleset(Path(sys.executable), cell_at(tmp_path), ()).execute]
    needed = [
        Path(vaultloop.__file__).parent,
        *(Path(prefix) / "lib" for prefix in (sys.prefix, sys.base_prefix)),
    ]
    for folder in needed:
        assert any(folder.is_relative_to(granted) for granted in execute)


def test_what_lies_beside_a_virtual_environment_in_its_own_folder_is_not_granted(tmp_path: Path) -> None:
    execute = [Path(path) for path in ruleset(Path(sys.executable), cell_at(tmp_path), ()).execute]
    beside = Path(sys.prefix) / "vaultloop.toml"
    assert not any(beside.is_relative_to(granted) for granted in execute)


@pytest.mark.parametrize("kind", ["programs", "mounts", "command"])
def test_what_lies_in_the_vault_or_the_state_directory_is_neither_run_nor_shown(
    tmp_path: Path, kind: str
) -> None:
    private = tmp_path / "private"
    (private / "tools").mkdir(parents=True)
    place = private / "tools"
    cell = replace(cell_at(tmp_path), mounts={"tools": place} if kind == "mounts" else {})
    program = place / "agent.sh" if kind == "command" else SHELL
    with pytest.raises(Stalled, match=r"tools.* lies in .*private.*Keep programs and mounts outside"):
        ruleset(program, cell, [place] if kind == "programs" else [], [private])


@pytest.mark.parametrize("kind", ["programs", "mounts"])
def test_a_granted_folder_that_holds_the_cells_or_the_vault_is_refused(tmp_path: Path, kind: str) -> None:
    vault = tmp_path / "everything" / "vault"
    vault.mkdir(parents=True)
    cell = cell_at(tmp_path)
    for folder, private in ((tmp_path, ()), (vault.parent, (vault,)), (vault, (vault,))):
        mounts = {"all": folder} if kind == "mounts" else {}
        programs = [folder] if kind == "programs" else []
        with pytest.raises(Stalled, match=r"would read all of .*Move one of them"):
            ruleset(SHELL, replace(cell, mounts=mounts), programs, private)


def test_a_granted_folder_that_is_a_link_to_the_vault_is_refused_too(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    vault.mkdir()
    (tmp_path / "link").symlink_to(vault)
    with pytest.raises(Stalled, match="would read all of"):
        ruleset(SHELL, cell_at(tmp_path), [tmp_path / "link"], [vault])


def test_a_granted_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Stalled, match=r"nowhere is not there.*`programs` or `mounts`"):
        ruleset(SHELL, cell_at(tmp_path), [tmp_path / "nowhere"])


def test_out_of_reach_is_what_lies_outside_of_the_systems_and_the_operators_folders(tmp_path: Path) -> None:
    script, tools = tmp_path / "tools" / "agent.py", tmp_path / "tools"
    for known in ("/usr/bin/env", "/etc/passwd", "/dev/null"):
        assert reaches(SHELL, Path(known), ())
    assert not reaches(SHELL, script, ())
    assert reaches(script, script, ())
    assert reaches(SHELL, script, [tools])
    tools.mkdir()
    (tmp_path / "link").symlink_to(tools)
    assert reaches(SHELL, tmp_path / "link" / "agent.py", [tools])
    assert reaches(Path(sys.executable), Path(sys.prefix) / "lib", ())
    assert not reaches(SHELL, Path("/etc/shadow"), ())


def test_the_remedy_for_a_file_out_of_reach_is_a_line_that_keeps_what_was_named(tmp_path: Path) -> None:
    script, more = tmp_path / "tools" / "agent.py", Path("/opt/more")
    line = f'`programs = ["/opt/more", "{script.parent}"]`'
    assert remedy(script, [more], ()) == f"Write {line} in vaultloop.toml."


def test_the_remedy_never_names_a_folder_in_which_people_keep_other_things(tmp_path: Path) -> None:
    vault = tmp_path / "all" / "vault"
    for folder in (Path("/srv"), Path("/home/hana"), Path.home(), vault.parent, vault):
        told = remedy(folder / "agent.py", (), [vault])
        assert f'"{folder}"' not in told
        assert "move it into a folder of its own" in told


@pytest.mark.parametrize("place", ["view", "home", "tmp"])
def test_a_program_that_a_session_could_have_written_is_never_run(tmp_path: Path, place: str) -> None:
    cell = cell_at(tmp_path)
    program = tmp_path / place / "agent.sh"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "link").symlink_to(program)
    for command in (str(program), f"../{place}/agent.sh", str(tmp_path / "link")):
        with pytest.raises(Stalled, match="it lies in the vault"):
            program_of([command], cell)


def test_programs_are_looked_for_where_the_environment_of_the_cell_says(tmp_path: Path) -> None:
    cell = cell_at(tmp_path)
    assert program_of(["sh"], cell) == Path("/usr/bin/sh")
    with pytest.raises(Stalled, match="sh cannot be started"):
        program_of(["sh"], replace(cell, environment={"PATH": str(tmp_path)}))


# What opens of what is named, one line each.
OPENER = """
import errno, os, sys
for path in sys.argv[1:]:
    try:
        os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(1)
        print('opened')
    except OSError as error:
        print(errno.errorcode[error.errno])
"""


async def opened(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What a program in a cell can open, and what it cannot."""
    (folder / "other").mkdir()
    async with fence() as launcher, launcher.launch(["cat"], cell_at(folder / "other")) as other:
        (folder / "other/home/secret").write_text("x")
        (folder / "state.db").write_text("x")
        cell = cell_at(folder)
        (folder / "view/note.md").write_text("x")
        granted = [
            "/etc/passwd",
            "/etc/hosts",
            "/proc/self/maps",
            "/proc/meminfo",
            "/dev/urandom",
            "/usr/bin",
        ]
        granted += [str(cell.view / "note.md"), str(cell.home), str(cell.scratch)]
        refused = [
            "/",
            "/etc",
            "/etc/shadow",
            "/etc/ssl/private",
            "/tmp",
            "/home",
            "/root",
            "/var",
            "/run",
            "/proc",
        ]
        refused += [
            "/dev/shm",
            "/dev/tty",
            "/dev/zero",
            "/dev/kmsg",
            "/sys",
            "/proc/1/cmdline",
            "/proc/net/tcp",
        ]
        names = ("environ", "cmdline", "maps", "mem", "fd", "root", "cwd", "task")
        others = (os.getpid(), launcher.zygote, other.pid)
        refused += [f"/proc/{pid}/{name}" for pid in others for name in names]
        refused += [
            str(folder),
            str(folder / "state.db"),
            str(folder / "other"),
            str(folder / "other/home/secret"),
        ]
        refused += [
            f"{cell.view}/../state.db",
            f"/proc/self/root{folder}/state.db",
            "/proc/self/cwd/../state.db",
        ]
        there = [path for path in (*granted, *refused) if os.path.lexists(path)]
        result = await ended(launcher, python(OPENER, *there), cell)
        assert result.status == 0, result
        said = dict(zip(there, result.output.split(), strict=True))
        return {path: said.get(path, "") for path in granted}, {p: said[p] for p in refused if p in said}


@pytest.mark.parametrize("who", WHO)
def test_a_program_opens_what_is_granted_and_nothing_else(who: str) -> None:
    granted, refused = run_by(who, opened)
    assert granted == dict.fromkeys(granted, "opened")
    # /dev/tty of a process without one is not even looked for.
    assert {path for path, said in refused.items() if said not in ("EACCES", "ENXIO", "EPERM")} == set()
    assert len(refused) > 30
