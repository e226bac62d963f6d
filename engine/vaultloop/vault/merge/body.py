"""The body of a note, from both sides: every change of either, and what lost, to be folded beneath.

A change is about the blocks that it replaces, takes out or stands between. Changes that do not touch are all
taken. Of those that do: what one side has already taken from the other is not taken twice; what was put into
one place by both stands there twice, once where it is the same; an edit survives a deletion; a task is joined
by its words and a table or a piece of code by its lines; of the rest the winner's stays and the loser's is
folded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vaultloop.vault.merge import tasks
from vaultloop.vault.merge.blocks import Block, blocks, filled, is_atomic, kind, lines_of
from vaultloop.vault.merge.callout import folded, is_folded
from vaultloop.vault.merge.gaps import Gaps, chosen
from vaultloop.vault.merge.lines import Change, changes, is_within, woven
from vaultloop.vault.merge.moves import moved_along
from vaultloop.vault.merge.taken import has_taken
from vaultloop.vault.merge.union import united
from vaultloop.vault.merge.version import Rule


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the merge.

    Attributes:
        lines: of the body.
        title: what a callout with its text is headed with.
        kept: the lines that its callouts keep: these have lost before, and stay so.
    """

    lines: Sequence[str]
    title: str
    kept: frozenset[str] = frozenset()


@dataclass(slots=True)
class Joined:
    """The result.

    Attributes:
        parts: its blocks, blank lines among them.
        folds: callouts, each with the index of the block that it stands beneath.
    """

    parts: list[str] = field(default_factory=list)
    folds: list[tuple[int, str]] = field(default_factory=list)
    rules: set[Rule] = field(default_factory=set)


def joined(base: Sequence[str], first: Side, second: Side, *, first_wins: bool) -> Joined:
    """Both sides' changes of a body.

    Args:
        first: the earlier one; what both put in stands in this order.
    """
    return _Body(base, first, second, first_wins).joined()


@dataclass(frozen=True, slots=True)
class _Group:
    # base[start:end], and what each side made of it.
    start: int
    end: int
    mine: tuple[Change[Block], ...]
    theirs: tuple[Change[Block], ...]


