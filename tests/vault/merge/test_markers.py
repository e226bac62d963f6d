import pytest

from vaultloop.vault.merge.markers import mended

OURS = "# T\n\n<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> phone\n\nend\n"


def test_both_parts_of_a_conflict_are_kept_and_its_markers_are_gone() -> None:
    assert mended(OURS.encode()) == b"# T\n\nours\n\ntheirs\n\nend\n"


def test_line_ends_with_a_return_stay() -> None:
    assert mended(OURS.replace("\n", "\r\n").encode()) == b"# T\r\n\r\nours\r\n\r\ntheirs\r\n\r\nend\r\n"


def test_where_git_wrote_down_the_base_the_parts_are_joined_with_it() -> None:
    torn = (
        "<<<<<<< a\n- [x] buy milk\n||||||| 1a2b3c\n- [ ] buy milk\n=======\n- [ ] buy oat milk\n>>>>>>> b\n"
    )
    assert mended(torn.encode()) == b"- [x] buy oat milk\n"


def test_of_one_line_changed_by_both_ours_stays_and_theirs_is_folded() -> None:
    torn = "<<<<<<< a\none\n||||||| 1a2b3c\nbase\n=======\nother\n>>>>>>> b\n"
    assert mended(torn.encode()) == b"one\n\n> [!conflict]- b\n> other\n"


def test_no_property_stands_twice() -> None:
    torn = "---\nkind: note\n<<<<<<< HEAD\nstatus: open\n=======\nstatus: done\n>>>>>>> b\n---\nText\n"
    assert (
        mended(torn.encode())
        == b"---\nkind: note\nstatus: open\n---\nText\n\n> [!conflict]- b\n> status: done\n"
    )


def test_several_conflicts_and_one_within_another_are_mended() -> None:
    inner = "<<<<<<< a\none\n=======\n<<<<<<< b\ntwo\n=======\nthree\n>>>>>>> c\n>>>>>>> d\n"
    found = mended((OURS + inner).encode())
    assert found is not None
    assert [line for line in found.decode().split("\n") if line] == [
        "# T",
        "ours",
        "theirs",
        "end",
        "one",
        "two",
        "three",
    ]


def test_mending_again_finds_nothing() -> None:
    found = mended(OURS.encode())
    assert found is not None
    assert mended(found) is None


def test_markers_between_lines_of_code_leave_both_pieces_of_code() -> None:
    torn = "```\na\n<<<<<<< x\nb\n=======\nc\n>>>>>>> y\nd\n```\n"
    found = mended(torn.encode())
    assert found is not None
    assert "<<<<<<<" not in found.decode()
    assert {"b", "c"} <= {line.removeprefix("> ") for line in found.decode().split("\n")}


@pytest.mark.parametrize(
    "text",
    [
        "plain\n",
        "```\n<<<<<<< HEAD\n```\nis what git writes\n",
        "  <<<<<<< HEAD\n  a\n  =======\n  b\n  >>>>>>> c\n",
        "Title\n=======\n\n>>>>>>> quoted\n",
        "<<<<<<< HEAD\na\n>>>>>>> b\n=======\n",
    ],
    ids=["none", "in code", "indented", "a heading and a quote", "out of order"],
)
def test_anything_less_than_a_whole_conflict_stays(text: str) -> None:
    assert mended(text.encode()) is None
