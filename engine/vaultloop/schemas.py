"""Writes the JSON Schemas of all kinds: `python -m vaultloop.schemas FOLDER`."""

import sys
from pathlib import Path

from vaultloop.components import KINDS
from vaultloop.model.schema import schema_files


def write(folder: Path) -> None:
    """Make `folder` hold exactly the schemas of all kinds."""
    folder.mkdir(parents=True, exist_ok=True)
    files = schema_files(KINDS)
    for old in folder.glob("*.json"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
