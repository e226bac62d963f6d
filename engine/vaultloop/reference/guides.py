"""What people wrote about a kind: its example note, and its guide."""

import inspect
import re
from pathlib import Path
from typing import Any

from vaultloop import components
from vaultloop.model.resource import Kind

# The hand-written chapters of a page, in their order; the second and third may be left out.
WORKING, CONDITIONS, PROBLEMS, DEBUGGING = CHAPTERS = (
    "Working with it",
    "Conditions",
    "Problems",
    "How to debug",
)


def example(kind: Kind[Any]) -> str:
    """The text of a kind's example note."""
    return _beside(kind, "example.md").read_text(encoding="utf-8")


def guide(kind: Kind[Any]) -> dict[str, str]:
    """The chapters of a kind's guide by their headings.

    Raises:
        ValueError: a chapter is missing, or there is one that has no place on a page.
    """
    file = _beside(kind, "guide.md")
    _, found = chapters(file.read_text(encoding="utf-8"))
    missing = {WORKING, DEBUGGING} - found.keys()
    odd = found.keys() - set(CHAPTERS)
    if missing or odd:
        raise ValueError(f"{file}: missing {sorted(missing)}, unknown {sorted(odd)}; known {CHAPTERS}.")
    return found


def general() -> tuple[str, dict[str, str]]:
    """What holds for every kind: the first words and the chapters by their headings."""
    return chapters((Path(inspect.getfile(components)).parent / "guide.md").read_text(encoding="utf-8"))


def chapters(text: str) -> tuple[str, dict[str, str]]:
    """What stands before the first heading of the second level, and the chapters by their headings."""
    first, *rest = re.split(r"^## ", text, flags=re.MULTILINE)
    pairs = (part.partition("\n") for part in rest)
    return first.strip(), {heading.strip(): body.strip() for heading, _, body in pairs}


def _beside(kind: Kind[Any], name: str) -> Path:
    """A file of the kind's own folder; kinds that share one put their names before it."""
    folder = Path(inspect.getfile(kind.spec)).parent
    own = folder / f"{kind.name}.{name}"
    return own if own.exists() else folder / name
