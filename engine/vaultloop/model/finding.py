"""Something wrong with a field, before anybody knows where in which note the field is written."""

from dataclasses import dataclass

from vaultloop.model.problem import Severity


@dataclass(frozen=True, slots=True)
class Place:
    """Part of one line of the text below the frontmatter, as the kind was given it.

    Attributes:
        line, column: counted from 1.
        end: the column after it.
    """

    line: int
    column: int
    end: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What a kind says about its own fields; the loader turns it into a problem with a file and a line.

    Attributes:
        field: the key as notes write it, or `body`.
        code, message, cure: as in `Problem`.
        write: text to put in place of the value; the cure is then the whole corrected line.
        add: a line to add to the frontmatter; the cure then quotes it.
        item: index of the wrong item where the value is a list.
        safe: what stands in `write` was unmistakably meant; see `Fix`.
    """

    field: str
    code: str
    message: str
    cure: str = ""
    write: str | None = None
    add: str | None = None
    item: int | None = None
    place: Place | None = None
    severity: Severity = Severity.ERROR
    safe: bool = False
