"""Where the links and images of a text lead, as any reader of markdown may see it.

Readers differ, so it is read twice: by a plain look at brackets, and by the parser.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

# Characters. Longer texts are not parsed (that takes a second per 400,000): there an image leads to every
# address in its paragraph.
LONGEST_PARSED = 200_000

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufffd\U000e0000-\U000e007f]"
)
_LINE_END = re.compile("\r\n?|[\x0c\x85\u2028\u2029]")

_BRACKET = re.compile(r"\\.|!?\[|\]", re.DOTALL)
_DESTINATION = re.compile(r"\(\s*(?:<([^<>\n]*)>|([^\s()<>]*(?:\([^\s()]*\)[^\s()]*)*))")
_REFERENCE = re.compile(r"\s?\[([^\[\]]*)\]")
# A footnote looks alike, but for its `^`.
_DEFINITION = re.compile(
    r"^[ \t>]*\[([^\[\]\n^][^\[\]\n]*(?:\n[^\[\]\n]+)?)\]:\s*(?:<([^<>\n]*)>|(\S+))", re.MULTILINE
)
_EMBED = re.compile(r"!\s*\[\[([^\]|]*)")
_HREF = re.compile(r"\bhref\s*=\s*(?:\"([^\"]*)|'([^']*)|([^\s>\"']+))")
_AUTOLINK = re.compile(r"<([a-z][a-z0-9+.-]{1,31}:[^\s<>]*)>")

_ANY_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:[/\\]|(?<![:\w])[/\\]{2}\w")
_IMAGE = re.compile(r"!\[(?!\[)")
_WRITTEN = re.compile(rf"(?:{_ANY_ADDRESS.pattern})[^\s)>]{{0,1000}}")


@dataclass(frozen=True, slots=True)
class Target:
    """Where something leads.

    Attributes:
        address: as browsers take it; a path, where it is none.
        start: where in the text it stands, roughly.
        image: it is shown in its place, rather than opened by a click.
        wikilink: names of notes may have a colon in them.
    """

    address: str
    start: int
    image: bool = False
    wikilink: bool = False


def folded(text: str) -> str:
    """`text` in one case and spelling, with line ends of one kind, without invisible letters."""
    text = unicodedata.normalize("NFKC", _LINE_END.sub("\n", text)).casefold()
    return _INVISIBLE.sub("", text)


def has_address(text: str) -> bool:
    """Whether a folded text names anything that is not in the vault."""
    return _ANY_ADDRESS.search(text) is not None


def targets(text: str, *, parsed: bool = True) -> Iterator[Target]:
    """Where everything in a folded text leads; some of it twice.

    Without `parsed` there is only the look at brackets, which is much quicker.
    """
    for found in _EMBED.finditer(text):
        yield Target(_address(found[1]), found.start(), image=True, wikilink=True)
    for pattern in (_HREF, _AUTOLINK):
        for found in pattern.finditer(text):
            yield Target(_address(next(filter(None, found.groups()), "")), found.start())
    yield from _bracketed(text)
    if parsed:
        yield from _parsed(text) if len(text) <= LONGEST_PARSED else _guessed(text)


def _address(written: str) -> str:
    """Without entities, blanks and line breaks anywhere; a backslash is as good as a slash."""
    # HTML's table of names is large, and an engine that is idle needs none of it.
    from html import unescape  # noqa: PLC0415

    plain = folded(unescape(unescape(written)))
    return re.sub(r"[\x00-\x20\s]+", "", plain).replace("\\", "/")


def _bracketed(text: str) -> Iterator[Target]:
    defined = {}
    for found in _DEFINITION.finditer(text):
        defined[_label(found[1])] = _address(found[2] or found[3])
        yield Target(defined[_label(found[1])], found.start())
    for image, start, label, end in _pairs(text):
        if at := _DESTINATION.match(text, end):
            yield Target(_address(at[1] or at[2] or ""), start, image)
        elif defined:
            reference = _REFERENCE.match(text, end)
            if address := defined.get(_label((reference[1] if reference else "") or label)):
                yield Target(address, start, image)


def _label(text: str) -> str:
    return " ".join(text.split())


def _pairs(text: str) -> Iterator[tuple[bool, int, str, int]]:
    """Each pair of brackets: whether a `!` stands before it, its start, what is in it, and its end."""
    opened: list[re.Match[str]] = []
    for found in _BRACKET.finditer(text):
        if found[0].endswith("["):
            opened.append(found)
        elif found[0] == "]" and opened:
            start = opened.pop()
            inside = text[start.end() : min(found.start(), start.end() + 1000)]
            yield start[0][0] == "!", start.start(), inside, found.end()


def _parsed(text: str) -> Iterator[Target]:
    if "](" not in text and "]:" not in text:
        return
    lines = [0, *(found.end() for found in re.finditer("\n", text))]
    for block in _parser().parse(text):
        start = lines[min(block.map[0], len(lines) - 1)] if block.map else 0
        for token in block.children or ():
            yield from _of(token, start)


def _of(token: "Token", start: int) -> Iterator[Target]:
    if token.type == "image":
        yield Target(_address(str(token.attrs.get("src", ""))), start, image=True)
        for inner in token.children or ():
            yield from _of(inner, start)
    elif token.type == "link_open":
        yield Target(_address(str(token.attrs.get("href", ""))), start)


def _guessed(text: str) -> Iterator[Target]:
    start = 0
    for paragraph in re.split(r"(?<=\n)(?=[ \t>]*\n)", text):
        if _IMAGE.search(paragraph):
            for found in _WRITTEN.finditer(paragraph):
                yield Target(_address(found[0]), start, image=True)
        start += len(paragraph)


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # noqa: PLC0415 - few sessions need it; every start would pay for it

    parser = MarkdownIt("commonmark")
    # By default what has the schemes that are looked for here is taken for plain text.
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    return parser
