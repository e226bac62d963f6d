"""A Dockerfile, read: stages and instructions. As much of the language as ours uses."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined.

    Attributes:
        line: where it begins, from 1.
        flags: what is written as `--name=value` before the rest.
    """

    line: int
    keyword: str
    flags: Mapping[str, str]
    value: str

    @property
    def words(self) -> list[str]:
        """The exec form's list, or the words of the plain one."""
        words: list[str] = json.loads(self.value) if self.value.startswith("[") else shlex.split(self.value)
        return words

    def __str__(self) -> str:
        return f"line {self.line}: {self.keyword} {self.value}"


@dataclass(frozen=True)
class Stage:
    """What begins with a FROM."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)


def read(path: Path = ROOT / "Dockerfile") -> list[Instruction]:
    """Its instructions, in order."""
    return list(_instructions(path.read_text(encoding="utf-8")))


def _instructions(text: str) -> Iterator[Instruction]:
    begun, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        begun = begun or number
        parts.append(line.strip().removesuffix("\\").strip())
        if not line.endswith("\\"):
            yield _instruction(begun, " ".join(parts))
            begun, parts = 0, []
    assert not parts, f"line {begun} is continued, and the file ends"


def _instruction(line: int, text: str) -> Instruction:
    keyword, _, rest = text.partition(" ")
    flags = {}
    if keyword in {"COPY", "FROM", "RUN"}:
        while found := re.match(r"--([\w-]+)=(\S+)\s+", rest):
            flags[found[1]] = found[2]
            rest = rest[found.end() :]
    return Instruction(line, keyword, flags, rest.strip())


def stages(instructions: list[Instruction], **arguments: str) -> list[Stage]:
    """The stages in order, with build arguments filled in where a base is named."""
    known: dict[str, str] = {}
    found: list[Stage] = []
    for instruction in instructions:
        if instruction.keyword == "ARG" and not found:
            name, _, default = instruction.value.partition("=")
            known[name] = arguments.get(name, default)
        elif instruction.keyword == "FROM":
            base, _, name = instruction.value.partition(" AS ")
            found.append(Stage(name or "final", expanded(base, known)))
        else:
            found[-1].instructions.append(instruction)
    return found


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """`text` with `$NAME` and `${NAME}` filled in."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: variables.get(found[1], ""), text)


def pairs(instruction: Instruction, variables: Mapping[str, str]) -> dict[str, str]:
    """What an ENV or LABEL sets."""
    return {
        name: value
        for name, _, value in (w.partition("=") for w in shlex.split(expanded(instruction.value, variables)))
    }


def is_sent(path: str, ignore: Path = ROOT / ".dockerignore") -> bool:
    """Whether `.dockerignore` lets a path of the context through: the last pattern that fits decides."""
    sent = True
    for line in ignore.read_text(encoding="utf-8").splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        parents = ["/".join(path.split("/")[:end]) for end in range(1, path.count("/") + 2)]
        bare = pattern.removeprefix("!").removeprefix("**/")
        within = (
            parents if "**/" not in pattern else [part for p in parents for part in (p, p.rpartition("/")[2])]
        )
        if any(fnmatchcase(part, bare) for part in within):
            sent = pattern.startswith("!")
    return sent
