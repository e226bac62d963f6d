"""One task, ticked by one and worded anew by the other: both in one line."""

import re

from vaultloop.vault.merge.lines import woven

_TASK = re.compile(r"(?P<lead>\s*(?:>\s*)*(?:[-*+]|\d+[.)])\s+)\[(?P<mark>.)\](?P<text>(?:\s.*)?)")


def joined(base: str, one: str, other: str) -> str | None:
    """The task with the changes of both, or None where they changed the same words, or it is no task."""
    found = [_TASK.fullmatch(line) for line in (base, one, other)]
    matched = [match for match in found if match]
    if len(matched) < len(found):
        return None
    lead = _chosen(*(match["lead"] for match in matched))
    mark = _chosen(*(match["mark"] for match in matched))
    words = woven(*(_words(match["text"]) for match in matched))
    if lead is None or mark is None or words is None:
        return None
    return f"{lead}[{mark}]{''.join(words)}"


def _words(text: str) -> list[str]:
    """Words with the space before them."""
    return re.findall(r"\s*\S+|\s+$", text)


def _chosen(base: str, one: str, other: str) -> str | None:
    """What one of them changed, or both alike."""
    if one in (base, other):
        return other
    return one if other == base else None
