"""What people type on phones, made into YAML that means it: `*/5 * * * *`, `@daily`, `[[finance]]`.

A pass over the lines of a frontmatter, before the YAML parser sees them. It quotes values that YAML would
misread or refuse, and reports what it can name better than the parser can. It never moves a line, and it
remembers for each line what moved within it, so that every column is still that of the note.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

# Written without two neighbouring repetitions of the same characters: a line may be a megabyte long.
_KEY = r"""(?:"(?:[^"\\]|\\.)*"[ ]*|'(?:[^']|'')*'[ ]*|[^\s"'#\[\]{},&*!|>%@`?:-](?:[^:]|:(?=\S))*?)"""
_ENTRY = re.compile(rf"(?P<indent>[ ]*)(?P<dashes>(?:-[ ]+)*)(?P<key>{_KEY}:)(?:[ \t]+(?P<value>.*))?")
_ITEM = re.compile(r"(?P<indent>[ ]*)(?P<dashes>(?:-(?:[ ]+|$))+)(?P<value>.*)")
_TOP_KEY = re.compile(rf"{_KEY}:(?:\s|$)")
_NO_SPACE = re.compile(r"([A-Za-z][\w-]*):(?!//)(\S.*)")
_NO_COLON = re.compile(r"([A-Za-z][\w-]*)(?:\s*=\s*|\s+)(\S.*)")
# How HTML, Obsidian and programs write a comment.
_COMMENT_ELSEWHERE = re.compile(r"(?P<mark><!--|//|%%)\s*(?P<text>.*?)\s*(?P<end>-->|%%)?\s*", re.DOTALL)
_BLOCK = re.compile(r"[|>](?:[+-]?\d?|\d[+-])\s*(?:#.*)?")
_LINKS = re.compile(r"(?:!?\[\[[^\[\]]*\]\][\s,]*)+")
_COMMENT = re.compile(r"(?<=[ \t])#.*\Z", re.DOTALL)
_QUOTED = {
    '"': re.compile(r'"(?:[^"\\]|\\.)*"(?P<rest>.*)', re.DOTALL),
    "'": re.compile(r"'(?:[^']|'')*'(?P<rest>.*)", re.DOTALL),
}
# A value that goes on for more lines than this was rather left open by mistake.
_LONGEST_VALUE = 100
# What a plain YAML value cannot begin with, beyond the quotes and brackets that are looked at by themselves.
_NEVER_FIRST = tuple("*@%`,]}|>")
_ODD_SPACES = "\u00a0\u2002\u2003\u2009\u202f\u3000"
_ODD_SPACE = re.compile(f"[\t{_ODD_SPACES}]")
# YAML 1.1 sees a line's end in these; a note does not.
ODD_BREAKS = "\r\x85\u2028\u2029"
_ODD_BREAKS = re.compile(f"[{ODD_BREAKS}]")
_ODD_END = re.compile(f"[ {ODD_BREAKS}]+\\Z")


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong on one line, counted from 0; `instead` is the line as it should be.

    `safe` is what `Fix.safe` is.
    """

    line: int
    column: int
    code: str
    message: str
    instead: str | None = None
    cure: str = ""
    safe: bool = False


@dataclass(frozen=True, slots=True)
class _Moved:
    # Columns raw_start..raw_end of the note became start..end for YAML.
    raw_start: int
    raw_end: int
    start: int
    end: int


@dataclass(slots=True)
class Readable:
    """Frontmatter lines as YAML may read them, and the way back to the note's columns."""

    lines: list[str]
    mistakes: list[Mistake] = field(default_factory=list)
    _moved: dict[int, list[_Moved]] = field(default_factory=dict)

    def column(self, line: int, column: int) -> int:
        """The note's column (from 0) for a column that the YAML parser named."""
        moves = self._moved.get(line, ())
        at = bisect_left(moves, column, key=lambda moved: moved.start)
        if at == 0:
            return column
        moved = moves[at - 1]
        return moved.raw_start if column < moved.end else column + moved.raw_end - moved.end

    def replace(self, line: int, spans: Sequence[tuple[int, int, str]]) -> None:
        """Put new text in place of parts of a line that was not touched so far."""
        text, at, length = self.lines[line], 0, 0
        parts, moves = [], []
        for start, end, new in spans:
            length += start - at
            moves.append(_Moved(start, end, length, length + len(new)))
            parts += [text[at:start], new]
            length += len(new)
            at = end
        self.lines[line] = "".join([*parts, text[at:]])
        self._moved[line] = moves


