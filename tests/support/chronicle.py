"""Random histories of one vault, kept twice: as commits, and as lines that know who wrote them.

The second is the oracle: `text` is what a note holds, also without one writer's edits; `writers` who wrote
each line. Nothing of it knows of differences between texts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random

from support.commits import NOON
from vaultloop.vault.files import Entry
from vaultloop.vault.git.repository import Identity, Repository


@dataclass(frozen=True)
class Written:
    """One line that somebody wrote; `gone` names who took it away."""

    number: int
    text: str
    writer: str
    gone: str | None = None


Lines = tuple[Written, ...]


@dataclass
class Chronicle:
    """A vault and who wrote what in it.

    Attributes:
        notes: of the newest revision, by path; with the lines that are gone.
        commit_of: the commit that each writer made.
    """

    repository: Repository
    random: Random
    notes: dict[str, Lines] = field(default_factory=dict)
    commit_of: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    count: int = 0

    def begin(self, paths: tuple[str, ...], lines: int) -> None:
        self.notes = {path: tuple(self._new("begin") for _ in range(lines)) for path in paths}
        self._commit("begin", [None])

    def edit(self, writer: str, edits: int, *, on: tuple[str, ...] | None = None) -> None:
        """`writer` changes some lines here and there, in one commit."""
        self.notes = self._edited(self.notes, writer, edits, on)
        self._commit(writer, [self.repository.head])

    def fork(self, one: str, other: str, edits: int) -> None:
        """Two edit different notes at the same time, and their lines are joined."""
        head, (first, second) = self.repository.head, self.random.sample(sorted(self.notes), 2)
        before = self.notes
        mine = self._edited(before, one, edits, (first,))
        theirs = self._edited(before, other, edits, (second,))
        here = self._write(one, mine, [head])
        there = self._write(other, theirs, [head])
        self.notes = {**mine, second: theirs[second]}
        self.repository.move(head, self._write("join", self.notes, [here, there]))

    def rename(self, writer: str, path: str, to: str) -> None:
        self.notes = {to if name == path else name: lines for name, lines in self.notes.items()}
        self._commit(writer, [self.repository.head])

    def text(self, path: str, *, without: str = "") -> str:
        """What a note holds, or would hold without one writer's edits."""
        return "".join(f"{line.text}\n" for line in self.notes[path] if _stands(line, without))

    def writers(self, path: str) -> list[str]:
        """Who wrote each line of a note."""
        return [line.writer for line in self.notes[path] if _stands(line, "")]

    def edited_since(self, writer: str) -> bool:
        """Whether somebody else changed or took away a line that `writer` wrote."""
        return any(
            line.writer == writer and line.gone not in (None, writer)
            for lines in self.notes.values()
            for line in lines
        )

    def _edited(
        self, notes: Mapping[str, Lines], writer: str, edits: int, on: tuple[str, ...] | None
    ) -> dict[str, Lines]:
        found = dict(notes)
        for _ in range(edits):
            path = self.random.choice(on or sorted(found))
            how: Callable[[Lines, str], Lines] = self.random.choice(
                (self._inserted, self._inserted, self._replaced, self._deleted)
            )
            found[path] = how(found[path], writer)
        return found

    def _inserted(self, lines: Lines, writer: str) -> Lines:
        # Above a line that stands, and below those that were taken away there: what comes back, comes first.
        places = [place for place, line in enumerate(lines) if line.gone is None]
        place = self.random.choice([*places, len(lines)])
        # But the line stands for what its writer took away there: one cannot write between them.
        while 0 < place < len(lines) and lines[place - 1].gone == lines[place].writer:
            place -= 1
        return (*lines[:place], self._new(writer), *lines[place:])

    def _replaced(self, lines: Lines, writer: str) -> Lines:
        place = self._standing(lines)
        if place is None:
            return lines
        return (*lines[:place], replace(lines[place], gone=writer), self._new(writer), *lines[place + 1 :])

    def _deleted(self, lines: Lines, writer: str) -> Lines:
        place = self._standing(lines)
        if place is None:
            return lines
        return (*lines[:place], replace(lines[place], gone=writer), *lines[place + 1 :])

    def _standing(self, lines: Lines) -> int | None:
        standing = [place for place, line in enumerate(lines) if line.gone is None]
        return self.random.choice(standing) if len(standing) > 1 else None

    def _new(self, writer: str) -> Written:
        self.count += 1
        words = self.random.choices(("milk", "rent", "Ada", "roses", "call", "- [ ]", "#tag"), k=3)
        return Written(self.count, f"{' '.join(words)} {self.count}", writer)

    def _commit(self, writer: str, parents: list[str | None]) -> None:
        self.repository.move(parents[0], self._write(writer, self.notes, parents))

    def _write(self, writer: str, notes: Mapping[str, Lines], parents: list[str | None]) -> str:
        edits = {
            path: Entry(path, self.repository.write_blob(_text(lines).encode()))
            for path, lines in notes.items()
        }
        self.count += 1
        commit = self.repository.commit(
            self.repository.edit(None, edits),
            [parent for parent in parents if parent],
            f"Edit of {writer}\n",
            author=Identity(writer, "somebody@example.org"),
            at=NOON + timedelta(minutes=self.count),
        )
        self.commit_of[writer] = commit
        return commit


def _text(lines: Lines) -> str:
    return "".join(f"{line.text}\n" for line in lines if line.gone is None)


def _stands(line: Written, without: str) -> bool:
    if without and line.writer == without:
        return False
    return line.gone is None or (bool(without) and line.gone == without)
