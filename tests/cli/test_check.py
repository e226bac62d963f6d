"""`vaultloop check` as a person reads it: where, what, the line with a caret, and what to write instead."""

import json
import subprocess
from pathlib import Path

import pytest

from support.folders import write
from support.installation import COMMAND, environment
from support.notes import OWNER, cron, note
from support.vault_clone import VaultClone

GOOD = {"agent/scopes/owner.md": OWNER}
WRONG = cron(schedule="0 25 * * *")


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
        "agent/crons/digest.md:3:11: error: In `0 25 * * *`: `25` is not a valid hour. [bad-schedule]",
        '    3 | schedule: "0 25 * * *"',
        "      |           ^",
        "      = The hour is a number from 0 to 23; lists `1,2`, ranges `1-3`.",
        "",
        "1 declaration, 1 error, 0 warnings.",
    ]


def test_a_warning_is_shown_likewise_and_does_not_fail(tmp_path: Path) -> None:
    write(tmp_path, {**GOOD, "agent/rules/kind.md": note("rule", "Be kind.", colour="blue")})
    code, said = check(str(tmp_path))
    assert code == 0
    assert "agent/rules/kind.md:3:1: warning:" in said
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
    assert check(here=good, VAULTLOOP_FOLDER=str(bad))[0] == 0
    assert check(here=tmp_path, VAULTLOOP_FOLDER=str(bad))[0] == 1
    assert check(here=tmp_path, VAULTLOOP_FOLDER="~/bad", HOME=str(tmp_path))[0] == 1
    assert check(str(good), VAULTLOOP_FOLDER=str(bad))[0] == 0


def test_where_no_vault_is_around_the_one_of_the_settings_is_checked_and_named(tmp_path: Path) -> None:
    bad = write(tmp_path / "bad", {"agent/rule.md": note("rule", "x", order="first")})
    good = write(tmp_path / "good", GOOD)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (config := tmp_path / "vaultloop.toml").write_text('folder = "bad"\n')
    code, said = check(here=elsewhere, VAULTLOOP_CONFIG=str(config))
    assert (code, f" in {bad}, 1 error" in said) == (1, True)
    assert check(here=tmp_path)[0] == 1
    assert check(here=good, VAULTLOOP_CONFIG=str(config)) == (0, "1 declaration, no problems.\n")
    assert check(here=elsewhere, VAULTLOOP_CONFIG=str(config), VAULTLOOP_FOLDER=str(good))[0] == 0
    assert check(here=elsewhere, VAULTLOOP_CONFIG=str(tmp_path / "missing.toml"))[0] == 78


def test_nobody_is_advised_to_make_a_vault_of_a_clone_of_something_else(tmp_path: Path) -> None:
    assert f"vaultloop init {tmp_path}" in check(here=tmp_path)[1]
    (tmp_path / ".git").mkdir()
    (below := tmp_path / "src").mkdir()
    code, said = check(here=below)
    assert (code, "init" in said, "Name the vault's folder" in said) == (66, False, True)
    (tmp_path / ".obsidian").mkdir()
    assert "vaultloop init" in check(here=below)[1]


def test_the_corrected_line_is_shown_below_the_wrong_one(tmp_path: Path) -> None:
    write(tmp_path, {**GOOD, "agent/crons/digest.md": cron(tmezone="Europe/Berlin")})
    message = "There is no key `tmezone`; `timezone` is what a `cron` note has."
    assert check(str(tmp_path))[1].splitlines() == [
        f"agent/crons/digest.md:5:1: error: {message} [unknown-key] [*]",
        "    5 | tmezone: Europe/Berlin",
        "      | ^",
        "    5 + timezone: Europe/Berlin",
        "",
        "1 declaration, 1 error, 0 warnings; --fix corrects 1 of them [*].",
    ]


def test_a_line_to_add_is_shown_where_it_belongs(tmp_path: Path) -> None:
    write(tmp_path, {"agent/crons/digest.md": '---\nkind: cron\nscope: "[[owner]]"\n---\nGo\n', **GOOD})
    said = check(str(tmp_path))[1].splitlines()
    assert said[1:4] == ["    2 | kind: cron", "      | ^", '    3 + schedule: "0 7 * * *"']


def test_all_problems_of_all_notes_are_told_at_once_in_their_order(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            **GOOD,
            "agent/b.md": cron(tmezone="UTC", retrise=1),
            "agent/a.md": cron(scope="nobody"),
            "CLAUDE.md": "See @agent/missing.md\n",
        },
    )
    _, said = check(str(tmp_path))
    places = [line.split(": ")[0] for line in said.splitlines() if ".md:" in line]
    assert places == ["CLAUDE.md:1:5", "agent/a.md:4:8", "agent/b.md:5:1", "agent/b.md:6:1"]


