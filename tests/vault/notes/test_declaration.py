"""One note by itself, whatever it holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.folders import example
from vaultloop.components import KINDS
from vaultloop.vault.notes.declaration import Declaration, declared

BY_NAME = {kind.name: kind for kind in KINDS}
FOLDERS = sorted({kind.folder for kind in KINDS})
KEYS = sorted({key for kind in KINDS for key in kind.spec.frontmatter()})

LINES = st.one_of(
    st.sampled_from(
        ["---", "--- ", "—", "...", "", " ", "\t", "- a", "  - b", "# x", "text", "{", "[", "|", "\r"]
    ),
    st.builds("kind: {}".format, st.sampled_from([*BY_NAME, "corn", "", "[cron]", '"scope"'])),
    st.builds("{}: {}".format, st.sampled_from(KEYS), st.text(max_size=12)),
    st.builds("{}{}".format, st.sampled_from(["", "  ", "- ", "\t"]), st.text(max_size=12)),
    st.sampled_from(
        ["| name | schedule | scope |", "|---|---|---|", "| a | @daily | [[x]] |", "## a", "```"]
    ),
)
NOTES = st.lists(LINES, max_size=12).map("\n".join) | st.text(max_size=80)


def read(data: bytes, path: str = "agent/crons/x.md") -> Declaration:
    return declared(path, "", data, BY_NAME)


def is_told_within(note: Declaration, text: str) -> None:
    lines = text.removeprefix("\ufeff").split("\n")
    for problem in note.problems:
        assert 1 <= problem.line <= len(lines), problem
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
        assert problem.message, problem
        assert problem.cure, problem
        if problem.fix is not None and problem.fix.old is not None:
            assert problem.fix.old == lines[problem.fix.line - 1].rstrip("\r"), problem


@given(NOTES, st.sampled_from(FOLDERS))
@settings(deadline=None, max_examples=300)
def test_any_text_is_answered_within_the_note_and_nothing_raises(text: str, folder: str) -> None:
    data = text.encode(errors="replace")
    is_told_within(read(data, f"agent/{folder}/x.md"), data.decode())


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_answered_and_nothing_raises(data: bytes) -> None:
    is_told_within(read(b"---\nkind: cron\n" + data), (b"---\nkind: cron\n" + data).decode(errors="replace"))


@given(st.sampled_from(KINDS), st.data())
@settings(deadline=None)
def test_an_example_with_anything_in_it_is_answered_and_nothing_raises(
    kind: object, data: st.DataObject
) -> None:
    text = example(kind)  # type: ignore[arg-type]  # a kind of anything
    at = data.draw(st.integers(0, len(text)))
    odd = data.draw(st.text(max_size=6) | LINES)
    mixed = (text[:at] + odd + text[data.draw(st.integers(at, min(len(text), at + 9))) :]).encode(
        errors="replace"
    )
    is_told_within(read(mixed), mixed.decode())


CRON = "---\nkind: cron\nschedule: '@daily'\nscope: x\n---\nLook.\n"


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("agent/crons/a.md", CRON.replace("kind: cron\n", ""), "cron"),
        ("agent/a.md", CRON.replace("kind: cron\n", ""), "cron"),
        ("agent/crons/a.md", CRON.replace("kind", "Kind"), "cron"),
        ("agent/a.md", CRON.removeprefix("---\n"), "cron"),
        ("agent/a.md", "\n" + CRON, "cron"),
        ("agent/a.md", CRON.replace("---", "—", 1), "cron"),
        ("agent/scopes/a.md", "---\ncan-read: '**'\n---\n", "scope"),
    ],
)
def test_a_note_that_lost_its_kind_keeps_its_name_so_that_its_last_good_version_is_kept(
    path: str, text: str, kind: str
) -> None:
    note = read(text.encode(), path)
    assert note.problems
    assert note.ref is not None
    assert (note.ref.kind, note.ref.name, note.spec) == (kind, "a", None)


@pytest.mark.parametrize(
    "text",
    ["", "Text.\n", "# Title\n\nkind of blue\n", "---\ntags: [x]\n---\n", "---\nurl: x\nstatus: y\n---\n"],
)
def test_an_ordinary_note_beside_the_declarations_is_left_alone(text: str) -> None:
    note = read(text.encode(), "agent/notes/a.md")
    assert (note.problems, note.ref) == ((), None)


def test_the_references_of_a_note_with_another_mistake_are_kept_to_be_looked_at() -> None:
    note = read(CRON.replace("@daily", "0 25 * * *").replace("scope: x", "scope: '[[kitchen|x]]'").encode())
    assert note.spec is None
    assert note.draft is not None
    assert getattr(note.draft, "scope", None) == "kitchen"


@pytest.mark.parametrize("line", ["kind=emmory", "kind cronn", "kind = x y"])
def test_where_a_line_is_told_to_be_wrong_nothing_is_told_about_what_was_made_of_it(line: str) -> None:
    found = read(f"---\n{line}\ntier: hot\n---\n".encode())
    (problem,) = [problem for problem in found.problems if problem.line == 2]
    assert problem.code == "no-colon"


def test_no_line_is_offered_that_is_the_line_itself() -> None:
    for text in ("---\nkind=e memory\n---\n", "---\nkind = cron\n", "---\nkind: cron\noverlap=skipp\n---\n"):
        for problem in read(text.encode()).problems:
            assert problem.fix is None or problem.fix.old != problem.fix.new


def test_of_two_keys_that_were_meant_to_be_one_none_is_renamed() -> None:
    text = "---\nkind: cron\ntmezone: UTC\ntimezon: UTC\n---\nGo\n"
    told = [problem for problem in read(text.encode()).problems if problem.code == "unknown-key"]
    assert [(problem.line, problem.fix) for problem in told] == [(3, None), (4, None)]
    assert "Line 4 may mean it too" in told[0].cure
    assert "Line 3 may mean it too" in told[1].cure
