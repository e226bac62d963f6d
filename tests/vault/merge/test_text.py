import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultloop.vault.merge.text import Text, form, is_text, read


@given(st.binary(max_size=60))
def test_any_bytes_with_like_line_ends_come_back_as_they_were(data: bytes) -> None:
    plain = data.replace(b"\r", b"")
    assert read(plain).data == plain


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"a", b"a\r\nb\r\n", b"\xef\xbb\xbfa\n", b"caf\xe9\0\n", b"a\n\n\n"]
)
def test_line_ends_marks_and_odd_bytes_come_back_as_they_were(data: bytes) -> None:
    assert read(data).data == data


def test_lines_are_the_same_whatever_ends_them() -> None:
    assert read(b"a\r\nb\r\n").lines == read(b"a\nb\n").lines == ("a", "b", "")


def test_mixed_line_ends_become_those_of_most_lines() -> None:
    assert read(b"a\r\nb\r\nc\n").data == b"a\r\nb\r\nc\r\n"


def test_utf_16_has_no_lines() -> None:
    assert not is_text("a\n".encode("utf-16"))
    assert is_text(b"a\n")


def test_whoever_changed_line_ends_or_mark_meant_it() -> None:
    before, returns, marked = Text(), Text(ends="\r\n"), Text(marked=True)
    assert form(before, returns, marked) == Text((), "\r\n", True)
    assert form(returns, before, returns).ends == "\n"


def test_without_a_base_returns_and_mark_stay_if_either_has_them() -> None:
    assert form(None, Text(), Text(ends="\r\n", marked=True)) == Text((), "\r\n", True)