def test_a_line_that_holds_a_secret_is_shown_without_it(tmp_path: Path) -> None:
    secret = "sk-ant-" + "a" * 24
    write(tmp_path, {"agent/rule.md": note("rule", "Be kind.", description=f"key {secret}", order="first")})
    for words in ((), ("--json",), ("--diff",)):
        _, said = check(str(tmp_path), *words)
        assert "aaaa" not in said


# What is looked at.


def test_only_what_is_asked_for_is_told_and_references_still_know_all_notes(tmp_path: Path) -> None:
    write(
        tmp_path, {**GOOD, "agent/crons/a.md": WRONG, "agent/crons/b.md": WRONG, "agent/rules/c.md": cron()}
    )
    folder, one = check(str(tmp_path / "agent/crons")), check(str(tmp_path / "agent/crons/b.md"))
    assert folder[1].count("error:") == 2
    assert one[1].count("error:") == 1
    assert "agent/crons/b.md" in one[1]
    assert check(str(tmp_path / "agent/rules"), str(tmp_path / "agent/scopes")) == (
        0,
        "2 declarations, no problems.\n",
    )


def test_the_vault_is_found_from_a_folder_in_it(tmp_path: Path) -> None:
    write(tmp_path, {**GOOD, "agent/crons/a.md": WRONG, "Projects/Garden/Note.md": "Text\n"})
    for here in ("Projects/Garden", "agent/crons", "agent"):
        assert check(here=tmp_path / here)[0] == 1
    assert check("Note.md", here=tmp_path / "Projects/Garden")[0] == 0


def test_the_search_for_the_vault_ends_where_the_repository_ends(tmp_path: Path) -> None:
    write(tmp_path, {**GOOD, "code/.git/HEAD": "x", "code/src/a.py": ""})
    assert check(here=tmp_path / "code/src")[0] == 66


def test_an_ordinary_note_that_is_named_is_checked_for_what_no_note_should_hold(tmp_path: Path) -> None:
    write(tmp_path, {**GOOD, "Note.md": "<<<<<<< ours\nA\n=======\nB\n>>>>>>> theirs\n"})
    assert check(str(tmp_path))[0] == 0
    code, said = check(str(tmp_path / "Note.md"))
    assert code == 1
    assert "[conflict-markers]" in said


def test_a_folder_that_is_no_vault_says_so_with_a_cure_and_a_code_of_its_own(tmp_path: Path) -> None:
    code, said = check(str(tmp_path))
    assert code == 66
    assert f"There is no vault at {tmp_path}" in said
    assert f"vaultloop init {tmp_path}" in said
    write(tmp_path, {"Agent/owner.md": OWNER})
    code, said = check(str(tmp_path))
    assert code == 66
    assert "`Agent` must be named `agent`" in said


def test_what_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    code, said = check(str(tmp_path / "missing"))
    assert code == 64
    assert "missing" in said
    assert check(here=tmp_path, VAULTLOOP_FOLDER=str(tmp_path / "missing"))[0] == 64


def test_two_vaults_at_once_are_wrong_usage(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", GOOD), write(tmp_path / "b", GOOD)
    code, said = check(str(a), str(b))
    assert code == 64
    assert "two vaults" in said


def test_a_link_is_told_and_not_followed(tmp_path: Path) -> None:
    real = write(tmp_path / "real", GOOD)
    vault = tmp_path / "vault"
    vault.mkdir()
    (vault / "agent").symlink_to(real / "agent")
    code, said = check(str(vault))
    assert (code, "agent:1:1: error: This is a link." in said) == (1, True)
    (real / "Note.md").symlink_to("agent/scopes/owner.md")
    assert "[link]" in check(str(real / "Note.md"))[1]
    (tmp_path / "way").symlink_to(real)
    assert check(str(tmp_path / "way"))[0] == 0


def test_the_notes_in_a_folder_that_is_named_are_checked_like_those_named_singly(tmp_path: Path) -> None:
    write(tmp_path, {**GOOD, "Notes/Deep/a.md": "<<<<<<< ours\n=======\n>>>>>>> theirs\n"})
    code, said = check(str(tmp_path / "Notes"))
    assert code == 1
    assert "Notes/Deep/a.md:1:1: error:" in said


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "check", str(write(tmp_path, GOOD))],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "Error: What was found cannot be written: No space left on device.\n"


# How it is told.


