"""The words of a prompt that each run replaces, and those that only look as if it did."""

import re
from collections.abc import Collection, Iterator

from vaultloop.model.finding import Finding, Place
from vaultloop.model.problem import Severity
from vaultloop.model.words import near_miss, shape

# When the last run began; the notes that changed since then.
PLACEHOLDERS = ("last-run", "changed-notes")

# What Obsidian replaces in its templates, and only there: what to write to an agent instead.
_OF_TEMPLATES = {"date": "today's date", "time": "the current time", "title": "this note"}
_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")


def misread(
    text: str, known: Collection[str] = PLACEHOLDERS, *, line: int = 1, column: int = 1
) -> Iterator[Finding]:
    """A warning for each placeholder in `text` that stays as it is; `text` begins at `line` and `column`."""
    for number, row in enumerate(text.split("\n")):
        shift = column if number == 0 else 1
        for found in _PLACEHOLDER.finditer(row):
            if found[1].strip().lower() not in known:
                place = Place(line + number, found.start() + shift, found.end() + shift)
                yield _finding(found[1].strip(), known, place)


def _finding(word: str, known: Collection[str], place: Place) -> Finding:
    typed = f"{{{{{word}}}}}"
    template = _OF_TEMPLATES.get(shape(word).partition(":")[0])
    if (meant := near_miss(word, known)) is not None:
        message, write = f"`{typed}` is not replaced; `{{{{{meant}}}}}` is.", f"{{{{{meant}}}}}"
    elif template is not None:
        message = f"`{typed}` is a word of Obsidian's templates and is not replaced here."
        write = template
    else:
        choice = " and ".join(f"`{{{{{name}}}}}`" for name in known)
        message = f"`{typed}` is not replaced" + (f"; {choice} are." if choice else ".")
        write = word or "..."
    return Finding(
        "body", "unknown-placeholder", message, write=write, place=place, severity=Severity.WARNING
    )
