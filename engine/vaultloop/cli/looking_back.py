"""What `log` and `blame` share: whose trail it is, and how people read an entry of it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaultloop.cli.standpoint import GivenSettings

if TYPE_CHECKING:
    from vaultloop.settings import Settings
    from vaultloop.trail import Trail


@dataclass(frozen=True)
class Place:
    """Where somebody stands, and the folder of the vault, if it lies in one."""

    here: Path
    folder: Path | None

    def paths(self, named: Sequence[str]) -> tuple[str, ...]:
        """Paths as the vault knows them."""
        from vaultloop.trail import in_vault  # noqa: PLC0415

        return in_vault(self.folder, named, self.here)


@contextmanager
def trail_here(given: GivenSettings, here: Path) -> "Iterator[tuple[Trail, Place]]":
    """The trail of the vault that the settings name; without any, of the clone that one stands in.

    Raises:
        InvalidSettings: there is neither.
        VaultloopError: the vault has no history yet, or the records cannot be read.
    """
    from vaultloop.settings import InvalidSettings  # noqa: PLC0415
    from vaultloop.trail import Trail  # noqa: PLC0415

    try:
        settings = given.settings
    except InvalidSettings:
        top = None if given.any_named else _top_around(here)
        if top is None:
            raise
        yield Trail.of_clone(top), Place(here, top)
        return
    with _records(settings) as database:
        yield Trail.of(settings, database), Place(here, settings.folder)


def _top_around(here: Path) -> Path | None:
    """The clone that one stands in; nothing above it holds a `.git`."""
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), None)


@contextmanager
def _records(settings: "Settings") -> Iterator[Any]:
    from vaultloop.cli.engine import records  # noqa: PLC0415
    from vaultloop.state.directory import StateDirectory  # noqa: PLC0415

    if not StateDirectory(settings.state).database.is_file():
        # A folder with its own git has a history without any engine.
        yield None
        return
    with records(settings) as database:
        yield database


def who(entry: Mapping[str, Any]) -> str:
    """Whose an entry is, for people: a person, an agent, or the owner's own act."""
    if by := entry.get("asked_by") or entry.get("approved_by"):
        return str(by)
    return str(entry["author"] if entry["class"] in ("human", "unknown") else entry["class"])


def asked(entry: Mapping[str, Any]) -> str:
    """What asked for a session's work, in one line: a chat and its words, or a slot."""
    why = " ".join((entry["why"] or "").split())
    if entry["slot"]:
        return f"for {why}"
    kind = str(entry["trigger"]).partition(" ")[0]
    chats = ", ".join(entry["chats"])
    return f"asked in the chat {chats}: {why}" if kind == "message" else f"{entry['trigger']}: {why}"
