"""A file is followed to its new name by spelling, by content, or by mostly the same text."""

import pytest
from pygit2.enums import FileMode

from vaultloop.vault.git.object_id import blob_id
from vaultloop.vault.git.trees import Leaf
from vaultloop.vault.merge.renames import MOST_PAIRS, moved_folder, renames

TEXT = b"".join(b"Line %d of a note\n" % number for number in range(20))


class Blobs:
    """Contents by id, and which of them were read."""

    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}
        self.read_ids: list[str] = []

    def leaf(self, data: bytes, mode: FileMode = FileMode.BLOB) -> Leaf:
        self._data[blob_id(data)] = data
        return Leaf(blob_id(data), mode)

    def read(self, blob: str) -> bytes:
        self.read_ids.append(blob)
        return self._data[blob]

    def renames(
        self, gone: dict[str, bytes], added: dict[str, bytes], wanted: set[str] | None = None
    ) -> dict[str, str]:
        old = {path: self.leaf(data) for path, data in gone.items()}
        new = {path: self.leaf(data) for path, data in added.items()}
        return renames(old, new, set(gone) if wanted is None else wanted, self.read)


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


def test_the_same_content_is_the_same_file_and_is_not_read(blobs: Blobs) -> None:
    assert blobs.renames({"a.md": b"short"}, {"b.md": b"short", "c.md": TEXT}) == {"a.md": "b.md"}
    assert len(blobs.read_ids) == 0


def test_of_several_with_one_content_those_of_one_name_belong_together(blobs: Blobs) -> None:
    gone = {"x/one.md": b"same", "x/two.md": b"same"}
    added = {"y/two.md": b"same", "y/one.md": b"same", "a.md": b"same"}
    assert blobs.renames(gone, added) == {"x/one.md": "y/one.md", "x/two.md": "y/two.md"}


def test_mostly_the_same_text_is_the_same_file_and_the_most_alike_is_taken(blobs: Blobs) -> None:
    added = {
        "less.md": TEXT[: len(TEXT) * 2 // 3],
        "most.md": TEXT + b"One more\n",
        "other.md": b"Other\n" * 20,
    }
    assert blobs.renames({"a.md": TEXT}, added) == {"a.md": "most.md"}


def test_two_different_texts_are_two_files(blobs: Blobs) -> None:
    assert blobs.renames({"a.md": b"One\nTwo\nThree\n"}, {"b.md": b"One\nOther\nThings\n"}) == {}


def test_a_change_of_case_or_of_composition_is_a_rename_whatever_else_changed(blobs: Blobs) -> None:
    gone = {"note.md": b"old", "Caf\u00e9.md": b"x"}
    added = {"Note.md": b"all new", "Cafe\u0301.md": b"y"}
    assert blobs.renames(gone, added) == {"note.md": "Note.md", "Caf\u00e9.md": "Cafe\u0301.md"}


def test_each_path_is_taken_once(blobs: Blobs) -> None:
    found = blobs.renames({"a.md": TEXT, "b.md": TEXT + b"b\n"}, {"c.md": TEXT + b"c\n"})
    assert len(found) == 1
    assert list(found.values()) == ["c.md"]


def test_two_empty_files_are_no_rename(blobs: Blobs) -> None:
    assert blobs.renames({"a.md": b""}, {"b.md": b""}) == {}


def test_a_link_is_no_renamed_file_of_the_same_text(blobs: Blobs) -> None:
    gone = {"a": blobs.leaf(TEXT)}
    assert renames(gone, {"b": blobs.leaf(TEXT + b"x\n", FileMode.LINK)}, {"a"}, blobs.read) == {}


def test_only_what_matters_is_read(blobs: Blobs) -> None:
    gone = {f"old/{number}.md": TEXT + b"%d\n" % number for number in range(50)}
    added = {f"new/{number}.md": TEXT + b"+%d\n" % number for number in range(50)}
    assert blobs.renames(gone, added, wanted=set()) == {}
    assert blobs.read_ids == []
    assert len(blobs.renames(gone, added, wanted={"old/7.md"})) == 1
    assert len(blobs.read_ids) == 51


def test_of_too_many_pairs_those_of_one_name_are_compared(blobs: Blobs) -> None:
    side = int(MOST_PAIRS**0.5) + 1
    gone = {f"old/{number}.md": TEXT + b"%d\n" % number for number in range(side)}
    added = {f"new/{number}.md": TEXT + b"+%d\n" % number for number in range(side)}
    found = blobs.renames(gone, added)
    assert found == {f"old/{number}.md": f"new/{number}.md" for number in range(side)}


def test_a_folder_went_where_most_of_its_files_went() -> None:
    moves = {"a/b/1.md": "c/b/1.md", "a/2.md": "c/2.md", "a/3.md": "elsewhere/3.md", "x.md": "y.md"}
    assert moved_folder("a", moves) == "c"
    assert moved_folder("a/b", moves) == "c/b"
    assert moved_folder("x", moves) is None
    assert moved_folder("a", {"a/1.md": "b/1.md", "a/2.md": "c/2.md"}) is None
    assert moved_folder("a", {"a/1.md": "b/renamed.md"}) is None
