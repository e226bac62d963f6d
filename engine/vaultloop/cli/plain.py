"""Plain text on the owner's terminal, whoever wrote it."""

import re

# What a terminal obeys instead of showing it: all control characters but newline and tab.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """`text` without anything that drives the terminal, and without what cannot be written to it."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n"))
    return text.encode(errors="replace").decode()


def counted(number: int, noun: str) -> str:
    """`1 note`, `2 notes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
