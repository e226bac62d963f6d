"""Fixes: what `--fix` may touch, that it mends what it touches, and that all else stays to the byte."""

from pathlib import Path

import pytest

from support.folders import write as put
from support.notes import OWNER, cron, scope
from vaultloop.components import KINDS
from vaultloop.model.problem import Fix
from vaultloop.vault import fixes
from vaultloop.vault.fixes import Edit, Mending, applied, mended
from vaultloop.vault.keys import GRANTS, key_of
from vaultloop.vault.plain_folder import FolderFiles

CASES = Path(__file__).parents[1] / "vaults"
NAMES = sorted(case.name for case in CASES.iterdir() if (case / "vault").is_dir())

# What is corrected without asking, line by line: one case for each reason why that is safe.
CORRECTED = {
    "amount-with-comma": ("budget-usd-per-run: 0,50", "budget-usd-per-run: 0.50"),
    "bad-choice": ("overlap: Skipp", "overlap: skip"),
    "control-character": ("description: a\x07b", "description: ab"),
    "duration-in-words": ("stop-after: 5 minutes", "stop-after: 5m"),
    "fence-made-of-dashes": ("—-", "---"),
    "indented-key": ('  schedule: "0 7 * * *"', 'schedule: "0 7 * * *"'),
    "missing-space": ('schedule:"0 7 * * *"', 'schedule: "0 7 * * *"'),
    "near-kind": ("Kind: cron", "kind: cron"),
    "tab": ("\t- Notes", "  - Notes"),
    "timezone-is-a-city": ("timezone: Berlin", "timezone: Europe/Berlin"),
    "unclosed-quote": ('schedule: "0 7 * * *', 'schedule: "0 7 * * *"'),
    "unknown-key-near-miss": ("time-zone: Europe/Berlin", "timezone: Europe/Berlin"),
    "unknown-kind": ("kind: Crons", "kind: cron"),
    "yaml-tag": ("description: !important things", 'description: "!important things"'),
}

# What a person must decide: it lets somebody in, is one guess among several, or takes text away.
LEFT_ALONE = (
    "backslash-path",
    "capital-owner",
    "comment-instead-of-value",
    "date-without-time",
    "duration-without-unit",
    "equals-sign",
    "group-id-without-minus",
    "key-of-another-kind",
    "label-before-id",
    "link-instead-of-path",
    "mcp-server-without-command",
    "missing-field",
    "missing-reference-near-miss",
    "nobody",
    "one-id-twice",
    "people-missing",
    "secret",
    "several-ids-in-one-text",
    "unclosed-bracket",
    "unclosed-frontmatter",
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
                assert any(line.split() == old.split() for old in kept), line
    assert bool(mending.edits) == bool(mending.fixed)


def test_every_key_that_grants_something_is_one_that_some_kind_has() -> None:
    fields = {info.alias or name for kind in KINDS for name, info in kind.spec.model_fields.items()}
    assert fields >= GRANTS


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


def test_one_fix_may_bring_the_next_to_light_and_all_are_made(tmp_path: Path) -> None:
    text = "—-\nkind: crno\ntime-zone: Berlin\nscope: owner\nschedule: 0 7 * * *\n\nGo\n"
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


# On the disk.


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
