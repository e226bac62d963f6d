"""What a folder's git was told to leave out of it (sparse checkout): it is missing there, and not deleted."""

from pathlib import Path

from vaultloop.vault.folder.settling import Signature, signature_of
from vaultloop.vault.git.index import kept_out


class Sparse:
    """Reads the index when it has changed; that is the only place where git says it of each file."""

    def __init__(self, git_dir: Path | None) -> None:
        """`git_dir` is None for a folder without git: then nothing is left out."""
        self._index = git_dir / "index" if git_dir is not None else None
        self._read_at: Signature | None = None
        self._paths: frozenset[str] = frozenset()

    def leaves_out(self, path: str) -> bool:
        """Whether a file is missing in the folder because git keeps it out."""
        self._refresh()
        if not self._paths:
            return False
        parts = path.split("/")
        folders = ("/".join(parts[:count]) + "/" for count in range(1, len(parts)))
        return path in self._paths or any(folder in self._paths for folder in folders)

    def _refresh(self) -> None:
        if self._index is None:
            return
        try:
            signature = signature_of(self._index.stat())
        except OSError:
            return
        if signature != self._read_at:
            self._paths, self._read_at = kept_out(self._index), signature
