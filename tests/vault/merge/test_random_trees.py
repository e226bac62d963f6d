"""Whatever two or three writers do to a small vault at once, no line is lost and all come together."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import pygit2
import pytest

from support.two_writers import NOON, TwoWriters
from vaultloop.vault.merge.tree import Merger

# Each line of a note has a word that no other line has.
WORD = re.compile(rb"w\d+")
Vault = dict[str, list[str]]

PAIRS = 120
TRIPLES = 20


@pytest.fixture(scope="module")
def writers() -> Iterator[TwoWriters]:
    # A crash would lose the objects; here there is none, and each costs milliseconds.
    pygit2.settings.enable_fsync_gitdir(False)
    with tempfile.TemporaryDirectory() as place:
        yield TwoWriters(Path(place) / "vault.git")
    pygit2.settings.enable_fsync_gitdir(True)


class Chance:
    """Random edits, the same for one seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._words = 0

    def line(self) -> str:
        self._words += 1
        start = self._random.choice(("", "", "- ", "- [ ] ", "> ", "1. "))
        return f"{start}Text of w{self._words}."

    def vault(self) -> Vault:
        """Some notes in some folders."""
        folders = ("", "Projects/", "Projects/Garden/", "Journal/")
        paths = [f"{folder}{name}.md" for folder in folders for name in ("plan", "log", "list")]
        return {path: self.note() for path in self._random.sample(paths, 7)}

    def note(self) -> list[str]:
        lines = ["# Heading", ""]
        for _ in range(self._random.randint(1, 8)):
            lines += [self.line(), *([""] if self._random.random() < 0.5 else [])]
        return lines

    def edited(self, vault: Vault) -> Vault:
        """The vault after one writer was at it."""
        after = {path: list(lines) for path, lines in vault.items()}
        for _ in range(self._random.randint(1, 5)):
            steps = (
                self._edit,
                self._edit,
                self._append,
                self._create,
                self._delete,
                self._rename,
                self._move,
            )
            self._random.choice((*steps, self._make_folder))(after)
        return after

    def _some(self, vault: Vault) -> str:
        return self._random.choice(sorted(vault)) if vault else self._create(vault)

    def _edit(self, vault: Vault) -> None:
        lines = vault[self._some(vault)]
        lines[self._random.randrange(len(lines))] = self.line()

    def _append(self, vault: Vault) -> None:
        vault[self._some(vault)].append(self.line())

    def _create(self, vault: Vault) -> str:
        path = self._free(vault, self._random.choice(("", "Projects/", "Journal/")))
        vault[path] = self.note()
        return path

    def _delete(self, vault: Vault) -> None:
        vault.pop(self._some(vault))

    def _rename(self, vault: Vault) -> None:
        path = self._some(vault)
        lines = vault.pop(path)
        vault[self._free(vault, self._random.choice(("", "Projects/", "Archive/")))] = lines

    def _move(self, vault: Vault) -> None:
        """Rename a folder with all that is in it."""
        folder = self._random.choice(("Projects", "Journal", "Projects/Garden"))
        target = self._random.choice(("Work", "Days", "Archive/Old"))
        for path in [path for path in vault if path.startswith(f"{folder}/")]:
            after = target + path.removeprefix(folder)
            if _is_free(vault, after):
                vault[after] = vault.pop(path)

    def _make_folder(self, vault: Vault) -> None:
        """A folder where a file was, or a file in a new folder."""
        path = self._some(vault)
        after = f"{path}/inside.md" if self._random.random() < 0.3 else f"New/{path}"
        lines = vault.pop(path)
        vault[after if _is_free(vault, after) else path] = lines

    def _free(self, vault: Vault, folder: str) -> str:
        names = [f"{folder}{name}.md" for name in ("plan", "log", "list", "fresh", "other", "Plan")]
        free = [name for name in names if _is_free(vault, name)]
        return self._random.choice(free) if free else f"{folder}w{self._random.randrange(10**6)}.md"


def _is_free(vault: Vault, path: str) -> bool:
    """Whether a file can lie there: no other does, none is in its way, and it is no folder."""
    return not any(f"{path}/".startswith(f"{other}/") or other.startswith(f"{path}/") for other in vault)


def _written(vault: Mapping[str, list[str]], before: Mapping[str, list[str]]) -> dict[str, str | None]:
    texts = {path: "\n".join(lines) + "\n" for path, lines in vault.items()}
    return {**dict.fromkeys(before), **texts}


def _words(files: Mapping[str, bytes]) -> set[bytes]:
    return {word for data in files.values() for word in WORD.findall(data)}


def _assert_whole(writers: TwoWriters, tree: str, base: str, sides: list[str]) -> None:
    """Every line that a side wrote, and every line that all left alone, is there; no marker is."""
    files = writers.files(tree)
    there, before = _words(files), _words(writers.files_of(base))
    now = [_words(writers.files_of(side)) for side in sides]
    for side in now:
        assert side - before <= there
    assert set.intersection(before, *now) <= there
    assert not any(mark in data for data in files.values() for mark in (b"<<<<<<<", b">>>>>>>"))


def _sides(writers: TwoWriters, chance: Chance, count: int) -> tuple[str, list[str]]:
    """A first commit, and `count` on it by different people; the last is the agent."""
    writers.starts_at(NOON)
    vault = chance.vault()
    base = writers.human(None, _written(vault, {}))
    edits = [_written(chance.edited(vault), vault) for _ in range(count)]
    return base, [*(writers.human(base, edit) for edit in edits[:-1]), writers.agent(base, edits[-1])]


@pytest.mark.parametrize("block", range(4))
def test_two_writers_lose_nothing_in_either_order(writers: TwoWriters, block: int) -> None:
    for seed in range(block * PAIRS // 4, (block + 1) * PAIRS // 4):
        base, (human, agent) = _sides(writers, Chance(seed), 2)
        join = writers.join(human, agent)
        _assert_whole(writers, join.tree, base, [human, agent])
        merged = writers.merged(join.tree, human, agent)
        for side in (human, agent):
            assert writers.join(merged, side).tree == join.tree
        assert writers.join(merged, writers.merged(join.tree, agent, human)).tree == join.tree


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_three_writers_in_any_order_lose_nothing(writers: TwoWriters, order: tuple[int, int, int]) -> None:
    for seed in range(1000, 1000 + TRIPLES):
        base, sides = _sides(writers, Chance(seed), 3)
        first, second, third = (sides[number] for number in order)
        # The first pushes; the others join what is there and push; then everybody only has to move forward.
        remote = writers.merge(third, writers.merge(second, first))
        tree = writers.repository.tree_of(remote)
        assert tree is not None
        _assert_whole(writers, tree, base, sides)
        assert all(writers.join(remote, side).tree == tree for side in sides)


def test_three_who_joined_each_other_crosswise_come_together(writers: TwoWriters) -> None:
    for seed in range(2000, 2000 + TRIPLES):
        base, (one, two, three) = _sides(writers, Chance(seed), 3)
        pairs = [writers.merge(one, two), writers.merge(two, three), writers.merge(three, one)]
        here, there = writers.merge(pairs[0], pairs[1]), writers.merge(pairs[2], pairs[1])
        end = writers.merge(here, there)
        tree = writers.repository.tree_of(end)
        assert tree is not None
        _assert_whole(writers, tree, base, [one, two, three])
        merger = Merger(writers.repository, writers.known.get)
        assert all(merger.joined(side, end).tree == tree for side in (*pairs, here, there))
