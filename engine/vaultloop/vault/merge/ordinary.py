"""An ordinary note from two versions: properties key by key, the body by its lines, losers folded."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vaultloop.vault.merge import body, frontmatter
from vaultloop.vault.merge.blocks import blocks, is_blank, lines_of
from vaultloop.vault.merge.callout import folded, is_folded, kept, with_folds
from vaultloop.vault.merge.text import Text, form, read
from vaultloop.vault.merge.version import Rule


@dataclass(frozen=True, slots=True)
class Side:
    """One version of a note, and the title of callouts with its text."""

    data: bytes = field(repr=False)
    title: str


@dataclass(frozen=True, slots=True)
class _Note:
    text: Text
    block: frontmatter.Block
    lines: Sequence[str]
    kept: frozenset[str]

    @classmethod
    def of(cls, data: bytes) -> "_Note":
        text = read(data)
        block = frontmatter.block_in(text.lines)
        lines = text.lines[block.size :]
        return cls(text, block, lines, kept(lines))


def joined(
    base: bytes | None, first: Side, second: Side, *, first_wins: bool, firmly: bool = False
) -> tuple[bytes, set[Rule]]:
    """Both versions in one note, and the rules that it took.

    Args:
        first: the earlier one; what both put in stands in this order.
        firmly: the winner wins also where the other's callouts say that it has lost before: whoever guesses
            what somebody will write could say so.
    """
    before, one, other = _Note.of(base or b""), _Note.of(first.data), _Note.of(second.data)
    if firmly:
        one, other = replace(one, kept=frozenset()), replace(other, kept=frozenset())
    properties = frontmatter.joined(
        before.block,
        frontmatter.Side(one.block, one.kept),
        frontmatter.Side(other.block, other.kept),
        first_wins=first_wins,
    )
    text = body.joined(
        before.lines,
        body.Side(one.lines, first.title, one.kept),
        body.Side(other.lines, second.title, other.kept),
        first_wins=first_wins,
    )
    parts = with_folds(text.parts, text.folds)
    rules = properties.rules | text.rules
    for lost, side in ((properties.lost[0], first), (properties.lost[1], second)):
        if lost:
            parts = with_folds(parts, [(_last(parts), folded(side.title, lost))])
            rules.add(Rule.CALLOUT)
    lines = lines_of(parts)
    if properties.lines is not None:
        lines = ["---", *properties.lines, "---", *lines]
    return _data(base, one.text, other.text, lines, rules), rules


def set_beneath(base: bytes | None, winner: Side, loser: Side) -> tuple[bytes, set[Rule]]:
    """The winner's note, and beneath it every line that the loser has beyond it: nothing gets lost."""
    there, here, before = read(winner.data), read(loser.data), read(base or b"")
    block, theirs, old = (frontmatter.block_in(text.lines) for text in (there, here, before))
    parts = blocks(there.lines[block.size :])
    properties = frontmatter.beyond(old, block, theirs)
    below = before.lines[old.size :], there.lines[block.size :], here.lines[theirs.size :]
    folds = [folded(loser.title, lost) for lost in (_beyond(*below), properties) if lost]
    parts = with_folds(parts, [(_last(parts), fold) for fold in folds])
    rules = {Rule.CALLOUT}
    lines = [*there.lines[: block.size], *lines_of(parts)]
    return _data(base, there, here, lines, rules), rules


def _beyond(base: Sequence[str], winner: Sequence[str], loser: Sequence[str]) -> list[str]:
    """The loser's lines that neither the base nor the winner has, or not as often."""
    before, there = Counter(base), Counter(winner)
    found = []
    for line in loser:
        before[line] -= 1
        there[line] -= 1
        if line.strip() and before[line] < 0 and there[line] < 0:
            found.append(line)
    # Of a callout that both have, under two titles, nothing is beyond.
    below = [*found, ""][1:]
    return [line for line, next_ in zip(found, below, strict=True) if next_[:1] == ">" or not is_folded(line)]


def _data(base: bytes | None, one: Text, other: Text, lines: Sequence[str], rules: set[Rule]) -> bytes:
    if one.ends != other.ends:
        rules.add(Rule.LINE_ENDS)
    return form(None if base is None else read(base), one, other).with_lines(lines).data


def _last(parts: Sequence[str]) -> int:
    """The index of the last block that is not blank; -1 for none."""
    return next((at for at in range(len(parts) - 1, -1, -1) if not is_blank(parts[at])), -1)
