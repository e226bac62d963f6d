"""The text of a note as markdown: its lines without comments, its tables and headings, the cells of a line.

markdown-it says what is a table, a heading or plain text. Where in its line each cell stands it does not say,
so the lines of a table are split here. Comments are taken out first: within a table they would end it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vaultloop.model.finding import Place

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)|^[ \t]*%%.*?%%[ \t]*$", re.DOTALL | re.MULTILINE)
_BAR = re.compile(r"(?<!\\)\|")
_ESCAPED = re.compile(r"\\([^\w\s])")
# Bold, in italics, or as code.
_MARKED = re.compile(r"(\*\*|__|`|\*|_)(?=\S)(.+)(?<=\S)\1")
_BREAK = re.compile(r"[ \t]*<br[ ]*/?>[ \t]*", re.IGNORECASE)
_RULER = re.compile(r"[ \t|:-]*-[ \t|:-]*")


@dataclass(frozen=True, slots=True)
class Block:
    """A table, a heading or a paragraph on the note's own level.

    Attributes:
        begin, end: its lines, by index; `end` is the first line after it.
        level: of a heading, from 1.
        title: of a heading.
    """

    begin: int
    end: int
    level: int = 0
    title: str = ""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of a text in their order, by what they are."""

    tables: tuple[Block, ...]
    headings: tuple[Block, ...]
    paragraphs: tuple[Block, ...]


class Text:
    """The lines of a text without its comments; each by its index, and its place where it was written."""

    def __init__(self, written: str) -> None:
        self._numbered = list(_without_comments(written))

    def __len__(self) -> int:
        return len(self._numbered)

    def __getitem__(self, index: int) -> str:
        return self._numbered[index][1]

    def is_empty(self, index: int) -> bool:
        """Whether there is nothing on a line."""
        return not self[index].strip()

    def between(self, begin: int, end: int) -> str:
        """Several lines as one text."""
        return "\n".join(line for _, line in self._numbered[begin:end])

    def place(self, index: int, begin: int = 0, end: int | None = None) -> Place:
        """The place of a line, or of its characters from `begin` to `end`."""
        number, line = self._numbered[index]
        return Place(number, begin + 1, (len(line) if end is None else end) + 1)

    def blocks(self) -> Blocks:
        """Its blocks."""
        from markdown_it import MarkdownIt  # noqa: PLC0415 - one kind needs it; every start would pay for it

        tokens = MarkdownIt("commonmark").enable("table").parse(self.between(0, len(self)))
        found: dict[str, list[Block]] = {"table_open": [], "heading_open": [], "paragraph_open": []}
        # What is opened has something after it: the text of a heading is the next token.
        for token, content in pairwise(tokens):
            if token.type in found and token.level == 0 and token.map is not None:
                title = content.content if token.type == "heading_open" else ""
                level = int(token.tag[1:]) if token.type == "heading_open" else 0
                # A line of dashes below several lines makes them all one heading; nobody means that.
                kind = "paragraph_open" if "\n" in title else token.type
                begin, end = token.map
                found[kind].append(Block(begin, end, level, title))
        return Blocks(*(tuple(blocks) for blocks in found.values()))


def _without_comments(written: str) -> Iterator[tuple[int, str]]:
    """Each line with its number, from 1; lines on which only a comment stands are left out."""
    masked = _COMMENT.sub(lambda comment: re.sub(r"[^\n]", "\0", comment[0]), written.replace("\0", " "))
    for number, line in enumerate(masked.split("\n"), start=1):
        # markdown-it takes a lone carriage return for a line end; the line numbers here do not.
        shown = line.replace("\0", " ").replace("\r", " ")
        if shown.strip() or "\0" not in line:
            yield number, shown


@dataclass(frozen=True, slots=True)
class Cell:
    """Part of a line, from the character `begin` to `end`."""

    line: str
    begin: int
    end: int

    @property
    def written(self) -> str:
        return self.line[self.begin : self.end]

    @property
    def value(self) -> str:
        """Without the escapes that a table asks for, and without marks around it."""
        marked = _MARKED.fullmatch(self.written)
        return _ESCAPED.sub(r"\1", marked[2] if marked else self.written.strip())

    @property
    def paragraph(self) -> str:
        """With `<br>` for line ends, as in a table."""
        return _BREAK.sub("\n", self.written.replace("\\|", "|"))


def cells(line: str) -> list[Cell]:
    """The cells of a line of a table."""
    bars = [bar.start() for bar in _BAR.finditer(line)]
    stripped = line.strip()
    inner = bars[1:] if stripped.startswith("|") else bars
    first = bars[0] + 1 if inner is not bars and bars else 0
    if inner and stripped.endswith("|") and inner[-1] == len(line.rstrip()) - 1:
        ends = inner
    else:
        ends = [*inner, len(line)]
    starts = [first, *(bar + 1 for bar in ends[:-1])]
    return [_trimmed(line, start, end) for start, end in zip(starts, ends, strict=True)]


def _trimmed(line: str, start: int, end: int) -> Cell:
    inside = line[start:end]
    begin = start + len(inside) - len(inside.lstrip())
    # An empty cell is where its text would stand.
    return Cell(line, begin, begin + len(inside.strip())) if inside.strip() else Cell(line, start, end)


def is_ruler(line: str) -> bool:
    """Whether a line looks like the one of dashes between the headings of a table and its rows."""
    return _RULER.fullmatch(line) is not None


def ruler(columns: Sequence[object]) -> str:
    """The line of dashes that so many columns need."""
    return "|" + " --- |" * len(columns)
