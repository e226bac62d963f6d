from pathlib import Path

import pytest

from vaultloop.runners import needs


def test_a_command_needs_the_files_and_folders_that_it_names_by_absolute_path(tmp_path: Path) -> None:
    script, settings = tmp_path / "agent.py", tmp_path / "settings.toml"
    for file in (script, settings):
        file.write_text("")
    words = [str(script), f"--settings={settings}", str(tmp_path), str(tmp_path / "not-there"), "agent.py"]
    found = list(needs.of(Path("/bin/sh"), [*words, "/" + "x" * 5000, "/dev/null", "--fast=/", "-c"]))
    assert found == [script, settings, tmp_path, Path("/")]


@pytest.mark.parametrize(
    ("line", "there"), [("#!{} -u", True), ("#! {}", True), ("{}", False), ("#!", False)]
)
def test_a_script_needs_the_interpreter_that_its_first_line_names(
    tmp_path: Path, line: str, there: bool
) -> None:
    interpreter, script = tmp_path / "interpreter", tmp_path / "agent"
    interpreter.write_text("")
    script.write_text(line.format(interpreter) + "\n")
    assert list(needs.of(script, ())) == [interpreter] * there


def test_a_python_of_a_virtual_environment_is_known_by_what_marks_it(tmp_path: Path) -> None:
    python, script = tmp_path / "venv" / "bin" / "python", tmp_path / "agent"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/sh")
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    script.write_text(f"#!{python}\n")
    assert list(needs.of(python, ())) == [tmp_path / "venv" / "pyvenv.cfg"]
    assert list(needs.of(script, ())) == [python, tmp_path / "venv" / "pyvenv.cfg"]
