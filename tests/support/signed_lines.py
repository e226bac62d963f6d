"""Writers who sign each line, so that one can tell of any line in a join whose it is."""

from random import Random

from support.commits import NOON
from vaultloop.vault.files import Entry
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.signing import AuthorClass
from vaultloop.vault.merge.tree import Merger

NOTE = "Plan.md"
WORDS = (
    "water the roses",
    "call the bank",
    "read on",
    "pack for the trip",
    "ask about the rent",
    "write back",
)


class Writers:
    """Commits of named writers; each line that one of them writes ends with their name and a number."""

    def __init__(self, repository: Repository, random: Random) -> None:
        self.repository, self.random = repository, random
        self.made: dict[str, str] = {}
        self.merger = Merger(repository, self._class_of)
        self._count = 0

    def begin(self) -> str:
        """A plan of two sections."""
        lines = ["# Plan", "", *(self.line("base") for _ in range(4)), "", "## Later", ""]
        return self.commit("base", [*lines, *(self.line("base") for _ in range(4))])

    def _class_of(self, commit: str) -> AuthorClass:
        return AuthorClass.AGENT if "agent" in self.made[commit] else AuthorClass.HUMAN

    def line(self, writer: str) -> str:
        self._count += 1
        return f"{self.random.choice(WORDS)} by {writer} {self._count}"

    def edited(self, writer: str, lines: list[str]) -> list[str]:
        """The lines with some of them changed, taken away or added; headings stay."""
        found = list(lines)
        for _ in range(self.random.randint(1, 5)):
            place = self.random.randrange(len(found))
            how = self.random.choice(("insert", "change", "delete"))
            if how == "insert" or found[place].startswith("#") or not found[place]:
                found.insert(place + 1, self.line(writer))
            elif how == "change":
                found[place] = self.line(writer)
            else:
                del found[place]
        return found

    def commit(self, writer: str, lines: list[str], *parents: str) -> str:
        blob = self.repository.write_blob("".join(f"{line}\n" for line in lines).encode())
        tree = self.repository.edit(None, {NOTE: Entry(NOTE, blob)})
        return self._commit(writer, tree, *parents)

    def joined(self, one: str, other: str) -> str:
        return self._commit("join", self.merger.joined(one, other).tree, one, other)

    def lines(self, commit: str) -> list[str]:
        files = self.repository.files(commit)
        entry = files.entry(NOTE)
        assert entry
        return files.read(entry).decode().splitlines()

    def _commit(self, writer: str, tree: str, *parents: str) -> str:
        self._count += 1
        at = NOON.replace(hour=self._count // 60 % 24, minute=self._count % 60)
        author = Identity(writer, "somebody@example.org")
        made = self.repository.commit(tree, parents, f"{writer}\n", author=author, at=at)
        self.made[made] = writer
        return made
