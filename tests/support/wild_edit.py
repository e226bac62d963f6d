"""Edits as people and agents make them, at random places of ordinary notes; each leaves a word of its own.

The standard library only: the agent of a test runs this in its cell.

Usage there: python wild_edit.py, in the folder of the notes, the word and a seed on the standard input.
"""

import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

# A note to begin with; there are several of them.
NOTE = """\
---
tags:
  - home
status: open
---

# {name}

Some lines stand here from the beginning.

## Plan

- [ ] water the plants
- [ ] call Ada
- [x] read the letter
- a list goes on here

The plan has a closing line.

## Log

| when | what |
|---|---|
| Monday | rain |
| Tuesday | sun |

```text
not a task: - [ ] this
```

## End

The last line.
"""
NAMES = ("Garden", "House", "Journal", "Week")

_TASK = re.compile(r"- \[ \] ")
_BODY_BEGINS = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def edited(text: str, word: str, chance: random.Random) -> str:
    """`text` after one edit that leaves `word` in it once; nothing that another edit left goes away."""
    head = _BODY_BEGINS.match(text)
    front, body = (head.group(0), text[head.end() :]) if head else ("", text)
    edits: list[Callable[[str, str, str, random.Random], str]] = [
        *[_appended] * 3,
        *[_inserted] * 3,
        *[_reworded] * 3,
        _ticked,
        _tagged,
        _new_section,
    ]
    return chance.choice(edits)(front, body, word, chance)


def edit_some(folder: Path, word: str, chance: random.Random) -> str:
    """Edit one of the notes in `folder`; returns its name."""
    name = chance.choice(NAMES)
    file = folder / f"{name}.md"
    file.write_bytes(edited(file.read_bytes().decode(), word, chance).encode())
    return file.name


def _appended(front: str, body: str, word: str, _: random.Random) -> str:
    return f"{front}{body.rstrip()}\n- {word} at the end\n"


def _inserted(front: str, body: str, word: str, chance: random.Random) -> str:
    lines = body.splitlines(keepends=True)
    lines.insert(chance.choice(_places(lines)), f"- {word} in between\n")
    return front + "".join(lines)


def _reworded(front: str, body: str, word: str, chance: random.Random) -> str:
    lines = body.splitlines(keepends=True)
    at = chance.choice(_words(lines))
    lines[at] = f"{lines[at].rstrip()} {word}\n"
    return front + "".join(lines)


def _ticked(front: str, body: str, word: str, chance: random.Random) -> str:
    """Tick a task, and say so."""
    tasks = list(_TASK.finditer(body))
    if tasks:
        at = chance.choice(tasks)
        body = f"{body[: at.start()]}- [x] {body[at.end() :]}"
    return _appended(front, body, word, chance)


def _tagged(front: str, body: str, word: str, chance: random.Random) -> str:
    if "tags:\n" not in front:
        return _appended(front, body, word, chance)
    return front.replace("tags:\n", f"tags:\n  - {word}\n", 1) + body


def _new_section(front: str, body: str, word: str, chance: random.Random) -> str:
    return f"{front}{body.rstrip()}\n\n## Of {chance.choice(('today', 'tomorrow'))}\n\n{word} begins here.\n"


def _places(lines: list[str]) -> list[int]:
    """Where a line may go in: not into a table or a block of code."""
    return [at for at in range(len(lines) + 1) if not _is_inside(lines, at)]


def _is_inside(lines: list[str], at: int) -> bool:
    fences = sum(line.lstrip("> ").startswith("```") for line in lines[:at])
    near = "".join(lines[max(at - 1, 0) : at + 1])
    # A line between two of a quotation would end a callout.
    return fences % 2 == 1 or "|" in near or ">" in near


def _words(lines: list[str]) -> list[int]:
    """The lines that can be worded anew: no table, no code, no heading."""
    return [
        at
        for at, line in enumerate(lines)
        if line.strip() and not line.startswith(("#", "|", "`", ">")) and not _is_inside(lines, at)
    ]


def main() -> None:
    word, seed = sys.stdin.read().split()[:2]
    sys.stdout.write(f"Edited {edit_some(Path.cwd() / 'notes', word, random.Random(seed))}.\n")


if __name__ == "__main__":
    main()
