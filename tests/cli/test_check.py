"""`vaultloop check` as a person reads it: where, what, the line with a caret, and what to write instead."""

import subprocess
from pathlib import Path

import pytest

from support.folders import write
from support.installation import COMMAND, environment
from support.notes import OWNER, cron, note

GOOD = {"agent/scopes/owner.md": OWNER}


def check(*words: str, here: Path | None = None, **variables: str) -> tuple[int, str]:
    """The exit code of the command, and what it says."""
    done = subprocess.run(
        [*COMMAND, "check", *words],
        env=environment(COLUMNS="200", **variables),
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_an_error_is_shown_with_its_line_a_caret_and_the_cure(tmp_path: Path) -> None:
    write(tmp_path, {**GOOD, "agent/crons/digest.md": cron(schedule="0 25 * * *")})
    code, said = check(str(tmp_path))
    assert code == 1
    assert said.splitlines() == [
        "agent/crons/digest.md:3:11 error In `0 25 * * *`: `25` is not a valid hour.",
        '    3 | schedule: "0 25 * * *"',
        "      |           ^",
        "      = The hour is a number from 0 to 23; lists `1,2`, ranges `1-3`.",
        "      [bad-schedule]",
        "1 declaration, 1 error, 0 warnings.",
    ]


def test_a_warning_is_shown_likewise_and_does_not_fail(tmp_path: Path) -> None:
    write(tmp_path, {**GOOD, "agent/rules/kind.md": note("rule", "Be kind.", colour="blue")})
    code, said = check(str(tmp_path))
    assert code == 0
    assert "agent/rules/kind.md:3:1 warning" in said
    assert said.endswith("2 declarations, 0 errors, 1 warning.\n")


def test_a_vault_without_problems_says_so(tmp_path: Path) -> None:
    assert check(str(write(tmp_path, GOOD))) == (0, "1 declaration, no problems.\n")


def test_the_caret_stands_below_its_place_also_behind_wide_letters(tmp_path: Path) -> None:
    line = 'chats: ["-1001234567890 家族の部屋", anyone]'
    write(tmp_path, {"agent/family.md": f"---\nkind: scope\n{line}\npeople: anyone\n---\n"})
    _, said = check(str(tmp_path))
    shown = said.splitlines()
    caret = shown[shown.index(f"    3 | {line}") + 1]
    # Each of the five letters takes two columns.
    assert caret.index("^") == len("    3 | ") + line.index("anyone") + 5


def test_what_stands_in_a_note_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    write(tmp_path, {"agent/rule.md": "---\nkind: rule\ndescription: \x1b[2J\x07gone\n---\nBe kind.\n"})
    code, said = check(str(tmp_path))
    assert code == 1
    assert not {"\x1b", "\x07"} & set(said)


def test_without_a_path_the_vault_is_here_or_where_the_environment_says(tmp_path: Path) -> None:
    bad = write(tmp_path / "bad", {"agent/rule.md": note("rule", "x", order="first")})
    good = write(tmp_path / "good", GOOD)
    assert check(here=bad)[0] == 1
    assert check(here=good)[0] == 0
    assert check(here=good, VAULTLOOP_FOLDER=str(bad))[0] == 1
    assert check(str(good), VAULTLOOP_FOLDER=str(bad))[0] == 0


@pytest.mark.parametrize("path", ["missing", "a-file"])
def test_what_is_no_folder_is_wrong_usage(tmp_path: Path, path: str) -> None:
    (tmp_path / "a-file").touch()
    code, said = check(str(tmp_path / path))
    assert code == 64
    assert path in said
