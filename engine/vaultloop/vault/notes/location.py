"""Where declarations lie in a vault, and where the vault is, seen from a path in it."""

import os
from collections.abc import Iterator
from pathlib import Path

from vaultloop.vault.notes.glance import any_declares, is_note

FOLDER = "agent"
# Folders that a person may take for it; asked for by name, because walking the vault would cost.
LOOK_ALIKES = ("Agent", "AGENT", "agents", "Agents", "_agent", ".agent")

# The texts at the vault's top that every session is told, in this order: what is said later is more special.
CONTEXT_FILES = ("CLAUDE.md", "CLAUDE.local.md")


def top_of(place: Path) -> Path | None:
    """The folder, from `place` upwards, that holds `agent/`; None where there is none.

    Folders inside a vault may have that name, too. Of several the outermost counts that is a vault by all
    appearances: with a declaration in its `agent/`, with Obsidian's folder, or as the top of a git
    repository. The search ends where that ends: what lies around it is another thing.
    """
    found = [folder for folder in _up_to_git(place.resolve()) if _holds(folder, FOLDER)]
    if len(found) > 1:
        found = [folder for folder in reversed(found) if _is_vault(folder)] or found
    return found[0] if found else None


def link_in(place: Path) -> tuple[Path, str] | None:
    """The first link on the way to `place` that lies inside a vault: the vault's top, and its path there.

    A vault that is reached by a link is a vault like any other.
    """
    place = Path(os.path.abspath(place))  # noqa: PTH100 - links are looked for, not followed
    for at in (*reversed(place.parents), place):
        if _is_link(at) and not _holds(at.resolve(), FOLDER) and (vault := top_of(at.parent)):
            return vault, (at.parent.resolve() / at.name).relative_to(vault).as_posix()
    return None


def is_of_another_repository(place: Path) -> bool:
    """Whether `place` lies in a git repository that does not look like anybody's notes."""
    around = list(_up_to_git(place.resolve()))
    return _is_git_top(around[-1]) and not any(_holds(folder, ".obsidian") for folder in around)


def _up_to_git(place: Path) -> Iterator[Path]:
    for folder in (place, *place.parents):
        yield folder
        if _is_git_top(folder):
            return


def _is_vault(folder: Path) -> bool:
    if _is_git_top(folder) or _holds(folder, ".obsidian"):
        return True
    return any_declares(_tops_of_notes(folder / FOLDER))


def _is_git_top(folder: Path) -> bool:
    try:
        return (folder / ".git").exists()
    except OSError:  # closed to us
        return False


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:  # closed to us
        return False


def _tops_of_notes(folder: Path) -> Iterator[bytes]:
    for here, _, names in os.walk(folder):
        for file in (Path(here, name) for name in names if is_note(name)):
            try:
                if file.is_file() and not file.is_symlink():
                    yield file.read_bytes()
            except OSError:
                # That it cannot be read is told once it is known to be of the vault.
                continue


def look_alike(place: Path) -> str | None:
    """A folder in `place` that was probably meant to be `agent`."""
    return next((name for name in LOOK_ALIKES if _holds(place, name)), None)


def _holds(folder: Path, name: str) -> bool:
    # By listing: a file system that ignores case would answer for `Agent` too.
    try:
        return (folder / name).is_dir() and name in {child.name for child in folder.iterdir()}
    except OSError:
        return False
