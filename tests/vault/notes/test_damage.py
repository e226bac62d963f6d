"""What no note should hold, found in its bytes."""

import pytest

from vaultloop.vault.notes.damage import damage, not_utf8, nul_byte, unfinished_merge

MERGE = b"One\n<<<<<<< ours\nA\n=======\nB\n>>>>>>> theirs\n"


def test_marks_of_a_merge_count_only_together_and_in_order() -> None:
    found = unfinished_merge("a.md", MERGE)
    assert found is not None
    assert (found.line, found.column, found.code) == (2, 1, "conflict-markers")
    assert unfinished_merge("a.md", MERGE.replace(b"\n", b"\r\n")) is not None
    assert unfinished_merge("a.md", b"Title\n=======\nText\n") is None
    assert unfinished_merge("a.md", b"\n".join(reversed(MERGE.split(b"\n")))) is None


def test_a_place_is_counted_in_characters() -> None:
    found = nul_byte("a.md", "é\nhéllo\0".encode())
    assert found is not None
    assert (found.line, found.column) == (2, 6)
    found = not_utf8("a.md", "é\nh".encode() + b"\xe9")
    assert found is not None
    assert (found.line, found.column) == (2, 2)


@pytest.mark.parametrize("data", [b"Plain\n", "Größe\n".encode(), b"Gr\xf6\xdfe\n", b""])
def test_an_ordinary_note_may_be_in_any_encoding(data: bytes) -> None:
    assert list(damage("a.md", data)) == []


def test_a_secret_is_told_and_never_quoted() -> None:
    (found,) = damage("a.md", b"key: sk-ant-" + b"a" * 24 + b"\n")
    assert (found.line, found.column, found.code) == (1, 6, "secret")
    assert "aaaa" not in found.message + found.cure
