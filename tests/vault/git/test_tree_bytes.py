"""Two git trees compared as bytes: the same as comparing them entry by entry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultloop.vault.git.tree_bytes import Entry, OddTreeError, unlike

# Ids and names with the bytes that could be taken for the ends of others.
IDS = st.binary(min_size=20, max_size=20) | st.sampled_from(
    [b"100644 a\0" + b"x" * 11, b"\0" * 20, b" " * 20]
)
NAMES = st.binary(min_size=1, max_size=4).filter(lambda name: b"\0" not in name and b"/" not in name)
MODES = st.sampled_from([b"100644", b"40000", b"120000", b"100755", b"160000"])
TREES = st.dictionaries(NAMES, st.tuples(MODES, IDS), max_size=12)


def written(tree: dict[bytes, tuple[bytes, bytes]]) -> bytes:
    def place(name: bytes) -> bytes:
        return name + (b"/" if tree[name][0] == b"40000" else b"")

    return b"".join(b"%s %s\0%s" % (tree[name][0], name, tree[name][1]) for name in sorted(tree, key=place))


def entries(tree: dict[bytes, tuple[bytes, bytes]]) -> set[Entry]:
    return {(mode, name, id_) for name, (mode, id_) in tree.items()}


@given(TREES, TREES, st.booleans())
def test_what_differs_is_found_and_nothing_that_is_not_there(
    one: dict[bytes, tuple[bytes, bytes]], other: dict[bytes, tuple[bytes, bytes]], apart: bool
) -> None:
    new = other if apart else {**one, **other}
    left, right = map(set, unlike(written(one), written(new)))
    assert left - right == entries(one) - entries(new)
    assert right - left == entries(new) - entries(one)


def test_of_many_entries_only_the_one_that_differs_is_looked_at() -> None:
    many = {b"%06d" % number: (b"100644", b"i" * 20) for number in range(5_000)}
    changed = {**many, b"002500": (b"100644", b"j" * 20)}
    assert unlike(written(many), written(changed)) == (
        [(b"100644", b"002500", b"i" * 20)],
        [(b"100644", b"002500", b"j" * 20)],
    )


@pytest.mark.parametrize("odd", [b"no tree", b"100644 a\0short", b"100644 \0" + b"i" * 20])
def test_bytes_that_are_no_tree_are_refused(odd: bytes) -> None:
    with pytest.raises(OddTreeError):
        unlike(odd, b"")


@given(TREES.filter(bool), st.data())
def test_of_trees_that_are_alike_in_front_the_rest_is_found(
    one: dict[bytes, tuple[bytes, bytes]], data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(sorted(one)))
    new = {name: entry for name, entry in one.items() if name != gone}
    left, right = map(set, unlike(written(one), written(new)))
    assert (left - right, right - left) == (entries({gone: one[gone]}), set())
