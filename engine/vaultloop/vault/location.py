"""Where declarations lie in a vault, and where the vault is, seen from a path in it."""

from pathlib import Path

FOLDER = "agent"
# Folders that a person may take for it; asked for by name, because walking the vault would cost.
LOOK_ALIKES = ("Agent", "AGENT", "agents", "Agents", "_agent", ".agent")

# The texts at the vault's top that every session is told, in this order: what is said later is more special.
CONTEXT_FILES = ("CLAUDE.md", "CLAUDE.local.md")


def top_of(place: Path) -> Path | None:
    """The nearest folder, from `place` upwards, that holds `agent/`; None where there is none.

    The search ends where the git repository ends: what lies around it is another thing.
    """
    place = place.resolve()
    for folder in (place, *place.parents):
        if _holds(folder, FOLDER):
            return folder
        if (folder / ".git").exists():
            break
    return None


def look_alike(place: Path) -> str | None:
    """A folder in `place` that was probably meant to be `agent`."""
    return next((name for name in LOOK_ALIKES if _holds(place, name)), None)


def _holds(folder: Path, name: str) -> bool:
    # By listing: a file system that ignores case would answer for `Agent` too.
    return (folder / name).is_dir() and name in {child.name for child in folder.iterdir()}
