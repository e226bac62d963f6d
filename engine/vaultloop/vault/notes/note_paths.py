"""Which notes a state of the vault holds, by path."""

from vaultloop.vault.files import Files
from vaultloop.vault.notes.glance import is_note
from vaultloop.vault.plain_folder import FolderFiles


def notes_in(files: Files) -> tuple[str, ...]:
    """The paths of all notes that people see; no note is read for it."""
    paths = files.paths() if isinstance(files, FolderFiles) else (entry.path for entry in files.under(""))
    return tuple(sorted(path for path in paths if is_note(path) and not _is_hidden(path)))


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))
