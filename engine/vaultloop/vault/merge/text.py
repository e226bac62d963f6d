"""Bytes of a note as lines, and back, without changing a byte that nobody touched.

Lines are compared without their ends, so that a laptop which rewrites them all changes nothing else. What is
not UTF-8 travels as surrogates: a note in latin-1, or with a NUL byte, comes out as it went in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

_BOM = "\ufeff"
# In these every second byte is zero, and a line end is not one byte: not ours to take apart.
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


@dataclass(frozen=True, slots=True)
class Text:
    """A file as lines.

    Attributes:
        lines: without their ends; an empty one follows where the last is ended too.
        ends: what ends most of them, `\\n` or `\\r\\n`.
        marked: it begins with a byte order mark.
    """

    lines: tuple[str, ...] = ("",)
    ends: str = "\n"
    marked: bool = False

    def with_lines(self, lines: Sequence[str]) -> "Text":
        """Other lines in the same form."""
        return replace(self, lines=tuple(lines))

    @property
    def data(self) -> bytes:
        """The bytes."""
        text = (_BOM if self.marked else "") + self.ends.join(self.lines)
        return text.encode("utf-8", "surrogateescape")


def is_text(data: bytes) -> bool:
    """Whether lines end where a newline byte stands; not so in UTF-16."""
    return not data.startswith(_WIDE)


def read(data: bytes) -> Text:
    """The lines of a file; `read(data).data == data` wherever all its lines end alike."""
    text = data.decode("utf-8", "surrogateescape")
    marked = text.startswith(_BOM)
    *ended, last = text.removeprefix(_BOM).split("\n")
    returns = sum(line.endswith("\r") for line in ended)
    ends = "\r\n" if returns * 2 > len(ended) else "\n"
    return Text((*(line.removesuffix("\r") for line in ended), last), ends, marked)


def form(base: Text | None, one: Text, other: Text) -> Text:
    """The form of the result, without lines: whoever changed line ends or mark meant it.

    Without a base there is no telling, and the rule must not depend on who merges: line ends with a return,
    and a mark, stay if either side has them.
    """
    if base is None:
        base = Text()
    # Each has two values only: if both sides left the base's, they agree.
    ends = one.ends if one.ends != base.ends else other.ends
    marked = one.marked if one.marked != base.marked else other.marked
    return Text((), ends, marked)
