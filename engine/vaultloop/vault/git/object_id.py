"""The ids that git gives to content, computed without git."""

import hashlib
from collections.abc import Iterable

from vaultloop.vault.files import Entry

_FILE, _PROGRAM, _FOLDER = b"100644", b"100755", b"40000"


def blob_id(data: bytes) -> str:
    """The id of a file's content."""
    return _id(b"blob", data)


def tree_id(entries: Iterable[Entry], folder: str) -> str | None:
    """The id of `folder`, given every file below it; None without files: git knows no empty folder."""
    rows: list[tuple[bytes, bytes, str]] = []
    below: dict[str, list[Entry]] = {}
    for entry in entries:
        name, _, rest = entry.path[len(folder) + 1 if folder else 0 :].partition("/")
        if rest:
            below.setdefault(name, []).append(entry)
        else:
            rows.append((name.encode(), _PROGRAM if entry.executable else _FILE, entry.blob))
    for name, inner in below.items():
        tree = tree_id(inner, f"{folder}/{name}" if folder else name)
        assert tree is not None
        # git sorts a folder as if its name ended in a slash.
        rows.append((name.encode() + b"/", _FOLDER, tree))
    data = b"".join(
        b"%s %s\0%s" % (mode, name.removesuffix(b"/"), bytes.fromhex(id_)) for name, mode, id_ in sorted(rows)
    )
    return _id(b"tree", data) if rows else None


def _id(kind: bytes, data: bytes) -> str:
    return hashlib.sha1(b"%s %d\0" % (kind, len(data)) + data, usedforsecurity=False).hexdigest()
