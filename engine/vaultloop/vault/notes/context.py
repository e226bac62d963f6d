"""The texts that every session is told: `CLAUDE.md`, `CLAUDE.local.md`, and what they import with `@path`.

How an import is written and which file it means is said once, here: for the sessions that put the texts
together, and for the check that tells what will be missing there.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType

from vaultloop.model.problem import Fix, Problem, Severity
from vaultloop.model.resource import AnyResource, Ref
from vaultloop.vault.files import Entry, Files
from vaultloop.vault.notes import secret
from vaultloop.vault.notes.flows import Flows, Writer
from vaultloop.vault.notes.location import CONTEXT_FILES

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


def reached(roots: Iterable[str], imported: Callable[[str], Iterable[str]]) -> dict[str, int]:
    """How many imports deep each file lies, by the shortest way to it; what lies too deep is left out.

    By the shortest, so that the order in which files are named decides nothing.

    Args:
        roots: the files that are told without being imported.
        imported: the files that a file imports.
    """
    depths = dict.fromkeys(roots, 0)
    waiting = deque(depths)
    while waiting:
        path = waiting.popleft()
        if depths[path] == DEEPEST_IMPORT:
            continue
        for other in imported(path):
            if other not in depths:
                depths[other] = depths[path] + 1
                waiting.append(other)
    return depths


def problems(files: Files, resources: Mapping[Ref, AnyResource] = NOTHING) -> tuple[Problem, ...]:
    """What is wrong with the standing texts: imports that go round in a circle, too deep, or to no file.

    With the vault's `resources` also: imports of what people may write who are trusted less than others whose
    sessions are told it. Errors are never left out for the number of warnings.
    """
    found = set(_Look(files, Flows(resources)).problems())
    return tuple(sorted(sorted(found, key=lambda problem: (not problem.is_error, problem))[:MOST_PROBLEMS]))


class _Look:
    """One look at all that a session is told."""

    def __init__(self, files: Files, flows: Flows) -> None:
        self._files = files
        self._flows = flows
        self._seen: dict[str, list[str]] = {}
        self._imports: dict[str, list[tuple[Import, str | None]]] = {}
        self._entries: dict[str, Entry | None] = {}
        self._suspected: set[str] = set()
        self._roots = [name for name in CONTEXT_FILES if self._at(name)]
        self._told = reached(self._roots, self._imported)

    def problems(self) -> Iterator[Problem]:
        """All that was found, in no order."""
        for path in self._told:
            self._imported(path)
            yield from _secrets(path, "\n".join(self._seen[path]))
            for found, meets in self._imports[path]:
                yield from self._untrusted(found, path)
                if meets is None:
                    yield from self._missing(found, path)
                elif meets not in self._told:
                    yield self._deep(path, found, meets)
        yield from self._cycles()

    def _imported(self, path: str) -> list[str]:
        """The files that a file imports; it is read for this."""
        if path not in self._imports:
            entry = self._at(path)
            text = self._files.read(entry).decode(errors="replace") if entry else ""
            self._seen[path] = text.split("\n")
            self._imports[path] = [(found, self._met(found, path)) for found in imports(text)]
        return [meets for _, meets in self._imports[path] if meets is not None]

    def _met(self, found: Import, by: str) -> str | None:
        return next((path for path in meant(found.path, by) if self._at(path)), None)

    def _at(self, path: str) -> Entry | None:
        if path not in self._entries:
            self._entries[path] = self._files.entry(path)
        return self._entries[path]

    def _cycles(self) -> Iterator[Problem]:
        """Where a circle closes, on a way through all imports in the order in which they are told."""
        done: set[str] = set()
        for root in self._roots:
            way: dict[str, Iterator[tuple[Import, str | None]]] = {}
            if root not in done:
                way[root] = iter(self._imports[root])
            while way:
                by = next(reversed(way))
                found, meets = next(way[by], (None, None))
                if found is None:
                    done.add(by)
                    del way[by]
                elif meets in way:
                    yield self._cycle(found, (*way,)[[*way].index(meets) :])
                elif meets in self._told and meets not in done:
                    way[meets] = iter(self._imports[meets])

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

    def _untrusted(self, found: Import, by: str) -> Iterator[Problem]:
        """Who may write what is imported here, be it only once they have made the file."""
        written: dict[Writer, list[str]] = {}
        for path in self._candidates(found, by):
            for writer in () if path in self._suspected else self._flows.less_trusted_writers(path):
                written.setdefault(writer, []).append(path)
            self._suspected.add(path)
        for writer, paths in written.items():
            named = " and ".join(f"`{path}`" for path in paths)
            message = (
                f"The scope `{writer.scope}` ({writer.who}) may write {named}, and every session is told it,"
                " also with the rights of people who are trusted more."
            )
            cure = (
                f"Name {named} in `except` of the scope `{writer.scope}`,"
                f" or write `{self._plain(found, by)}` here."
            )
            yield self._problem(by, found, "untrusted-import", message, cure)

    def _candidates(self, found: Import, by: str) -> Iterator[str]:
        """The files that this import would bring in, were they there; none behind the one that is."""
        for path in meant(found.path, by):
            if path not in self._roots:
                yield path
            if self._at(path):
                return

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
