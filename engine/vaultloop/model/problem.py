"""What is wrong in a note, where, and what to write instead."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """An error keeps the note's new version from being applied; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Fix:
    """One edit of one note that makes a problem go away.

    Attributes:
        line: of the file, from 1.
        old: that line as it is, whole and without its end; None: `new` is a line to add below it.
        new: the line as it should be.
        safe: it says what the note says already, or what was unmistakably meant, and grants nobody
            anything: it may be made without asking.
    """

    line: int
    old: str | None
    new: str
    safe: bool = False

    @property
    def cure(self) -> str:
        """The edit as a sentence."""
        return f"Add the line `{self.new}`." if self.old is None else f"Write `{self.new}`."


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding in one note.

    Attributes:
        file: path in the vault, with `/`.
        line, column: where, both counted from 1; of the file, not of the frontmatter.
        code: stable kebab-case name of the kind of problem, for machines and for searching.
        message: what is wrong, one sentence.
        cure: what to do, if possible with the exact line: "Write `...`." puts it in place of `line`,
            "Add the line `...`" puts it below, "Delete this line." takes `line` away.
        fix: the cure as an edit, where it is one.
    """

    file: str
    line: int
    column: int
    severity: Severity
    code: str
    message: str
    cure: str
    fix: Fix | None = field(default=None, compare=False)

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR

    def as_json(self) -> dict[str, object]:
        """The shape that scripts are promised; `vaultloop check --json` adds the fix."""
        return {name: value for name, value in asdict(self).items() if name != "fix"}

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message} {self.cure}"
