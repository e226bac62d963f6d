"""Fixes: what `--fix` may touch, that it mends what it touches, and that all else stays to the byte."""

import subprocess
from pathlib import Path

import pytest

from support.folders import write as put
from support.notes import OWNER, cron, scope
from vaultloop.components import KINDS
from vaultloop.model.errors import Stalled
from vaultloop.model.problem import Fix
from vaultloop.vault.notes import fixes
from vaultloop.vault.notes.fixes import Edit, Mending, applied, mended
from vaultloop.vault.notes.keys import GRANTING_KINDS, GRANTS, key_of
from vaultloop.vault.plain_folder import FolderFiles

CASES = Path(__file__).parents[2] / "vaults"
NAMES = sorted(case.name for case in CASES.iterdir() if (case / "vault").is_dir())

# What is corrected without asking, line by line: one case for each reason why that is safe.
CORRECTED = {
    "control-character": ("description: a\x07b", "description: ab"),
    "indented-key": ('  schedule: "0 7 * * *"', 'schedule: "0 7 * * *"'),
    "missing-space": ('schedule:"0 7 * * *"', 'schedule: "0 7 * * *"'),
    "timezone-is-a-city": ("timezone: Berlin", "timezone: Europe/Berlin"),
    "unclosed-quote": ('schedule: "0 7 * * *', 'schedule: "0 7 * * *"'),
    "unknown-key-near-miss": ("time-zone: Europe/Berlin", "timezone: Europe/Berlin"),
    "yaml-tag": ("description: !important things", 'description: "!important things"'),
}

# What a person must decide: it lets somebody in, is one guess among several, or takes text away.
LEFT_ALONE = (
    "amount-with-comma",
    "backslash-path",
    "bad-choice",
    "capital-owner",
    "comment-instead-of-value",
    "date-without-time",
    "duration-in-words",
    "duration-without-unit",
    "equals-sign",
    "fence-made-of-dashes",
    "group-id-without-minus",
    "key-of-another-kind",
    "label-before-id",
    "link-instead-of-path",
    "mcp-server-without-command",
    "missing-field",
    "missing-reference-near-miss",
    "near-kind",
    "nobody",
    "one-id-twice",
    "people-missing",
    "secret",
    "several-ids-in-one-text",
    "tab",
    "unclosed-bracket",
    "unclosed-frontmatter",
    "unknown-kind",
    "unknown-timezone",
    "yaml-anchor",
)


def fixed(vault: Path) -> Mending:
    return mended(FolderFiles(vault), lambda: KINDS, lambda _: True)


def lines(data: bytes) -> list[str]:
    return data.decode().split("\n")


def changed(edit: Edit) -> list[tuple[str, str]]:
    """The lines that differ; fixes of the cases here add none."""
    before, after = lines(edit.before), lines(edit.after)
    assert len(before) == len(after)
    return [(old, new) for old, new in zip(before, after, strict=True) if old != new]


@pytest.mark.parametrize("case", CORRECTED)
def test_what_was_unmistakably_meant_is_corrected_in_one_line_and_the_problem_is_gone(case: str) -> None:
    mending = fixed(CASES / case / "vault")
    (edit,) = mending.edits
    assert changed(edit) == [CORRECTED[case]]
    assert mending.left.problems == ()
    assert [problem.file for problem in mending.fixed] == [edit.path]


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_what_a_person_must_decide_is_left_alone(case: str) -> None:
    mending = fixed(CASES / case / "vault")
    assert mending.edits == ()
    assert mending.left.problems


@pytest.mark.parametrize("case", NAMES)
def test_in_every_case_a_fix_takes_its_problem_away_deletes_no_line_and_lets_nobody_in(case: str) -> None:
    mending = fixed(CASES / case / "vault")
    left = {(problem.file, problem.line, problem.code) for problem in mending.left.problems}
    assert not {(problem.file, problem.line, problem.code) for problem in mending.fixed} & left
    for edit in mending.edits:
        kept, new = lines(edit.before), lines(edit.after)
        assert len(new) >= len(kept)
        for line in new:
            if line not in kept and key_of(line) in GRANTS:
                raise AssertionError(line)
    assert bool(mending.edits) == bool(mending.fixed)


def test_every_key_that_grants_something_is_one_that_some_kind_has() -> None:
    fields = {info.alias or name for kind in KINDS for name, info in kind.spec.model_fields.items()}
    assert fields >= GRANTS
    assert {kind.name for kind in KINDS} >= GRANTING_KINDS


