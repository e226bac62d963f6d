"""Git trees compared and changed in time that follows the change, never the size of the vault."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import pygit2
from pygit2.enums import FileMode, ObjectType

from vaultloop.vault.files import is_utf8
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.tree_bytes import entries_of, unlike

# Names that lead elsewhere, or into git itself.
_FORBIDDEN = frozenset({"", ".", "..", ".git"})


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a tree holds under a name: a file, a link, a submodule, or (inside this module) a subtree."""

    id: str
    mode: int

    @property
    def is_tree(self) -> bool:
        return self.mode == FileMode.TREE

    @property
    def is_file(self) -> bool:
        return self.mode in (FileMode.BLOB, FileMode.BLOB_EXECUTABLE)


def shown(path: str) -> str:
    """A path for a sentence, whatever its bytes are."""
    return path.encode("utf-8", "backslashreplace").decode()


LeafChange = tuple[Leaf | None, Leaf | None]


class Trees:
    """The trees of one repository; every object read is counted in `Effort.trees`."""

    def __init__(self, repository: pygit2.Repository, effort: Effort) -> None:
        self._repository = repository
        self._effort = effort

    def listing(self, tree: str | None) -> dict[str, Leaf]:
        """What one tree holds, by name; nothing for None."""
        if tree is None:
            return {}
        # Names that are not UTF-8 pass through: someone's old attachment must not stop the vault.
        return {
            item.raw_name.decode("utf-8", "surrogateescape"): Leaf(str(item.id), item.filemode)
            for item in self._tree(tree)
            if item.raw_name
        }

    def leaf(self, root: str | None, path: str) -> Leaf | None:
        """What lies at `path`, be it a subtree; the root itself for the empty path."""
        found = None if root is None else Leaf(root, FileMode.TREE)
        for name in path.strip("/").split("/") if path.strip("/") else ():
            if found is None or not found.is_tree:
                return None
            found = self._child(found.id, name)
        return found

    def _child(self, tree: str, name: str) -> Leaf | None:
        listing = self._tree(tree)
        if not is_utf8(name):
            return self.listing(tree).get(name)
        try:
            item = listing[name]
        except KeyError:
            return None
        return Leaf(str(item.id), item.filemode)

    def leaves(self, tree: str | None, prefix: str = "") -> Iterator[tuple[str, Leaf]]:
        """Everything below a tree but folders, sorted by path."""
        for name, leaf in sorted(self.listing(tree).items(), key=_path_order):
            if leaf.is_tree:
                yield from self.leaves(leaf.id, f"{prefix}{name}/")
            else:
                yield prefix + name, leaf

    def changes(self, old: str | None, new: str | None, prefix: str = "") -> dict[str, LeafChange]:
        """Each path that differs, with both sides; equal subtrees are not entered."""
        found: dict[str, LeafChange] = {}
        if old == new:
            return found
        before, after = self._unlike(old, new)
        for name in sorted(before.keys() | after.keys()):
            was, is_ = before.get(name), after.get(name)
            if was == is_:
                continue
            path = prefix + name
            if _subtree(was) or _subtree(is_):
                found |= self.changes(_subtree(was), _subtree(is_), path + "/")
            if _not_tree(was) or _not_tree(is_):
                found[path] = (_not_tree(was), _not_tree(is_))
        return found

    def disorder(self, old: str | None, new: str | None, prefix: str = "") -> str | None:
        """The first folder, of those that differ, which git would not have written; None if all are sound.

        A name that is there twice, or out of order, is one file for who lists the folder and another for who
        looks the name up.

        Raises:
            OddTreeError: one of them is no tree.
        """
        if new is None or old == new:
            return None
        entries = entries_of(self._bytes(new))
        leaves, before = _leaves(entries), _leaves(entries_of(self._bytes(old)))
        order = [name + b"/" if int(mode, 8) == FileMode.TREE else name for mode, name, _ in entries]
        if len(leaves) < len(entries) or order != sorted(order) or any(b"/" in entry[1] for entry in entries):
            return prefix or "./"
        below = ((name, leaf.id) for name, leaf in leaves.items() if leaf.is_tree)
        found = (self.disorder(_subtree(before.get(name)), id_, f"{prefix}{name}/") for name, id_ in below)
        return next(filter(None, found), None)

    def _unlike(self, old: str | None, new: str | None) -> tuple[dict[str, Leaf], dict[str, Leaf]]:
        """What two trees hold, without much of what is the same in both."""
        was, is_ = unlike(self._bytes(old), self._bytes(new))
        return _leaves(was), _leaves(is_)

    def _bytes(self, tree: str | None) -> bytes:
        if tree is None:
            return b""
        self._effort.trees += 1
        return self._repository.read(tree)[1]

    def edited(self, base: str | None, edits: Mapping[str, Leaf | None]) -> str:
        """The id of `base` with `edits` put in (or taken out, where None).

        Raises:
            ValueError: a file would replace a folder whose content is not taken out too, or the path is not
                one that git can hold.
        """
        for path in edits:
            if not _FORBIDDEN.isdisjoint(path.casefold().split("/")):
                raise ValueError(f"{shown(path)} is not a path that git can hold.")
        return self._edited(base, edits, "") or str(self._repository.TreeBuilder().write())

    def _edited(self, base: str | None, edits: Mapping[str, Leaf | None], prefix: str) -> str | None:
        here, below = _by_first_name(edits)
        odd = {name for name in (*here, *below) if not is_utf8(name)}
        builder = self._builder(base)
        for name, leaf in here.items():
            if leaf is None and name not in odd and _entry(builder, name, tree=False):
                builder.remove(name)
        for name, inner in below.items():
            if name not in odd:
                self._put(
                    builder, name, self._edited(_entry(builder, name, tree=True), inner, f"{prefix}{name}/")
                )
        for name, leaf in here.items():
            if leaf is None or name in odd:
                continue
            if _entry(builder, name, tree=True):
                raise ValueError(f"{prefix}{name} is a folder; a file cannot take its place.")
            builder.insert(name, leaf.id, FileMode(leaf.mode))
        tree = str(builder.write()) if len(builder) else None
        return self._with_odd(tree, self._odd(base, odd, here, below, prefix)) if odd else tree

    def _odd(
        self,
        base: str | None,
        names: Iterable[str],
        here: Mapping[str, Leaf | None],
        below: Mapping[str, Mapping[str, Leaf | None]],
        prefix: str,
    ) -> dict[str, Leaf | None]:
        """What `_edited` makes of the names in one tree that are not UTF-8."""
        found: dict[str, Leaf | None] = {}
        was = self.listing(base)
        for name in names:
            found[name] = was.get(name)
            if name in here and not _subtree(found[name]):
                found[name] = here[name]
            if name in below:
                inner = self._edited(_subtree(found[name]), below[name], f"{prefix}{name}/")
                found[name] = Leaf(inner, FileMode.TREE) if inner else _not_tree(found[name])
            if here.get(name) and _subtree(found[name]):
                raise ValueError(f"{shown(prefix + name)} is a folder; a file cannot take its place.")
            found[name] = here.get(name) or found[name]
        return found

    def _with_odd(self, tree: str | None, odd: Mapping[str, Leaf | None]) -> str | None:
        """`tree` with names that are not UTF-8 set or taken out; the binding's builder cannot write them."""
        leaves = self.listing(tree)
        for name, leaf in odd.items():
            if leaf is None:
                leaves.pop(name, None)
            else:
                leaves[name] = leaf
        # git sorts a folder as if its name ended in a slash.
        rows = sorted(
            (name.encode("utf-8", "surrogateescape") + (b"/" if leaf.is_tree else b""), leaf)
            for name, leaf in leaves.items()
        )
        data = b"".join(
            b"%o %s\0%s" % (leaf.mode, name.removesuffix(b"/"), bytes.fromhex(leaf.id)) for name, leaf in rows
        )
        return str(self._repository.write(ObjectType.TREE, data)) if rows else None

    def _tree(self, tree: str) -> pygit2.Tree:
        self._effort.trees += 1
        return cast("pygit2.Tree", self._repository[tree])

    def _builder(self, base: str | None) -> "pygit2.TreeBuilder":
        return self._repository.TreeBuilder(self._tree(base)) if base else self._repository.TreeBuilder()

    @staticmethod
    def _put(builder: "pygit2.TreeBuilder", name: str, subtree: str | None) -> None:
        # A subtree without content does not exist in git; a file of that name stays what it is.
        if subtree:
            builder.insert(name, subtree, FileMode.TREE)
        elif _entry(builder, name, tree=True):
            builder.remove(name)