class _Body:
    def __init__(self, base: Sequence[str], first: Side, second: Side, first_wins: bool) -> None:
        self._base, below = filled(base)
        self._first, self._second = first, second
        self._first_wins = first_wins
        self._mine, mine_below = filled(first.lines)
        self._theirs, theirs_below = filled(second.lines)
        self._below = (below, mine_below, theirs_below)
        self._parts: list[Block] = []
        # Callouts, each for the block at its index.
        self._folds: list[tuple[int, str]] = []
        self._rules: set[Rule] = set()

    def joined(self) -> Joined:
        mine_holds = has_taken(self._base, self._mine, self._theirs)
        if mine_holds is not has_taken(self._base, self._theirs, self._mine):
            return Joined(blocks((self._first if mine_holds else self._second).lines))
        mine, theirs = changes(self._base, self._mine), changes(self._base, self._theirs)
        gaps = Gaps(self._base, (self._mine, mine), (self._theirs, theirs))
        mine, theirs = moved_along(self._base, mine, theirs)
        at = 0
        for group in _groups(mine, theirs, touching=True):
            self._parts += self._base[at : group.start]
            self._take(group)
            at = group.end
        self._parts += self._base[at:]
        return self._spaced(gaps)

    def _spaced(self, gaps: Gaps) -> Joined:
        """The blocks with blank lines between them again."""
        found = Joined(rules=self._rules)
        places = []
        upper: Block | None = None
        for part in self._parts:
            found.parts += gaps.between(upper, part)
            places.append(len(found.parts))
            found.parts.append(part.text)
            upper = part
        found.parts += chosen(*self._below)
        found.folds = [(places[at] if places else -1, fold) for at, fold in self._folds]
        return found

    def _take(self, group: _Group) -> None:
        """Changes next to each other: all of one side's if it holds the other's, else each by itself."""
        whole = self._one_sided(group) or self._absorbed(group)
        if whole is not None:
            self._parts += whole
            return
        at = group.start
        for part in _groups(group.mine, group.theirs, touching=False):
            self._parts += self._base[at : part.start]
            self._resolve(part)
            at = part.end
        self._parts += self._base[at : group.end]

    def _resolve(self, group: _Group) -> None:
        for resolved in (self._one_sided, self._absorbed, self._inserted, self._woven):
            if (found := resolved(group)) is not None:
                self._parts += found
                return
        self._settle(group)

    def _one_sided(self, group: _Group) -> list[Block] | None:
        if group.mine and group.theirs:
            return None
        return self._made(group, group.mine or group.theirs, set())

    def _made(self, group: _Group, edits: Sequence[Change[Block]], gone: set[int]) -> list[Block]:
        """What one side made of the group's stretch, without the base's blocks in `gone`."""
        found: list[Block] = []
        at = group.start
        for change in edits:
            found += [self._base[place] for place in range(at, change.start) if place not in gone]
            found += change.new
            at = change.end
        return found + [self._base[place] for place in range(at, group.end) if place not in gone]

    def _absorbed(self, group: _Group) -> list[Block] | None:
        """One side's stretch, if all that the other wrote there stands in it; without what it removed."""
        mine, theirs = _new(group.mine), _new(group.theirs)
        choices = []
        if is_within(mine, theirs):
            choices.append((group.theirs, group.mine))
        if is_within(theirs, mine):
            choices.append((group.mine, group.theirs))
        if not choices:
            return None
        if mine and theirs:
            self._rules.add(Rule.ONCE)
        texts = [(len(_removed(whole)), self._made(group, whole, _removed(part))) for whole, part in choices]
        # Where both hold each other, the choice must not depend on who is who.
        return max(texts, key=lambda found: (found[0], [part.text for part in found[1]]))[1]

    def _inserted(self, group: _Group) -> list[Block] | None:
        """Where one side only put something in, nothing of the other is lost by taking both."""
        if not _removed(group.mine) and not _removed(group.theirs):
            first, second = _new(group.mine), _new(group.theirs)
            both = united(first, second)
            if len(both) < len(first) + len(second):
                self._rules.add(Rule.ONCE)
            return both
        for inserted, rewritten in ((group.mine, group.theirs), (group.theirs, group.mine)):
            if not _removed(inserted):
                return self._made(group, rewritten, set()) + _new(inserted)
        return None

    def _woven(self, group: _Group) -> list[Block] | None:
        """One block that both edited, joined by its words or lines."""
        if group.end - group.start != 1 or len(group.mine) != 1 or len(group.theirs) != 1:
            return None
        mine, theirs = group.mine[0].new, group.theirs[0].new
        if len(mine) != 1 or len(theirs) != 1:
            return None
        base, one, other = self._base[group.start].text, mine[0].text, theirs[0].text
        text = tasks.joined(base, one, other)
        if text is not None:
            self._rules.add(Rule.TASK)
        else:
            text = _by_lines(base, one, other)
        return (
            None if text is None else [replace(max(mine[0], theirs[0], key=lambda part: part.gap), text=text)]
        )

    def _settle(self, group: _Group) -> None:
        """The winner's text in place, the loser's beneath it."""
        first_wins = self._first_wins
        if _lines(group.mine) <= self._second.kept:
            first_wins = False
        elif _lines(group.theirs) <= self._first.kept:
            first_wins = True
        winner, loser = (group.mine, group.theirs) if first_wins else (group.theirs, group.mine)
        # A paragraph that the loser took out is gone; one that it wrote anew stays as the winner has it.
        gone = {place for change in loser if not change.new for place in range(change.start, change.end)}
        self._parts += self._made(group, winner, gone)
        self._fold(_new(loser), self._second.title if first_wins else self._first.title)

    def _fold(self, lost: Sequence[Block], title: str) -> None:
        last = len(self._parts) - 1
        # What was folded once is not folded again within another callout.
        self._folds += [(last, part.text) for part in lost if is_folded(part.text)]
        text = [part for part in lost if not is_folded(part.text)]
        if text:
            lines = [line for part in text for line in (*part.gap, *part.text.split("\n"))]
            self._folds.append((last, folded(title, lines[len(text[0].gap) :])))
            self._rules.add(Rule.CALLOUT)


def _groups(
    mine: Sequence[Change[Block]], theirs: Sequence[Change[Block]], *, touching: bool
) -> list[_Group]:
    """Changes that have to be looked at together, in order."""
    tagged = sorted(
        [(change.start, change.end, 0, change) for change in mine]
        + [(change.start, change.end, 1, change) for change in theirs],
        key=lambda found: found[:3],
    )
    found: list[_Group] = []
    for start, end, side, change in tagged:
        last = found[-1] if found else None
        if last is None or not _belongs(last, start, end, touching=touching):
            last = _Group(start, end, (), ())
            found.append(last)
        found[-1] = _Group(
            last.start,
            max(last.end, end),
            (*last.mine, change) if side == 0 else last.mine,
            (*last.theirs, change) if side == 1 else last.theirs,
        )
    return found


def _belongs(group: _Group, start: int, end: int, *, touching: bool) -> bool:
    if touching:
        return start <= group.end
    return start < group.end or group.start == group.end == start == end


def _new(edits: Sequence[Change[Block]]) -> list[Block]:
    return [part for change in edits for part in change.new]


def _removed(edits: Sequence[Change[Block]]) -> set[int]:
    return {place for change in edits for place in range(change.start, change.end)}


def _lines(edits: Sequence[Change[Block]]) -> set[str]:
    return {line for line in lines_of([part.text for part in _new(edits)]) if line.strip()}


def _by_lines(base: str, one: str, other: str) -> str | None:
    """A table, a quote or a fence with the lines of both; None where they meet, or it would not be one."""
    if not (is_atomic(base) and kind(base) == kind(one) == kind(other)):
        return None
    # Rows of a table can stand in any order; lines of code cannot.
    lines = woven(base.split("\n"), one.split("\n"), other.split("\n"), loose=kind(base) == "table")
    return None if lines is None or len(blocks(lines)) != 1 else "\n".join(lines)
