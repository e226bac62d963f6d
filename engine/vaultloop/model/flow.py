"""What a note opens to text: who may write where, who reads it there, and to whom it is told.

Kinds declare these values; what a less trusted scope may write and a more trusted one reads is found by
comparing them. Trust is that of the people who may speak in a scope.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from vaultloop.model.policy import Audience


class Trust(IntEnum):
    """How much the people of a scope are trusted. Where nobody speaks, runs do what the owner wrote."""

    PUBLIC = 1
    LISTED = 2
    OWNER = 3

    @classmethod
    def of(cls, audience: Audience) -> "Trust":
        """The trust in the people of a class."""
        match audience:
            case Audience.OWNER | Audience.CRON:
                return cls.OWNER
            case Audience.PUBLIC:
                return cls.PUBLIC
            case _:
                return cls.LISTED


@dataclass(frozen=True, slots=True)
class Writes:
    """Sessions of the note's scope may change what `patterns` name and `hidden` does not."""

    audience: Audience
    patterns: tuple[str, ...]
    hidden: tuple[str, ...] = ()

    @property
    def trust(self) -> Trust:
        """That of the people who may speak there."""
        return Trust.of(self.audience)


@dataclass(frozen=True, slots=True)
class Reads:
    """Sessions of the note's scope see these files; `trusted` are scopes whose writing they may see."""

    audience: Audience
    patterns: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()

    @property
    def trust(self) -> Trust:
        """That of the people who may speak there."""
        return Trust.of(self.audience)


@dataclass(frozen=True, slots=True)
class Told:
    """The text in `path` belongs to what sessions of `scopes` know; without any, to those of the owner.

    Attributes:
        in_vault: it lies in the vault; otherwise only the sessions of these scopes write it.
    """

    path: str
    scopes: tuple[str, ...] = ()
    in_vault: bool = True


Flow: TypeAlias = Writes | Reads | Told
