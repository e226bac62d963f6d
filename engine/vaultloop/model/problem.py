"""What is wrong in a note, where, and what to write instead."""

from dataclasses import asdict, dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error keeps the note's new version from being applied; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


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
    """

    file: str
    line: int
    column: int
    severity: Severity
    code: str
    message: str
    cure: str

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR

    def as_json(self) -> dict[str, object]:
        """The shape that `vaultloop check --json` promises."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message} {self.cure}"
