"""Writes what is generated from the kinds: `python -m vaultloop.schemas FOLDER [TYPES_JSON]`."""

import sys
from pathlib import Path

from vaultloop.components import KINDS
from vaultloop.model.schema import property_types_file, schema_files


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
    for path in map(Path, sys.argv[2:]):
        path.write_text(property_types_file(KINDS), encoding="utf-8")