def _leaves(entries: Iterable[tuple[bytes, bytes, bytes]]) -> dict[str, Leaf]:
    """Entries of a tree as it is written, by name."""
    return {
        name.decode("utf-8", "surrogateescape"): Leaf(id_.hex(), _mode(int(mode, 8)))
        for mode, name, id_ in entries
    }


def _mode(written: int) -> int:
    """A mode as libgit2 gives it: old versions of git wrote others for regular files."""
    if written & 0o170000 == FileMode.BLOB & 0o170000:
        return FileMode.BLOB_EXECUTABLE if written & 0o100 else FileMode.BLOB
    return written


def _by_first_name(
    edits: Mapping[str, Leaf | None],
) -> tuple[dict[str, Leaf | None], dict[str, dict[str, Leaf | None]]]:
    here: dict[str, Leaf | None] = {}
    below: dict[str, dict[str, Leaf | None]] = {}
    for path, leaf in edits.items():
        name, _, rest = path.partition("/")
        if rest:
            below.setdefault(name, {})[rest] = leaf
        else:
            here[name] = leaf
    return here, below


def _path_order(item: tuple[str, Leaf]) -> str:
    # As if the whole paths were sorted: a folder's name counts with its slash.
    name, leaf = item
    return name + "/" if leaf.is_tree else name


def _subtree(leaf: Leaf | None) -> str | None:
    return leaf.id if leaf and leaf.is_tree else None


def _not_tree(leaf: Leaf | None) -> Leaf | None:
    return None if leaf is None or leaf.is_tree else leaf


def _entry(builder: "pygit2.TreeBuilder", name: str, *, tree: bool) -> str | None:
    found = cast("pygit2.Object | None", builder.get(name))
    if found is None or (found.filemode == FileMode.TREE) is not tree:
        return None
    return str(found.id)
