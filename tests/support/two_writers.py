"""A repository in which a human and an agent write commits by hand, and the merger that knows who is who."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pygit2.enums import FileMode

from vaultloop.vault.git.repository import Identity, Repository, Seal
from vaultloop.vault.git.signing import AuthorClass
from vaultloop.vault.git.trees import Leaf
from vaultloop.vault.merge.tree import Join, Merger

HUMAN = Identity("Hana Human", "hana@example.org")
SECOND_HUMAN = Identity("Sam Second", "sam@example.org")
AGENT = Identity("Vaultloop agent", "agent@localhost")
ENGINE = Identity("Vaultloop", "engine@localhost")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

# A file's text, its bytes, something else that a tree may hold, or None to delete it.
Files = Mapping[str, str | bytes | Leaf | None]


class TwoWriters:
    """One vault and who wrote what in it; each commit is a minute younger than the one before.

    Attributes:
        known: the class of each commit that is no merge.
    """

    def __init__(self, path: Path) -> None:
        self.repository = Repository.bare(path)
        self.known: dict[str, AuthorClass | None] = {}
        self.merger = Merger(self.repository, self.known.get)
        self._at = NOON

    def starts_at(self, at: datetime) -> None:
        """From now on commits are made from this time on, a minute after one another."""
        self._at = at

    def human(self, base: str | None, files: Files, *, who: Identity = HUMAN) -> str:
        """A human's commit on `base` with these files set or deleted."""
        return self._commit(self._tree(base, files), [base] if base else [], who, AuthorClass.HUMAN)

    def agent(self, base: str | None, files: Files, *, signer: Seal | None = None) -> str:
        """An agent's commit, likewise; with the engine's signature if there is a signer."""
        parents = [base] if base else []
        return self._commit(self._tree(base, files), parents, AGENT, AuthorClass.AGENT, signer)

    def merge(self, ours: str, theirs: str) -> str:
        """The commit of a join."""
        return self.merged(self.join(ours, theirs).tree, ours, theirs)

    def merged(self, tree: str, *parents: str) -> str:
        """A merge commit of this tree."""
        return self._commit(tree, list(parents), ENGINE, None)

    def join(self, ours: str, theirs: str) -> Join:
        """The join, which must be the same for both orders and another merger."""
        found = self.merger.joined(ours, theirs)
        assert Merger(self.repository, self.known.get).joined(theirs, ours) == found
        return found

    def joined(self, ours: str, theirs: str) -> dict[str, bytes]:
        """The files of the join, links included."""
        return self.files(self.join(ours, theirs).tree)

    def files(self, tree: str | None) -> dict[str, bytes]:
        """What a tree holds; of a submodule, its commit."""
        return {
            path: leaf.id.encode() if leaf.mode == FileMode.COMMIT else self.repository.blob(leaf.id)
            for path, leaf in self.repository.trees.leaves(tree)
        }

    def files_of(self, commit: str) -> dict[str, bytes]:
        return self.files(self.repository.tree_of(commit))

    def leaf(self, data: bytes, mode: FileMode = FileMode.BLOB) -> Leaf:
        """Something with this content."""
        return Leaf(self.repository.write_blob(data), mode)

    def _tree(self, base: str | None, files: Files) -> str:
        edits = {path: self._leaf(content) for path, content in files.items()}
        return self.repository.edit_leaves(base, edits)

    def _leaf(self, content: str | bytes | Leaf | None) -> Leaf | None:
        if content is None or isinstance(content, Leaf):
            return content
        return self.leaf(content.encode() if isinstance(content, str) else content)

    def _commit(
        self,
        tree: str,
        parents: list[str],
        who: Identity,
        known: AuthorClass | None,
        signer: Seal | None = None,
    ) -> str:
        self._at += timedelta(minutes=1)
        commit = self.repository.commit(tree, parents, "Edit\n", author=who, at=self._at, signer=signer)
        self.known[commit] = known
        return commit