def test_a_key_that_grants_is_not_corrected_wherever_its_value_stands(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "agent/a.md": scope().replace("people:", "peple:"),
            "agent/b.md": '---\nkind: scope\nchats: owner\ncan-read:\n  - "Notes\n---\n',
            "agent/c.md": "---\nkind: scop\nchats: owner\n---\n",
            "agent/d.md": "---\nkind: scope\nchats: owner\nself-edit: alow\n---\n",
        },
    )
    mending = fixed(tmp_path)
    assert mending.edits == ()
    assert {problem.file for problem in mending.left.problems if problem.fix} == {
        "agent/a.md",
        "agent/b.md",
        "agent/c.md",
        "agent/d.md",
    }


# Rights and inert notes. Every line of these kinds stays, and no note begins to declare something.

OPEN = "chats: -1001234567890\npeople: anyone\n"


@pytest.mark.parametrize(
    "text",
    [
        f'---\nkind: scope\n{OPEN}can-read: "**"\n\nexcept: Private\npaused: true\n',
        f"---\nkind: scope\n{OPEN}can-write: Pub\n",
        f"--\nkind: scope\n{OPEN}can-write: Pub\n---\n",
        f"---\nkind: scope\n{OPEN}description: Old setting was\n  can-write: Pub\n---\n",
        f'---\nkind: scope\n{OPEN}can-read: "**"\nexcept: !Private\n---\n',
        f'---\nkind: scope\n{OPEN}can-read: "**"\nexcept: Private\\ Diary\n---\n',
        f"---\nkind: scope\n{OPEN}budget-usd-per-week: 20\n---\n",
        f"---\nkind: scope\n{OPEN}answers: mentionss\n---\n",
        f"---\nkind: scope\n{OPEN}<!-- can-write: Pub -->\n---\n",
        '---\nkind: defaults\ndescription: "Mine\ntimezone: UTC\n---\n',
        "—\nkind: rule\n---\nBe kind.\n",
        "---\nkind = rule\norder: 1\n",
        "---\nKind: rule\n---\nBe kind.\n",
        "---\nkind: rules\n---\nBe kind.\n",
        "---\nkind:rule\n---\nBe kind.\n",
    ],
)
def test_nothing_is_granted_and_no_note_begins_to_declare_something(tmp_path: Path, text: str) -> None:
    put(tmp_path, {"agent/owner.md": OWNER, "agent/note.md": text})
    mending = fixed(tmp_path)
    assert mending.edits == ()
    assert not any(problem.fix and problem.fix.safe for problem in mending.left.problems)
    assert any(problem.file == "agent/note.md" for problem in mending.left.problems)


HEAD = '---\nkind: cron\nschedule: "0 7 * * *"\nscope: "[[owner]]"\n'


@pytest.mark.parametrize(
    "line",
    [
        *(
            "catch-up: none",
            "overlap: skipp",
            "unpaused: true",
            "no-catch-up: once",
            "retrys: 2",
            "pausd: true",
        ),
        *("timezone: West", "timezone: Eastern", "timezone: Europe/Berln", "timezone: San Juan"),
        *("stop-after: 5 minutes", "budget-usd-per-run: 0,50", "retries: 1k", "send-when: allways"),
        *("send-to: !me", 'description: "Tea # at five', "start: 5m", "budget-usd-per-week: 2"),
        *("description: Tea\n  timezone: UTC", "tmezone: UTC\ntimezon: UTC", "<!-- overlap: queue"),
    ],
)
def test_what_may_mean_something_else_is_left_alone(tmp_path: Path, line: str) -> None:
    put(tmp_path, {"agent/owner.md": OWNER, "agent/job.md": f"{HEAD}{line}\n---\nGo\n"})
    mending = fixed(tmp_path)
    assert mending.edits == ()
    assert any(problem.file == "agent/job.md" for problem in mending.left.problems)


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("overlap: Queue", "overlap: queue"),
        ("overlap: Skip", "overlap: skip"),
        ("overlap: repalce", "overlap: replace"),
        ("start-within: 5 minutes", "start-within: 5m"),
        ("Start_Within: 5m", "start-within: 5m"),
        ("catchup: skip", "catch-up: skip"),
        ("timezone: europe/berlin", "timezone: Europe/Berlin"),
        ("description: 'Tea", "description: 'Tea'"),
        ("// Tea at five", "# Tea at five"),
        ("overlap: queue\n\tjitter: 5m", "overlap: queue\njitter: 5m"),
    ],
)
def test_one_slip_in_a_long_word_and_the_same_word_written_otherwise_are_corrected(
    tmp_path: Path, line: str, right: str
) -> None:
    note = f"{HEAD}{line}\n---\nGo\n"
    put(tmp_path, {"agent/owner.md": OWNER, "agent/job.md": note})
    mending = fixed(tmp_path)
    (edit,) = mending.edits
    assert edit.after.decode() == note.replace(line, right)
    assert mending.left.problems == ()


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\r"])
@pytest.mark.parametrize(
    "above",
    ["# every morning{}", "# a{0}b{0}c", "description: |\n  one{}two\n  three", "description: 'a{}b'"],
)
def test_a_fix_finds_its_line_below_a_character_in_which_yaml_sees_a_lines_end(
    tmp_path: Path, odd: str, above: str
) -> None:
    note = f"{HEAD}{above.format(odd)}\noverlap: repalce\nsend-to: owner\n---\nBuy milk\n"
    put(tmp_path, {"agent/owner.md": OWNER})
    (tmp_path / "agent/job.md").write_bytes(note.encode())
    (edit,) = fixed(tmp_path).edits
    assert edit.after.decode() == note.replace("repalce", "replace")


