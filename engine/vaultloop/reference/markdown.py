"""Writing Markdown: tables, code, and characters that nobody can see."""

import re
from collections.abc import Iterable, Sequence


def joined(*parts: str) -> str:
    """Blocks with an empty line between them; empty ones are left out."""
    return "\n\n".join(stripped for part in parts if (stripped := part.strip("\n"))) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def code(text: str) -> str:
    """Text in a code span, however many backticks are in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence, gap = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{gap}{visible(text)}{gap}{fence}"


def fenced(text: str) -> str:
    """A whole note as a block of code."""
    return f"```markdown\n{text.rstrip()}\n```"


def visible(text: str) -> str:
    """Text with names for characters that nobody can see."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _cell(text: str) -> str:
    # The bar ends a cell, also within code.
    return re.sub(r"(?<!\\)\|", r"\\|", text.replace("\n", " "))
