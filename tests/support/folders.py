"""Small vaults in plain folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaultloop.components import KINDS
from vaultloop.model.resource import AnyResource, Kind
from vaultloop.model.snapshot import Snapshot
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.notes.loader import FolderFiles, Loader

EXAMPLES = Path(__file__).parents[2] / "engine" / "vaultloop" / "components"


def write(vault: Path, notes: Mapping[str, str | bytes]) -> Path:
    """Put notes, by path, into a folder."""
    for path, text in notes.items():
        file = vault / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return vault


def loaded(vault: Path) -> Snapshot:
    """What a fresh loader understands of a folder."""
    return Loader(KINDS, Effort()).load(FolderFiles(vault, "folder"))


def declared(folder: Path, notes: Mapping[str, str]) -> dict[str, AnyResource]:
    """The resources of notes by name; the notes must be free of errors."""
    snapshot = loaded(write(folder, notes))
    assert not snapshot.errors, snapshot.errors
    return {ref.name: resource for ref, resource in snapshot.resources.items()}


def example(kind: Kind[Any]) -> str:
    """The example note of a kind, as it ships."""
    folders = {"mcp-server": "mcp", "reminder": "cron", "crontab": "cron"}
    prefix = f"{kind.name}." if kind.name in {"reminder", "crontab"} else ""
    return (EXAMPLES / folders.get(kind.name, kind.name) / f"{prefix}example.md").read_text(encoding="utf-8")