@pytest.mark.parametrize(
    ("key", "right"), [("stop-after", "5 minutes"), ("budget-usd-per-run", "0,50"), ("start-within", "5m")]
)
def test_in_a_table_too_a_key_that_grants_is_not_corrected(tmp_path: Path, key: str, right: str) -> None:
    value = "0,50" if key.startswith("budget") else "5 minutes"
    table = f"| name | schedule | scope | prompt | {key} |\n| - | - | - | - | - |\n"
    row = f"| tea | 0 7 * * * | [[owner]] | Tea? | {value} |\n"
    note = f"---\nkind: crontab\n---\n{table}{row}"
    put(tmp_path, {"agent/owner.md": OWNER, "agent/table.md": note.replace("| - ", "| --- ")})
    for edit in fixed(tmp_path).edits:
        (tmp_path / edit.path).write_bytes(edit.after)
    assert (tmp_path / "agent/table.md").read_text().endswith(f"| {right} |\n")


def test_a_note_whose_mending_would_harm_another_one_stays_as_it_is(tmp_path: Path) -> None:
    valid = HEAD + "id: tea\n---\nGo\n"
    twin = HEAD + "id: tea\noverlap: repalce\n---\nGo\n"
    other = HEAD + "overlap: repalce\n---\nGo\n"
    notes = {"agent/a.md": valid, "agent/b.md": twin, "agent/c.md": other}
    put(tmp_path, {"agent/owner.md": OWNER, **notes})
    mending = fixed(tmp_path)
    assert [edit.path for edit in mending.edits] == ["agent/c.md"]
    assert {problem.file for problem in mending.fixed} == {"agent/c.md"}
    (left,) = [problem for problem in mending.left.problems if problem.file == "agent/b.md"]
    assert left.fix is not None
    assert not left.fix.safe


def test_a_note_that_would_show_more_errors_once_mended_stays_as_it_is(tmp_path: Path) -> None:
    note = HEAD + "description: a\x07b\njitter: soon\nstart-within: later\n---\nGo\n"
    put(tmp_path, {"agent/owner.md": OWNER, "agent/job.md": note})
    mending = fixed(tmp_path)
    assert mending.edits == ()
    assert [problem.code for problem in mending.left.problems] == ["control-character"]


def test_one_fix_may_bring_the_next_to_light_and_all_are_made(tmp_path: Path) -> None:
    text = "---\nkind: cron\ntime-zone: Berlin\nscope: owner\nschedule: 0 7 * * *\n\nGo\n"
    put(tmp_path, {"agent/owner.md": OWNER, "agent/job.md": text})
    mending = fixed(tmp_path)
    (edit,) = mending.edits
    assert edit.after.decode() == (
        "---\nkind: cron\ntimezone: Europe/Berlin\nscope: owner\nschedule: 0 7 * * *\n---\n\nGo\n"
    )
    assert mending.left.problems == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a\r\nb\r\n", b"a\r\nB\r\n"),
        (b"a\nb", b"a\nB"),
        (b"\xef\xbb\xbfa\nb\nc", b"\xef\xbb\xbfa\nB\nc"),
        (b"a\nb\r\nc\n", b"a\nB\r\nc\n"),
        (b"a\nsomething else\n", b"a\nsomething else\n"),
        (b"a", b"a"),
    ],
)
def test_line_ends_the_byte_order_mark_and_the_files_end_stay(before: bytes, after: bytes) -> None:
    assert applied(before, [Fix(2, "b", "B", safe=True)]) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a\nb\n", b"a\nnew\nb\n"),
        (b"a\r\nb\r\n", b"a\r\nnew\r\nb\r\n"),
        (b"a", b"a\nnew"),
        (b"a\n", b"a\nnew\n"),
    ],
)
def test_an_added_line_ends_like_its_neighbours(before: bytes, after: bytes) -> None:
    assert applied(before, [Fix(1, None, "new", safe=True)]) == after