def test_json_holds_every_problem_and_the_edit_that_mends_it(tmp_path: Path) -> None:
    write(tmp_path, {**GOOD, "agent/crons/digest.md": cron(tmezone="UTC", schedule="0 25 * * *")})
    code, said = check(str(tmp_path), "--json")
    schedule, key = json.loads(said)["problems"]
    assert code == 1
    assert schedule["fix"] is None
    assert key == {
        "file": "agent/crons/digest.md",
        "line": 5,
        "column": 1,
        "severity": "error",
        "code": "unknown-key",
        "message": "There is no key `tmezone`; `timezone` is what a `cron` note has.",
        "cure": "Write `timezone: UTC`.",
        "fix": {"line": 5, "old": "tmezone: UTC", "new": "timezone: UTC", "safe": True},
    }


def test_quiet_prints_problems_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert check(str(tmp_path), "--quiet") == (0, "")
    write(tmp_path, {"agent/crons/digest.md": WRONG})
    code, said = check(str(tmp_path), "-q")
    assert code == 1
    assert "declaration," not in said


@pytest.mark.parametrize("strict", ["--strict", "--warnings-as-errors"])
def test_warnings_fail_where_that_is_asked_for(tmp_path: Path, strict: str) -> None:
    write(tmp_path, {**GOOD, "agent/rules/kind.md": note("rule", "Be kind.", colour="blue")})
    assert check(str(tmp_path))[0] == 0
    assert check(str(tmp_path), strict)[0] == 1
    assert check(str(write(tmp_path / "good", GOOD)), strict)[0] == 0


def test_colours_are_for_terminals_and_for_those_who_ask_for_them(tmp_path: Path) -> None:
    write(tmp_path, {**GOOD, "agent/crons/digest.md": cron(tmezone="UTC")})
    assert "\x1b[" not in check(str(tmp_path))[1]
    assert "\x1b[32mtimezone: UTC" in check(str(tmp_path), FORCE_COLOR="1")[1]
    assert "\x1b[" not in check(str(tmp_path), FORCE_COLOR="1", NO_COLOR="1")[1]


# Fixing.


def test_fix_corrects_what_is_safe_and_leaves_the_rest(tmp_path: Path) -> None:
    text = cron(tmezone="UTC", start_within="5 minutes", retries="many")
    write(tmp_path, {**GOOD, "agent/crons/digest.md": text})
    code, said = check(str(tmp_path), "--fix")
    assert code == 1
    assert (tmp_path / "agent/crons/digest.md").read_text() == text.replace("tmezone", "timezone").replace(
        "5 minutes", "5m"
    )
    assert "retries: many" in said
    assert said.endswith("Fixed 2 problems in 1 note. 1 declaration, 1 error, 0 warnings.\n")
    write(tmp_path, {"agent/crons/digest.md": cron(tmezone="UTC")})
    assert check(str(tmp_path), "--fix") == (0, "Fixed 1 problem in 1 note. 2 declarations, no problems.\n")


def test_fix_touches_only_the_notes_that_are_named(tmp_path: Path) -> None:
    wrong = cron(tmezone="UTC")
    write(tmp_path, {**GOOD, "agent/crons/a.md": wrong, "agent/crons/b.md": wrong})
    assert check("a.md", "--fix", here=tmp_path / "agent/crons")[0] == 0
    assert (tmp_path / "agent/crons/a.md").read_text() != wrong
    assert (tmp_path / "agent/crons/b.md").read_text() == wrong


@pytest.mark.parametrize("words", [("--diff",), ("--fix", "--diff"), ("--fix", "--dry-run")])
def test_a_diff_shows_what_fix_would_do_and_writes_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    wrong = cron(tmezone="UTC").removesuffix("\n")
    vault = VaultClone.fresh(tmp_path)
    vault.write("agent/scopes/owner.md", OWNER)
    vault.write("agent/crons/digest.md", wrong)
    done = subprocess.run(
        [*COMMAND, "check", *words],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "Would fix 1 problem in 1 note. 1 declaration, 1 error, 0 warnings.\n"
    assert vault.read("agent/crons/digest.md") == wrong
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=done.stdout, text=True, check=True)
    assert vault.read("agent/crons/digest.md") == wrong.replace("tmezone", "timezone")
    assert check(str(tmp_path))[0] == 0


def test_json_of_fixing_tells_what_was_fixed_and_what_is_left(tmp_path: Path) -> None:
    write(tmp_path, {**GOOD, "agent/crons/digest.md": cron(tmezone="UTC", retries="many")})
    found = json.loads(check(str(tmp_path), "--fix", "--json")[1])
    assert [problem["code"] for problem in found["fixed"]] == ["unknown-key"]
    assert [problem["code"] for problem in found["problems"]] == ["bad-number"]


def test_what_is_staged_is_not_fixed(tmp_path: Path) -> None:
    assert check("--staged", "--fix", here=write(tmp_path, GOOD))[0] == 64


def test_checking_what_is_staged_without_a_repository_says_so(tmp_path: Path) -> None:
    code, said = check("--staged", here=write(tmp_path, GOOD))
    assert code == 1
    assert "no git repository" in said