def quoted(text: str) -> str:
    """`text` as a YAML value in double quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return '"' + _ODD_BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'


def looks_like_key(line: str) -> bool:
    """Whether a line begins with `key:`, at its very start."""
    return _TOP_KEY.match(line) is not None


def without_comment(value: str) -> str:
    """A value without what YAML takes for a comment, and without spaces at its end."""
    return "" if value.startswith("#") else _COMMENT.sub("", value).rstrip()


def readable(lines: Sequence[str]) -> Readable:
    """Prepare the lines between the fences for the YAML parser."""
    return _Pass(lines).result


class _Pass:
    """One walk down the lines."""

    def __init__(self, lines: Sequence[str]) -> None:
        # What an odd break leaves at a line's end is blank, and takes as much room.
        without_end = (line.rstrip("\r") for line in lines)
        self.result = Readable([_ODD_END.sub(lambda end: " " * len(end[0]), line) for line in without_end])
        self._at = 0
        # The newest key, its indentation and emptiness: what a deeper line may be depends on them.
        self._key = ""
        self._key_indent = 0
        self._key_filled = False
        while self._at < len(self.result.lines):
            self._line()
            self._at += 1

    @property
    def _text(self) -> str:
        return self.result.lines[self._at]

    def _line(self) -> None:
        self._plain_spaces()
        stripped = self._text.strip()
        if not stripped or stripped.startswith("#"):
            return
        if (found := _ENTRY.fullmatch(self._text)) is not None and not self._is_text_item(found):
            self._entry(found)
        elif (found := _ITEM.fullmatch(self._text)) is not None:
            self._value(found["value"], found.start("value"))
        elif not self._text.startswith(" "):
            self._stray()

    def _plain_spaces(self) -> None:
        """Tabs and the odd spaces of phones, where YAML wants a plain one; the line keeps its length."""
        text = self._text
        if not _ODD_SPACE.search(text):
            return
        lead = re.match(rf"[ \t{_ODD_SPACES}]*(?:-[ \t{_ODD_SPACES}]+)*", text)
        assert lead is not None
        head = re.sub(f"[{_ODD_SPACES}]", " ", lead[0])
        if "\t" in head.partition("-")[0]:
            fixed = head.replace("\t", "  ") + text[len(head) :]
            message = "This line is indented with a tab, which YAML does not allow."
            self._mistake("tab", message, instead=fixed, safe=True)
        text = head.replace("\t", " ") + text[len(head) :]
        self.result.lines[self._at] = re.sub(
            rf"^([\s-]*[\w-]+:)([{_ODD_SPACES}]+)", lambda found: found[1] + " " * len(found[2]), text
        )

    def _is_text_item(self, found: re.Match[str]) -> bool:
        """`- Report: weekly` is an item of text, unless more keys stand below it."""
        if not found["dashes"]:
            return False
        for line in self.result.lines[self._at + 1 : self._at + 1 + _LONGEST_VALUE]:
            if line.strip():
                deeper = len(line) - len(line.lstrip()) > len(found["indent"])
                return not deeper
        return True

    def _entry(self, found: re.Match[str]) -> None:
        indent = found.start("key")
        if indent > self._key_indent and self._key_filled and not found["dashes"]:
            instead = " " * self._key_indent + self._text.lstrip()
            message = "This key is indented below a key that already has a value."
            # Below a description it may be the rest of a sentence.
            self._mistake("indented", message, instead=instead, safe=self._key != "description")
            self.result.lines[self._at] = instead
            refound = _ENTRY.fullmatch(instead)
            assert refound is not None
            found, indent = refound, self._key_indent
        value = without_comment(found["value"] or "")
        self._key, self._key_indent, self._key_filled = found["key"].rstrip(":"), indent, bool(value)
        if value:
            self._value(found["value"], found.start("value"))

    def _stray(self) -> None:
        text = self._text
        if found := _COMMENT_ELSEWHERE.fullmatch(text):
            instead = f"# {found['text']}"
            message = "A comment in a frontmatter begins with `#`."
            # One that goes on below would be a comment in its first line only.
            closed = found["mark"] == "//" or bool(found["end"])
            self._mistake("not-a-key", message, instead=instead, safe=closed)
        elif found := _NO_SPACE.fullmatch(text):
            instead = f"{found[1]}: {found[2]}"
            self._mistake("no-space", "There is no space after the colon.", instead=instead, safe=True)
        elif self._at and not self.result.lines[self._at - 1].strip():
            self._mistake(
                "not-a-key",
                "This line is not `key: value`. Is the closing `---` missing above it?",
                cure="Write `---` on a line of its own above this text.",
            )
            instead = ""
        elif found := _NO_COLON.fullmatch(text):
            instead = f"{found[1]}: {found[2]}"
            self._mistake("no-colon", "There is no colon after the key.", instead=instead)
        else:
            cure = "Write `key: value`, or delete this line."
            self._mistake("not-a-key", "This line is not `key: value`.", cure=cure)
            instead = ""
        self.result.lines[self._at] = instead
        if instead:
            self._line()

    # Values.

    def _value(self, raw: str, start: int) -> None:
        value = without_comment(raw)
        if not value or self._is_block(raw):
            return
        if value[0] in _QUOTED:
            self._quotation(raw, start)
        elif value[0] == "[" and not _LINKS.fullmatch(value):
            self._bracket(value, start)
        elif (reason := _forbidden(value)) is not None:
            code, message, better = reason
            better_line, safe = self._with(start, value, better), better == quoted(value)
            self._mistake(code, message, column=start, instead=better_line, safe=safe)
            self._quote(start, value)
        elif _needs_quotes(value):
            self._quote(start, value)

    def _is_block(self, value: str) -> bool:
        """Skip a block of text (`|` or `>`) to its last line."""
        if not _BLOCK.fullmatch(value):
            return False
        for line in islice(self.result.lines, self._at + 1, None):
            if line.strip() and len(line) - len(line.lstrip(" ")) <= self._key_indent:
                break
            self._at += 1
        return True

    def _quotation(self, raw: str, start: int) -> None:
        mark = raw[0]
        if closed := _QUOTED[mark].fullmatch(raw):
            if without_comment(closed["rest"]).strip():
                self._quote(start, without_comment(raw))
        elif not self._closes_later(raw, _QUOTED[mark]):
            instead = self._with(start, raw.rstrip(), raw.rstrip() + mark)
            message = f"The quote `{mark}` is not closed."
            # Where it should have been closed is plain if nothing in the text could have been behind it.
            safe = raw.count(mark) == 1 and not re.search(r"[#\\]", raw)
            self._mistake("unclosed-quote", message, column=start, instead=instead, safe=safe)
            self.result.lines[self._at] = instead

    def _bracket(self, value: str, start: int) -> None:
        items, closing = _flow_items(value)
        if closing is not None:
            if value[closing + 1 :].strip():
                self._quote(start, value)
            else:
                self._quote_items(items, value, start)
        elif not self._closes_later(value, re.compile(r"\[[^\]]*\].*", re.DOTALL)):
            instead = self._with(start, value, value.rstrip(", ") + "]")
            message = "The list is not closed with `]`."
            self._mistake("unclosed-bracket", message, column=start, instead=instead, safe=True)
            self.result.lines[self._at] = instead

    def _quote_items(self, items: list[tuple[int, int]], value: str, start: int) -> None:
        left_open = [(first, last) for first, last in items if _is_left_open(value[first:last])]
        if left_open:
            self._close_quotes(left_open, value, start)
            return
        spans = []
        for first, last in items:
            item = value[first:last]
            if item and not _is_quoted(item) and (_needs_quotes(item) or _odd_in_a_list(item)):
                spans.append((start + first, start + last, quoted(item)))
        if spans:
            self.result.replace(self._at, spans)

    def _close_quotes(self, left_open: Sequence[tuple[int, int]], value: str, start: int) -> None:
        """Close the quotes that items of a list left open, where these items end, and go on from there."""
        closed = value
        for first, last in reversed(left_open):
            item = value[first:last] + value[first]
            # What ends in a backslash would swallow the quote.
            item = quoted(value[first:last]) if _is_left_open(item) else item
            closed = closed[:first] + item + closed[last:]
        instead = self._with(start, value, closed)
        first = left_open[0][0]
        message = f"The quote `{value[first]}` is not closed."
        self._mistake("unclosed-quote", message, column=start + first, instead=instead)
        self.result.lines[self._at] = instead
        self._bracket(closed, start)

    def _closes_later(self, value: str, closed: re.Pattern[str]) -> bool:
        """Whether following lines, up to the next key, complete the value; they are skipped then."""
        whole = value
        following = self.result.lines[self._at + 1 : self._at + 1 + _LONGEST_VALUE]
        for count, line in enumerate(following, start=1):
            if looks_like_key(line):
                return False
            whole += "\n" + line
            if closed.fullmatch(whole):
                self._at += count
                return True
        return False

    def _quote(self, start: int, value: str) -> None:
        self.result.replace(self._at, [(start, start + len(value), quoted(value))])

    def _with(self, start: int, value: str, new: str) -> str:
        return self._text[:start] + new + self._text[start + len(value) :]

    def _mistake(
        self,
        code: str,
        message: str,
        *,
        column: int = 0,
        instead: str | None = None,
        cure: str = "",
        safe: bool = False,
    ) -> None:
        earlier = self.result.mistakes
        if earlier and earlier[-1].line == self._at:
            # One line, one cure: the later one starts from what the earlier one mended.
            first = earlier.pop()
            column, code, message = first.column, first.code, first.message
            safe = safe and first.safe
        earlier.append(Mistake(self._at, column, code, message, instead, cure, safe))


def _forbidden(value: str) -> tuple[str, str, str] | None:
    """Code, message and better value for what YAML would take for a tag or an anchor."""
    if value.startswith("!") and not _LINKS.fullmatch(value):
        message = "A value that begins with `!` is a YAML tag; tags are not allowed here."
        return "yaml-tag", message, quoted(value)
    if value.startswith("&"):
        message = "A value that begins with `&` is a YAML anchor; anchors are not allowed here."
        return "yaml-anchor", message, value.partition(" ")[2].strip() or quoted(value)
    return None


def _needs_quotes(value: str) -> bool:
    if value.startswith("{") and value.endswith("}") and not value.startswith("{{"):
        return False
    return (
        value.startswith((*_NEVER_FIRST, "{", "[[", "![["))
        or re.match(r"[-?:](?:\s|\Z)", value) is not None
        or re.search(r":(?:\s|\Z)", value) is not None
        or _ODD_BREAKS.search(value) is not None
    )


def _is_quoted(item: str) -> bool:
    return item[0] in _QUOTED and _QUOTED[item[0]].fullmatch(item) is not None


def _is_left_open(item: str) -> bool:
    return item[:1] in _QUOTED and _QUOTED[item[0]].fullmatch(item) is None


def _odd_in_a_list(item: str) -> bool:
    # A list in a list stays what it is; brackets inside of a text, as in a glob, need quotes there.
    return not item.startswith(("[", "{")) and any(mark in item for mark in "[]{}")


def _flow_items(value: str) -> tuple[list[tuple[int, int]], int | None]:
    """Where each item of `[a, b]` begins and ends, and where the closing bracket is, if it is there."""
    items: list[tuple[int, int]] = []
    depth, start, at = 0, 1, 1
    while at < len(value):
        mark = value[at]
        if mark in _QUOTED and not value[start:at].strip() and (found := _QUOTED[mark].match(value, at)):
            at = found.start("rest")
            continue
        if depth == 0 and mark in ",]":
            items.append(_trimmed(value, start, at))
            start = at + 1
            if mark == "]":
                return items, at
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark, 0)
        at += 1
    return items, None


def _trimmed(value: str, start: int, end: int) -> tuple[int, int]:
    text = value[start:end]
    return start + len(text) - len(text.lstrip()), start + len(text.rstrip())
