"""The practice agent: a small program in the place of a model, so that a vault can be tried without a key.

It works like any agent: it reads a prompt, looks at the notes in its working directory, changes some of them
and says what it did. It follows a few fixed sentences, one a line, and needs neither network nor clock: the
same vault and the same prompt always give the same notes.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from vaultloop.model.conversation import NOTHING_TO_SAY

HELP = """\
I am the practice agent: a small program, not a model. I understand these lines:
- gather open tasks into Digest
- what is open?
- how many notes are there?
- note: something to remember (goes to Inbox)
- add task water the plants (goes to Inbox; or: add task ... to Garden)
- append a line to Garden
- say nothing
- help"""

# Notes that steer the agent or serve as patterns: what looks like a task in them is none.
NOT_CONTENT = ("agent", "Templates")
INBOX = "Inbox"
NOTHING_IS_OPEN = "Nothing is open."
HEADING = "## Open tasks"
# Obsidian shows no comment. Below it everything belongs to this program, above it nothing does.
MARK = "%% gathered by the practice agent: what is below is rewritten %%"

_OPEN_TASK = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+\[ \]\s+(?P<text>\S.*)")
_FENCE = re.compile(r"\s*(?:```|~~~)")


class BadNameError(Exception):
    """The sentence was understood but cannot be followed; the text says why."""


class Notes:
    """The notes in one folder, by their paths below it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def paths(self) -> list[str]:
        """All notes that are content, sorted."""
        found = (path.relative_to(self._folder) for path in self._folder.rglob("*.md"))
        return sorted(path.as_posix() for path in found if _is_content(path))

    def find(self, name: str) -> str:
        """The path of the note that `name` means (a path, a stem or a wikilink), also of one to be made.

        Raises:
            BadNameError: the name leads out of the vault.
        """
        wanted = name.strip().removeprefix("[[").removesuffix("]]").partition("|")[0].strip()
        wanted = wanted.removesuffix(".md")
        parts = PurePosixPath(wanted).parts
        if not parts or wanted.startswith("/") or ".." in parts:
            raise BadNameError(f"“{name.strip()}” is not the name of a note.")
        for path in self.paths():
            stem = path.removesuffix(".md")
            if wanted.casefold() in (stem.casefold(), PurePosixPath(stem).name.casefold()):
                return path
        return f"{wanted}.md"

    def read(self, path: str) -> str:
        """The text of a note; empty if there is none."""
        target = self._folder / path
        # Through bytes, so that foreign line ends and stray bytes come back as they were.
        return target.read_bytes().decode(errors="surrogateescape") if target.exists() else ""

    def write(self, path: str, text: str) -> bool:
        """Make `text` the content of a note; false, and nothing written, if it is already so."""
        if self.read(path) == text:
            return False
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode(errors="surrogateescape"))
        return True

    def append(self, path: str, line: str) -> None:
        """Add one line at the end of a note, which is made if it does not exist."""
        text = self.read(path) or f"# {PurePosixPath(path).stem}\n"
        end = "\r\n" if "\r\n" in text else "\n"
        lines = text.rstrip().split(end)
        # A list goes on; anything else is set apart by an empty line.
        gap = [] if _is_item(lines[-1]) and _is_item(line) else [""]
        self.write(path, end.join([*lines, *gap, line, ""]))

    def open_tasks(self, *, without: str | None = None) -> dict[str, list[str]]:
        """Texts of the open tasks by note; what was gathered is not counted again."""
        found = {path: list(_open_tasks(self.read(path))) for path in self.paths() if path != without}
        return {path: tasks for path, tasks in found.items() if tasks}


def gather(notes: Notes, name: str) -> str:
    """Collect all open tasks in one note, grouped by the notes they are in."""
    target = notes.find(name)
    tasks = notes.open_tasks(without=target)
    groups = [
        f"### {_link(path)}\n\n" + "\n".join(f"- [ ] {task}" for task in found)
        for path, found in tasks.items()
    ]
    body = "\n\n".join(groups) or NOTHING_IS_OPEN
    before = notes.read(target) or f"# {PurePosixPath(target).stem}\n"
    kept = before.partition(MARK)[0].rstrip().removesuffix(HEADING).rstrip()
    text = f"{kept}\n\n{HEADING}\n\n{MARK}\n\n{body}\n"
    summary = f"{_counted(sum(map(len, tasks.values())), 'open task')} in {_counted(len(tasks), 'note')}"
    if notes.write(target, text):
        return f"Gathered {summary} into {_link(target)}."
    return f"{_link(target)} is up to date: {summary}."