def test_a_line_added_behind_a_last_one_without_an_end_leaves_the_file_without_one() -> None:
    assert applied(b"a\r\nb", [Fix(2, None, "new", safe=True)]) == b"a\r\nb\r\nnew"


def test_several_fixes_of_one_note_do_not_move_each_other() -> None:
    made = [Fix(1, None, "x", safe=True), Fix(3, "c", "C", safe=True), Fix(1, "a", "A", safe=True)]
    assert applied(b"a\nb\nc\n", [made[0], made[1]]) == b"a\nx\nb\nC\n"
    assert applied(b"a\nb\nc\n", made[1:]) == b"A\nb\nC\n"


NAMES_OF_NOTES = ("agent/plain.md", "agent/two words.md", 'agent/a "quote".md', "agent/fünf\\sechs.md")


@pytest.mark.parametrize("tool", [("git", "apply", "-"), ("patch", "-p1", "-s")])
@pytest.mark.parametrize("inside", [".", "vaults/mine"])
def test_a_diff_is_taken_in_the_vaults_folder_whatever_its_notes_are_called(
    tmp_path: Path, tool: tuple[str, ...], inside: str
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    vault = tmp_path / inside
    wrong = cron(tmezone="UTC").removesuffix("\n")
    put(vault, {"agent/owner.md": OWNER, **dict.fromkeys(NAMES_OF_NOTES, wrong)})
    edits = fixed(vault).edits
    assert {edit.path for edit in edits} == set(NAMES_OF_NOTES)
    diff = "".join(edit.diff() for edit in edits)
    subprocess.run(tool, cwd=vault, input=diff, text=True, check=True)
    assert all((vault / edit.path).read_bytes() == edit.after for edit in edits)


# On the disk.


def test_a_note_that_cannot_be_written_keeps_none_of_the_others_and_both_are_told(tmp_path: Path) -> None:
    wrong = cron(tmezone="UTC")
    put(tmp_path, {"agent/owner.md": OWNER, **{f"agent/{name}.md": wrong for name in "abcd"}})
    edits = fixed(tmp_path).edits
    (tmp_path / "agent/b.md").unlink()
    (tmp_path / "agent/b.md").mkdir()
    put(tmp_path, {"agent/d.md": wrong + "More.\n"})
    with pytest.raises(Stalled) as raised:
        fixes.write(tmp_path, edits)
    assert str(raised.value).startswith("Fixed: agent/a.md, agent/c.md. agent/d.md was changed meanwhile ")
    assert "agent/b.md cannot be written: " in str(raised.value)
    assert "timezone: UTC" in (tmp_path / "agent/c.md").read_text()
    assert names(tmp_path / "agent") == ["a.md", "b.md", "c.md", "d.md", "owner.md"]


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_note_keeps_its_mode_and_nothing_else_is_left_in_its_folder(tmp_path: Path) -> None:
    put(tmp_path, {"agent/owner.md": OWNER, "agent/job.md": cron(tmezone="UTC")})
    note = tmp_path / "agent/job.md"
    note.chmod(0o640)
    assert fixes.write(tmp_path, fixed(tmp_path).edits) == ()
    assert "timezone: UTC" in note.read_text()
    assert note.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path / "agent") == ["job.md", "owner.md"]


def test_a_note_that_somebody_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    wrong = cron(tmezone="UTC")
    put(tmp_path, {"agent/owner.md": OWNER, "agent/a.md": wrong, "agent/b.md": wrong, "agent/c.md": wrong})
    edits = fixed(tmp_path).edits
    put(tmp_path, {"agent/a.md": wrong + "More.\n"})
    (tmp_path / "agent/b.md").unlink()
    assert fixes.write(tmp_path, edits) == ("agent/a.md", "agent/b.md")
    assert (tmp_path / "agent/a.md").read_text() == wrong + "More.\n"
    assert names(tmp_path / "agent") == ["a.md", "c.md", "owner.md"]
    assert "timezone: UTC" in (tmp_path / "agent/c.md").read_text()
