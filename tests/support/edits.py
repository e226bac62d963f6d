"""Notes as people keep them, and the edits that people and agents make in them, from a seed.

Every line that an edit writes holds a word that stands nowhere else, so that a test can look for it.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

# fmt: off
WORDS = (
    "milk", "bread", "meeting", "budget", "release", "draft", "garden",
    "doctor", "train", "ticket", "report", "invoice", "call", "review",
    "backup", "server", "photo", "letter", "recipe", "window", "Ärger",
    "naïve", "買い物", "😀", "straße", "→", "“quoted”", "[[Link]]",
    "#tag",
)
# fmt: on
_PROPERTIES = ("status", "due", "rating", "project", "source", "mood")


@dataclass
class Writer:
    """Somebody who edits; no two writers use the same word."""

    name: str
    dice: random.Random
    # Lines that this writer wrote, as they were written.
    written: int = field(default=0)

    def words(self, least: int = 2, most: int = 6) -> str:
        self.written += 1
        chosen = self.dice.choices(WORDS, k=self.dice.randint(least, most))
        return " ".join([*chosen, f"{self.name}{self.written}"])


def note(writer: Writer) -> list[str]:
    """The lines of a note: properties, sections with paragraphs, lists, tasks, tables, code, callouts."""
    dice = writer.dice
    lines = _properties(writer) if dice.random() < 0.8 else []
    lines += [f"# {writer.words()}", ""]
    for _ in range(dice.randint(1, 4)):
        lines += [f"{'#' * dice.randint(2, 3)} {writer.words(1, 2)}", ""]
        for _ in range(dice.randint(1, 3)):
            lines += [*dice.choice(_BLOCKS)(writer), ""]
    return lines[:-1]


def edited(lines: Sequence[str], writer: Writer, edits: int, *, moves: bool = True) -> list[str]:
    """The note after some edits; without `moves` nothing changes its place."""
    found = list(lines)
    for _ in range(edits):
        found = writer.dice.choice(EDITS + MOVES if moves else EDITS)(found, writer)
    return found


def data(lines: Sequence[str], *, ends: str = "\n", closed: bool = True) -> bytes:
    """The bytes of a note."""
    return (ends.join(lines) + (ends if closed and lines else "")).encode()


def _properties(writer: Writer) -> list[str]:
    dice = writer.dice
    tags = [f"t{dice.randint(0, 9)}" for _ in range(dice.randint(1, 3))]
    tags = list(dict.fromkeys(tags))
    lines = ["---", f"title: {writer.name} title", *_tags(tags, block=dice.random() < 0.5)]
    for key in dice.sample(_PROPERTIES, dice.randint(0, 3)):
        lines += [f"{key}: {dice.choice(['open', 'done', '3', '2026-11-22'])}"]
    if dice.random() < 0.3:
        lines += ["# a remark of the owner", 'quoted: "with: colon"']
    return [*lines, "---"]


def _tags(tags: Sequence[str], *, block: bool) -> list[str]:
    return ["tags:", *(f"  - {tag}" for tag in tags)] if block else [f"tags: [{', '.join(tags)}]"]


def _paragraph(writer: Writer) -> list[str]:
    return [writer.words(4, 12) for _ in range(writer.dice.randint(1, 3))]


def _list(writer: Writer) -> list[str]:
    indents = ["", "", "  "]
    return [f"{writer.dice.choice(indents)}- {writer.words()}" for _ in range(writer.dice.randint(1, 5))]


def _tasks(writer: Writer) -> list[str]:
    return [f"- [{writer.dice.choice('  x')}] {writer.words()}" for _ in range(writer.dice.randint(1, 5))]


def _table(writer: Writer) -> list[str]:
    rows = [f"| {writer.words(1, 2)} | {writer.words(1, 2)} |" for _ in range(writer.dice.randint(1, 4))]
    return ["| what | who |", "|---|---|", *rows]


def _code(writer: Writer) -> list[str]:
    mark = writer.dice.choice(["```", "~~~", "````"])
    inside = [f"print('{writer.words(1, 2)}')" for _ in range(writer.dice.randint(1, 3))]
    return [f"{mark}python", *inside, *([""] if writer.dice.random() < 0.3 else []), "# end", mark]


def _callout(writer: Writer) -> list[str]:
    return [
        f"> [!note] {writer.words(1, 2)}",
        *(f"> {writer.words()}" for _ in range(writer.dice.randint(1, 3))),
    ]


_BLOCKS: tuple[Callable[[Writer], list[str]], ...] = (
    _paragraph,
    _list,
    _list,
    _tasks,
    _tasks,
    _table,
    _code,
    _callout,
)


def _end_of_properties(lines: Sequence[str]) -> int:
    return lines.index("---", 1) if lines and lines[0] == "---" and "---" in lines[1:] else 0


def _start(lines: Sequence[str]) -> int:
    end = _end_of_properties(lines)
    return end + 1 if end else 0


def _in_code(lines: Sequence[str]) -> set[int]:
    """Lines of fences and quotes: people edit them inside, and do not tear them apart."""
    found: set[int] = set()
    mark = ""
    for at, line in enumerate(lines):
        if mark or line.startswith(("```", "~~~", "````", ">", "|")):
            found.add(at)
        if mark and line == mark:
            mark = ""
        elif not mark and line.startswith(("```", "~~~")):
            mark = line.rstrip("python")
    return found


def _plain(lines: Sequence[str], writer: Writer) -> int | None:
    """The index of a line of text."""
    closed = _in_code(lines)
    found = [at for at in range(_start(lines), len(lines)) if lines[at].strip() and at not in closed]
    return writer.dice.choice(found) if found else None


def _gaps(lines: Sequence[str]) -> list[int]:
    closed = _in_code(lines)
    start = _start(lines)
    return [at for at in range(start, len(lines) + 1) if not (at in closed and at - 1 in closed)]


def _paragraphs(lines: Sequence[str]) -> list[tuple[int, int]]:
    found = []
    at = _start(lines)
    closed = _in_code(lines)
    while at < len(lines):
        end = at
        while end < len(lines) and (lines[end].strip() or (end in closed and end + 1 in closed)):
            end += 1
        if end > at:
            found.append((at, end))
        at = end + 1
    return found


def reword(lines: list[str], writer: Writer) -> list[str]:
    at = _plain(lines, writer)
    if at is None:
        return lines
    words = lines[at].split(" ")
    first = next((place for place, word in enumerate(words) if word.strip("-#[]x ")), len(words) - 1)
    place = writer.dice.randint(min(first, len(words) - 1), len(words) - 1)
    return [
        *lines[:at],
        " ".join([*words[:place], writer.words(1, 2), *words[place + 1 :]]),
        *lines[at + 1 :],
    ]


def rewrite(lines: list[str], writer: Writer) -> list[str]:
    at = _plain(lines, writer)
    return lines if at is None else [*lines[:at], writer.words(), *lines[at + 1 :]]


def remove_line(lines: list[str], writer: Writer) -> list[str]:
    at = _plain(lines, writer)
    return lines if at is None else lines[:at] + lines[at + 1 :]


def insert_line(lines: list[str], writer: Writer) -> list[str]:
    at = writer.dice.choice(_gaps(lines))
    return [*lines[:at], writer.dice.choice(["", "- ", "- [ ] "]) + writer.words(), *lines[at:]]


def move_line(lines: list[str], writer: Writer) -> list[str]:
    at = _plain(lines, writer)
    if at is None:
        return lines
    rest = lines[:at] + lines[at + 1 :]
    to = writer.dice.choice(_gaps(rest))
    return [*rest[:to], lines[at], *rest[to:]]


def insert_block(lines: list[str], writer: Writer) -> list[str]:
    found = _paragraphs(lines)
    at = writer.dice.choice(found)[0] if found else len(lines)
    return [*lines[:at], *writer.dice.choice(_BLOCKS)(writer), "", *lines[at:]]


def remove_paragraph(lines: list[str], writer: Writer) -> list[str]:
    if not (found := _paragraphs(lines)):
        return lines
    start, end = writer.dice.choice(found)
    return lines[:start] + lines[end + 1 :]


def move_paragraph(lines: list[str], writer: Writer) -> list[str]:
    found = _paragraphs(lines)
    if len(found) < 2:
        return lines
    start, end = writer.dice.choice(found)
    rest = lines[:start] + lines[end + 1 :]
    to = writer.dice.choice([*(place for place, _ in _paragraphs(rest)), len(rest)])
    if to == len(rest):
        return [*rest, "", *lines[start:end]]
    return [*rest[:to], *lines[start:end], "", *rest[to:]]


def move_section(lines: list[str], writer: Writer) -> list[str]:
    closed = _in_code(lines)
    heads = [at for at in range(_start(lines), len(lines)) if lines[at].startswith("##") and at not in closed]
    if len(heads) < 2:
        return lines
    cuts = [*heads, len(lines)]
    sections = [lines[start:end] for start, end in pairwise(cuts)]
    section = sections.pop(writer.dice.randrange(len(sections)))
    sections.insert(writer.dice.randrange(len(sections) + 1), section)
    return [*lines[: heads[0]], *(line for part in sections for line in part)]


def remove_section(lines: list[str], writer: Writer) -> list[str]:
    closed = _in_code(lines)
    heads = [at for at in range(_start(lines), len(lines)) if lines[at].startswith("##") and at not in closed]
    if not heads:
        return lines
    cuts = [*heads, len(lines)]
    at = writer.dice.randrange(len(heads))
    return lines[: cuts[at]] + lines[cuts[at + 1] :]


def add_section(lines: list[str], writer: Writer) -> list[str]:
    shared = writer.dice.choice(["## Log", "## Tasks", f"## {writer.words(1, 2)}"])
    return [*lines, "", shared, "", *writer.dice.choice(_BLOCKS)(writer)]


def append(lines: list[str], writer: Writer) -> list[str]:
    return [*lines, f"- {writer.words()}"]


def tick(lines: list[str], writer: Writer) -> list[str]:
    found = [at for at, line in enumerate(lines) if line.lstrip().startswith("- [ ] ")]
    if not found:
        return lines
    at = writer.dice.choice(found)
    done = lines[at].replace("- [ ] ", "- [x] ", 1) + writer.dice.choice(["", " ✅ 2026-11-22"])
    return [*lines[:at], done, *lines[at + 1 :]]


def edit_row(lines: list[str], writer: Writer) -> list[str]:
    """Another row of a table, line of code, or line of a quote."""
    closed = [at for at, line in enumerate(lines) if line.startswith(("| ", "> ", "print("))]
    if not closed:
        return lines
    at = writer.dice.choice(closed)
    line = lines[at]
    if line.startswith("|"):
        new = f"| {writer.words(1, 2)} | {writer.words(1, 2)} |"
        at += 1 if lines[at + 1 : at + 2] == ["|---|---|"] else 0
    else:
        new = f"> {writer.words()}" if line.startswith(">") else f"print('{writer.words(1, 2)}')"
    if writer.dice.random() < 0.5 or line.startswith("> [!") or "---" in lines[at]:
        return [*lines[: at + 1], new, *lines[at + 1 :]]
    return [*lines[:at], new, *lines[at + 1 :]]


def tag(lines: list[str], writer: Writer) -> list[str]:
    end = _end_of_properties(lines)
    at = next((at for at in range(end) if lines[at].startswith("tags:")), None)
    if at is None:
        return lines
    block = lines[at] == "tags:"
    last = at + 1
    while last < end and lines[last].startswith("  - "):
        last += 1
    if block:
        tags = [line[4:] for line in lines[at + 1 : last]]
    else:
        tags = [name for name in lines[at][7:-1].split(", ") if name]
    if tags and writer.dice.random() < 0.3:
        tags.remove(writer.dice.choice(tags))
    else:
        tags.insert(writer.dice.randint(0, len(tags)), f"{writer.name.lower()}{writer.dice.randint(0, 99)}")
    block = block if writer.dice.random() < 0.9 else not block
    return [*lines[:at], *_tags(list(dict.fromkeys(tags)), block=block), *lines[last:]]


def set_property(lines: list[str], writer: Writer) -> list[str]:
    key = writer.dice.choice(_PROPERTIES)
    new = f"{key}: {writer.dice.choice(['open', 'done', writer.words(1, 2).split()[-1]])}"
    end = _end_of_properties(lines)
    if not end:
        return ["---", new, "---", *lines]
    at = next((at for at in range(end) if lines[at].startswith(f"{key}:")), None)
    if at is None:
        places = [at for at in range(1, end + 1) if not lines[at].startswith("  - ")]
        at = writer.dice.choice(places)
        return [*lines[:at], new, *lines[at:]]
    return [*lines[:at], new, *lines[at + 1 :]]


def remove_property(lines: list[str], writer: Writer) -> list[str]:
    end = _end_of_properties(lines)
    found = [at for at in range(1, end) if lines[at].split(":")[0] in _PROPERTIES]
    if not found:
        return lines
    at = writer.dice.choice(found)
    return lines[:at] + lines[at + 1 :]


EDITS: tuple[Callable[[list[str], Writer], list[str]], ...] = (
    reword,
    rewrite,
    remove_line,
    insert_line,
    insert_line,
    insert_block,
    remove_paragraph,
    remove_section,
    add_section,
    append,
    append,
    tick,
    tick,
    edit_row,
    tag,
    set_property,
    remove_property,
)
MOVES: tuple[Callable[[list[str], Writer], list[str]], ...] = (move_line, move_paragraph, move_section)
