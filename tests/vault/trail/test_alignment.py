"""Two texts laid beside each other."""

import pytest

from vaultloop.vault.trail.alignment import Course, Hunk, hunks, lines_of, same_lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [(b"", []), (b"\n", [b""]), (b"a", [b"a"]), (b"a\n", [b"a"]), (b"a\r\n\nb", [b"a\r", b"", b"b"])],
)
def test_the_line_feed_at_the_end_makes_no_line(data: bytes, lines: list[bytes]) -> None:
    assert lines_of(data) == lines


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (b"a\nb\nc\n", b"a\nb\nc", []),
        (b"a\nb\nc\n", b"a\r\nb\r\nc\r\n", []),
        (b"", b"a\nb\n", [Hunk(0, 0, 0, 2)]),
        (b"a\nb\n", b"", [Hunk(0, 2, 0, 0)]),
        (b"a\nb\nc\n", b"a\nX\nc\nd\n", [Hunk(1, 2, 1, 2), Hunk(3, 3, 3, 4)]),
        (b"a\0\nb\n", b"a\0\n\xe9\n", [Hunk(1, 2, 1, 2)]),
    ],
)
def test_hunks_are_counted_from_zero_and_know_no_line_ends(old: bytes, new: bytes, found: list[Hunk]) -> None:
    assert hunks(lines_of(old), lines_of(new)) == found


def test_lines_that_both_have_are_found_in_their_order() -> None:
    assert same_lines(lines_of(b"a\nb\nc\n"), lines_of(b"x\na\nc\nb\n")) in ({1: 0, 2: 2}, {1: 0, 3: 1})


def test_a_course_follows_lines_and_gaps_through_edits() -> None:
    course = Course(4)
    for older, newer in ((b"a\nb\nc\nd\n", b"0\na\nb\nc\nd\n"), (b"0\na\nb\nc\nd\n", b"0\nA\nb\nd\n")):
        course.follow(hunks(lines_of(older), lines_of(newer)))
    assert course.places == [1, 2, None, 3]
    assert course.gaps == [0, 2, 3, 3, 4]
