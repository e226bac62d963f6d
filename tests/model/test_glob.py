"""Path patterns."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultloop.model.glob import matches, matches_any

PARTS = st.text(st.characters(blacklist_characters="/*?[]\\", blacklist_categories=["Cs", "Cc"]), min_size=1)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("personal/finances", "personal/finances/2026/tax.md", True),
        ("personal/finances/", "personal/finances/tax.md", True),
        ("/personal", "personal/x.md", True),
        ("personal/finances", "personal/finances-old/tax.md", False),
        ("finances", "personal/finances/tax.md", False),
        ("Inbox.md", "Inbox.md", True),
        ("Inbox.md", "Inbox.mdx", False),
        ("*.md", "Inbox.md", True),
        ("*.md", "a/Inbox.md", False),
        ("**", "any/thing/at/all", True),
        ("**/**", "any", True),
        ("**/**/*.md", "Inbox.md", True),
        ("**/*.md", "Inbox.md", True),
        ("**/*.md", "a/b/Inbox.md", True),
        ("a/**", "a/b/c.md", True),
        ("a/**", "b/a/c.md", False),
        ("a/**/z.md", "a/z.md", True),
        ("a/**/z.md", "a/b/c/z.md", True),
        ("202?/*", "2026/x.md", True),
        ("20[12]6", "2026", True),
        ("20[!12]6", "2026", False),
        ("a[", "a[", True),
        ("a.b", "axb", False),
        ("", "anything", False),
        ("/", "anything", False),
    ],
)
def test_a_pattern_matches(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


def test_composed_and_decomposed_names_are_the_same() -> None:
    assert matches("Cafe\u0301", "Caf\u00e9/menu.md")


def test_no_patterns_match_nothing() -> None:
    assert not matches_any((), "a")


@given(PATHS, PATHS)
def test_a_plain_path_matches_itself_and_what_lies_below_and_nothing_else(path: str, other: str) -> None:
    path, other = path.strip("/"), other.strip("/")
    if not path or not other:
        return
    assert matches(path, path)
    assert matches(path, f"{path}/{other}")
    if matches(path, other):
        assert (unicodedata.normalize("NFC", other) + "/").startswith(
            unicodedata.normalize("NFC", path) + "/"
        )