def what_is_open(notes: Notes) -> str:
    """List the open tasks in the reply."""
    tasks = notes.open_tasks()
    if not tasks:
        return NOTHING_IS_OPEN
    lines = [f"- {task} ({_link(path)})" for path, found in tasks.items() for task in found]
    return f"{_counted(len(lines), 'open task')}:\n" + "\n".join(lines)


def how_many(notes: Notes) -> str:
    """Count the notes."""
    return f"I can see {_counted(len(notes.paths()), 'note')}."


def append(notes: Notes, text: str, name: str) -> str:
    """Add a line to a note."""
    path = notes.find(name)
    notes.append(path, text.strip())
    return f"Added to {_link(path)}."


def remember(notes: Notes, text: str) -> str:
    """Add a line to the inbox."""
    return append(notes, f"- {text.strip()}", INBOX)


def add_task(notes: Notes, text: str, name: str | None) -> str:
    """Add an open task; `to Anna` names a note only if there is one, or as a wikilink, else the inbox."""
    if name and not name.startswith("[[") and not notes.read(notes.find(name)):
        text, name = f"{text} to {name}", None
    return append(notes, f"- [ ] {text.strip()}", name or INBOX)


# The sentences, tried from top to bottom; named groups become arguments.
SENTENCES: tuple[tuple[str, Callable[..., str]], ...] = (
    (r"gather (?:all )?(?:the )?open tasks? (?:in|into|to) (?P<name>.+?)", gather),
    (r"what(?: is|.?s) open|(?:list )?open tasks", what_is_open),
    (r"how many notes\b.*", how_many),
    (r"note:\s*(?P<text>.+)", remember),
    (r"add (?:a )?task:?\s+(?P<text>.+?)(?: to (?P<name>\[\[.+?\]\]|[^\s]+))?", add_task),
    (r"append (?P<text>.+) to (?P<name>.+?)", append),
    (r"say nothing", lambda _: NOTHING_TO_SAY),
    (r"help|/help", lambda _: HELP),
)


def answer(prompt: str, notes: Notes, *, instructions: str = "") -> str:
    """Follow each line of `prompt` that is understood; say what is possible if none is.

    Where the instructions offer silence, it is chosen when nothing is open.
    """
    done = [reply for line in prompt.splitlines() if (reply := _follow(line, notes)) is not None]
    if set(done) == {NOTHING_IS_OPEN} and NOTHING_TO_SAY in instructions:
        return NOTHING_TO_SAY
    if done:
        return "\n".join(done)
    return f"Thank you for your message. I cannot answer that.\n\n{HELP}"


def main() -> int:
    """Answer the prompt on standard input, working on the notes in the current directory."""
    told = os.environ.get("VAULTLOOP_INSTRUCTIONS")
    instructions = Path(told).read_text() if told else ""
    print(answer(sys.stdin.read(), Notes(Path.cwd()), instructions=instructions))  # noqa: T201 - a program's answer is what it prints
    return 0


def _follow(line: str, notes: Notes) -> str | None:
    for pattern, action in SENTENCES:
        if found := re.fullmatch(rf"\s*(?:{pattern})\s*[.!?]?\s*", line, re.IGNORECASE):
            try:
                return action(notes, **found.groupdict())
            except BadNameError as refusal:
                return str(refusal)
    return None


def _open_tasks(text: str) -> Iterator[str]:
    fenced = False
    for line in text.partition(MARK)[0].splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and (found := _OPEN_TASK.match(line)):
            yield found["text"].rstrip()


def _is_content(path: Path) -> bool:
    return path.parts[0] not in NOT_CONTENT and not any(part.startswith(".") for part in path.parts)


def _is_item(line: str) -> bool:
    return re.match(r"\s*(?:[-*+]|\d+[.)])\s", line) is not None


def _link(path: str) -> str:
    return f"[[{path.removesuffix('.md')}]]"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
