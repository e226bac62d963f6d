"""The texts that every session is told: `CLAUDE.md`, `CLAUDE.local.md`, and what they import with `@path`.

How an import is written and which file it means is said once, here: for the sessions that put the texts
together, and for the check that tells what will be missing there.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType

from vaultloop.model.problem import Fix, Problem, Severity
from vaultloop.model.resource import AnyResource, Ref
from vaultloop.vault import secret
from vaultloop.vault.files import Entry, Files
from vaultloop.vault.flows import Flows
from vaultloop.vault.location import CONTEXT_FILES

DEEPEST_IMPORT = 5
# Nobody reads more; the rest shows once these are mended.
MOST_PROBLEMS = 50

NOTHING: Mapping[Ref, AnyResource] = MappingProxyType({})

_CODE = re.compile(
    r"^(?P<fence>```+|~~~+).*?(?:^(?P=fence)|\Z)|(?P<ticks>`+).+?(?P=ticks)", re.DOTALL | re.MULTILINE
)
_IMPORT = re.compile(r"(?:^|(?<=\s))@(?P<path>(?:[^\s\\]|\\ )+)", re.MULTILINE)
_PUNCTUATION = ".,;:!?)]}'\""


@dataclass(frozen=True, slots=True)
class Import:
    """An `@path` in a text: what it names, and where the `@` stands, counted from 1."""

    path: str
    line: int
    column: int


def imports(text: str) -> list[Import]:
    """What `@` names in a text, in order; code is not looked at."""
    plain = _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)
    found, line, start, counted = [], 1, 0, 0
    for mention in _IMPORT.finditer(plain):
        at = mention.start()
        if breaks := plain.count("\n", counted, at):
            line, start = line + breaks, plain.rfind("\n", 0, at) + 1
        counted = at
        found.append(Import(mention["path"].replace("\\ ", " "), line, at - start + 1))
    return found


def meant(mentioned: str, by: str) -> Iterator[str]:
    """The vault paths that an import may mean: as written, then without the punctuation of its sentence.

    `by` is the file that imports; paths are relative to its folder.
    """
    for written in dict.fromkeys((mentioned, mentioned.rstrip(_PUNCTUATION))):
        if written.startswith(("/", "~")):
            continue
        if (path := _joined(PurePosixPath(by).parent, written)) is not None:
            yield path


def _joined(folder: PurePosixPath, relative: str) -> str | None:
    parts: list[str] = list(folder.parts)
    for part in PurePosixPath(relative).parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            return None
    return "/".join(parts) or None


def problems(files: Files, resources: Mapping[Ref, AnyResource] = NOTHING) -> tuple[Problem, ...]:
    """What is wrong with the standing texts: imports that go round in a circle, too deep, or to no file.

    With the vault's `resources` also: imports of what people may write who are trusted less than others whose
    sessions are told it.
    """
    walk = _Walk(files, Flows(resources))
    for name in CONTEXT_FILES:
        walk.visit(name, ())
    return walk.problems()


class _Walk:
    """One way through all imports, in the order in which a session is told the texts."""

    def __init__(self, files: Files, flows: Flows) -> None:
        self._files = files
        self._flows = flows
        self._seen: dict[str, list[str]] = {}
        self._entries: dict[str, Entry | None] = {}
        self._told: list[Problem] = []
        self._too_deep: list[tuple[str, Import, str]] = []

    def visit(self, path: str, above: tuple[str, ...]) -> None:
        """Look at a file and at all that it imports; `above` are the files that lead to it."""
        entry = self._at(path)
        if entry is None or path in self._seen:
            return
        text = self._files.read(entry).decode(errors="replace")
        self._seen[path] = text.split("\n")
        self._told += _secrets(path, text)
        for found in imports(text):
            self._follow(found, path, (*above, path))

    def problems(self) -> tuple[Problem, ...]:
        """All that was found; an import that is too deep counts only if nothing else brings its file in."""
        told = self._told
        for by, found, path in self._too_deep:
            if path not in self._seen:
                told.append(self._deep(by, found, path))
        return tuple(sorted(set(told))[:MOST_PROBLEMS])

    def _follow(self, found: Import, by: str, way: tuple[str, ...]) -> None:
        entry = self._entry(found, by)
        if entry is None:
            self._told += self._missing(found, by)
        elif entry.path in way:
            self._told.append(self._cycle(found, way[way.index(entry.path) :]))
        elif len(way) > DEEPEST_IMPORT:
            self._too_deep.append((by, found, entry.path))
        else:
            if entry.path not in self._seen:
                self._told += self._untrusted(found, by, entry.path)
            self.visit(entry.path, way)

    def _entry(self, found: Import, by: str) -> Entry | None:
        return next((entry for path in meant(found.path, by) if (entry := self._at(path))), None)

    def _at(self, path: str) -> Entry | None:
        if path not in self._entries:
            self._entries[path] = self._files.entry(path)
        return self._entries[path]

    def _cycle(self, found: Import, circle: tuple[str, ...]) -> Problem:
        by = circle[-1]
        if len(circle) == 1:
            message = f"`{by}` imports itself."
        else:
            way = ", which imports ".join(f"`{path}`" for path in (*circle[1:], circle[0]))
            message = f"`{circle[0]}` imports {way}: each is told once."
        return self._problem(by, found, "import-cycle", message, fix=self._plain(found, by))

    def _missing(self, found: Import, by: str) -> Iterator[Problem]:
        written = secret.scrubbed(found.path.rstrip(_PUNCTUATION))
        if "/" not in written and not written.lower().endswith(".md"):
            # `@alice` names a person.
            return
        path = next(meant(written, by), None)
        otherwise = f"Write `{self._plain(found, by)}` if it is no import, or "
        if path is None:
            message = f"`{written}` lies outside of the vault; only files of the vault are imported."
            cure = otherwise + "copy the file into the vault and name it here."
            yield self._problem(by, found, "import-outside", message, cure)
            return
        message = f"There is no file `{path}`, so nothing is imported."
        line, end = self._line(found, by), found.column + len(written)
        if self._at(f"{path}.md") and line[found.column : end] == written:
            fix = f"{line[:end]}.md{line[end:]}"
            yield self._problem(by, found, "missing-import", message, fix=fix)
        else:
            yield self._problem(by, found, "missing-import", message, otherwise + "write that file.")

    def _untrusted(self, found: Import, by: str, path: str) -> Iterator[Problem]:
        for writer in self._flows.less_trusted_writers(path):
            message = (
                f"The scope `{writer.scope}` ({writer.who}) may write `{path}`, and every session is told it,"
                " also with the rights of people who are trusted more."
            )
            cure = (
                f"Name `{path}` in `except` of the scope `{writer.scope}`,"
                f" or write `{self._plain(found, by)}` here."
            )
            yield self._problem(by, found, "untrusted-import", message, cure)

    def _deep(self, by: str, found: Import, path: str) -> Problem:
        message = f"Imports are followed {DEEPEST_IMPORT} files deep; `{path}` is deeper and left out."
        cure = (
            f"Write `{self._plain(found, by)}` if it may be left out, or import `{path}` higher up:"
            f" in `{CONTEXT_FILES[0]}`, say."
        )
        return self._problem(by, found, "import-too-deep", message, cure)

    def _line(self, found: Import, by: str) -> str:
        return self._seen[by][found.line - 1].rstrip("\r")

    def _plain(self, found: Import, by: str) -> str:
        """The line with the import taken back: a mention like any other."""
        line = self._line(found, by)
        return line[: found.column - 1] + line[found.column :]

    def _problem(
        self, by: str, found: Import, code: str, message: str, cure: str = "", *, fix: str | None = None
    ) -> Problem:
        edit = None if fix is None else Fix(found.line, self._line(found, by), fix)
        # The line that is quoted may hold more than the import.
        shown = secret.scrubbed(edit.cure if edit else cure)
        edit = edit if edit and edit.cure == shown else None
        return Problem(by, found.line, found.column, Severity.WARNING, code, message, shown, edit)


def _secrets(path: str, text: str) -> Iterator[Problem]:
    for at in secret.sightings(text):
        message = f"This looks like {at.what}."
        yield Problem(path, at.line, at.column, Severity.ERROR, "secret", message, secret.CURE)
