"""A list among the properties: a set of items, each as it was typed, and the way the list is written."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import yaml

_ITEM = re.compile(r"(?P<dash>\s*-\s+)(?P<text>\S.*?)\s*")
_HEAD = re.compile(r"(?P<head>[^\s#].*?:)[ \t]*(?P<rest>.*)")
# In a list between brackets these have a meaning.
_ODD = re.compile(r"[,\[\]{}#]|:\s|:$")
_EMPTY = ("~", "null", '""', "''")


@dataclass(frozen=True, slots=True)
class List:
    """A list as text.

    Attributes:
        above: comments above the key.
        head: the key with its colon.
        items: the value of each item, and how it is typed.
        dash: what stands before each item in a list of lines; None for brackets.
        end: what stands below the brackets' end in their line: a comment.
        listed: it is written as a list, rather than as one value or none.
        lines: all of it.
    """

    above: tuple[str, ...] = ()
    head: str = ""
    items: dict[str, str] = field(default_factory=dict)
    dash: str | None = None
    end: str = ""
    listed: bool = False
    lines: tuple[str, ...] = ()


def list_in(lines: Sequence[str]) -> List | None:
    """The list that a property is; a single value is a list of one. None for what is no plain list."""
    at = next((at for at, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)
    found = _HEAD.fullmatch(lines[at]) if at is not None else None
    if at is None or found is None:
        return None
    frame = List(above=tuple(lines[:at]), head=found["head"], lines=tuple(lines))
    rest, below = found["rest"], [line for line in lines[at + 1 :] if line.strip()]
    if not rest:
        return _in_lines(frame, below)
    return None if below else _in_one(frame, rest)


def _in_lines(frame: List, lines: Sequence[str]) -> List | None:
    items: dict[str, str] = {}
    dash = None
    for line in lines:
        found = _ITEM.fullmatch(line)
        value = _scalar(found["text"]) if found else None
        if found is None or value is None or value in items:
            return None
        items[value] = found["text"]
        dash = dash or found["dash"]
    return replace(frame, items=items, dash=dash or "  - ", listed=bool(lines))


def _in_one(frame: List, rest: str) -> List | None:
    if rest in _EMPTY:
        return frame
    if not rest.startswith("["):
        value = None if rest[0] in "|>{" else _scalar(rest)
        return None if value is None else replace(frame, items={value: rest.rstrip()})
    try:
        node = yaml.compose(rest, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    if not isinstance(node, yaml.SequenceNode):
        return None
    items = {}
    for item in node.value:
        if not isinstance(item, yaml.ScalarNode) or item.value in items:
            return None
        items[item.value] = rest[item.start_mark.index : item.end_mark.index].strip()
    return replace(frame, items=items, end=rest[node.end_mark.index :].rstrip(), listed=True)


def _scalar(text: str) -> str | None:
    """The value of one item; None where it is more than that, such as a comment behind it."""
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    if not isinstance(node, yaml.ScalarNode) or text[node.end_mark.index :].strip():
        return None
    return str(node.value)


def joined_list(base: List, one: List, other: List) -> tuple[str, ...]:
    """The lines of a list with every item that either side added and none that either took out."""
    added = [name for side in (one, other) for name in side.items if name not in base.items]
    stays = {name for name in one.items if name in other.items} | set(added)
    names = [name for name in order(list(base.items), list(one.items), list(other.items)) if name in stays]
    for side in sorted((one, other), key=lambda side: side.lines, reverse=True):
        if list(side.items) == names and side.listed:
            return side.lines
    return _written(_frame(base, one, other), {name: _typed(name, base, one, other) for name in names})


def order(base: Sequence[str], one: Sequence[str], other: Sequence[str]) -> list[str]:
    """All names of both sides, each once, as whoever ordered them anew has them.

    A name that only one side has stands below the one that it stands below there.
    """
    mine, theirs = _common(one, other), _common(other, one)
    frame, rest = one, other
    if mine != theirs:
        before = [name for name in base if name in set(mine)]
        if mine == before or (theirs != before and theirs > mine):
            frame, rest = other, one
    elif tuple(other) > tuple(one):
        frame, rest = other, one
    found = list(frame)
    known = set(found)
    above = -1
    for name in rest:
        if name in known:
            above = found.index(name)
            continue
        above += 1
        found.insert(above, name)
    return found


def _common(names: Sequence[str], others: Sequence[str]) -> list[str]:
    there = set(others)
    return [name for name in names if name in there]


def _frame(base: List, one: List, other: List) -> List:
    """Whose way of writing the list stays: that of whoever changed it, else the larger text."""
    sides = sorted((side for side in (one, other) if side.listed), key=lambda side: side.lines, reverse=True)
    if not sides:
        return replace(max((one, other), key=lambda side: side.lines), dash=None)
    changed = [side for side in sides if (side.dash is None) != (base.dash is None)]
    return (changed if base.listed and changed else sides)[0]


def _typed(name: str, base: List, one: List, other: List) -> str:
    texts = sorted({side.items[name] for side in (one, other) if name in side.items}, reverse=True)
    changed = [text for text in texts if text != base.items.get(name)]
    return (changed or texts)[0]


def _written(frame: List, items: dict[str, str]) -> tuple[str, ...]:
    if frame.dash is None:
        texts = ", ".join(_bracketed(name, text) for name, text in items.items())
        return (*frame.above, f"{frame.head} [{texts}]{frame.end}")
    return (*frame.above, frame.head, *(f"{frame.dash}{text}" for text in items.values()))


def _bracketed(name: str, text: str) -> str:
    return json.dumps(name, ensure_ascii=False) if text[0] not in "\"'" and _ODD.search(text) else text
