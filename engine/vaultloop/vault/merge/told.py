"""What a merge tells people: one sentence for each path that was not plain."""

from dataclasses import dataclass

from vaultloop.vault.git.signing import AuthorClass
from vaultloop.vault.git.trees import shown
from vaultloop.vault.merge.version import Merged, Rule, Writer


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody should know of one path of a merge.

    Attributes:
        path: where the result lies.
        rules: what was done there.
        sentence: the same for people, one line.
    """

    path: str
    rules: frozenset[Rule]
    sentence: str


def merged(path: str, file: Merged, winner: Writer, loser: Writer) -> str | None:
    """What became of a file that both changed; None where that is nobody's business."""
    name = shown(path)
    if file.held:
        return f"{name}: {both(winner, loser)} changed it, so it stays as it was until its owner decides."
    if Rule.HELD in file.rules:
        return f"{name}: {both(winner, loser)} changed it; the version of {who(winner)} stands."
    if Rule.SETTINGS in file.rules:
        return f"{name}: {both(winner, loser)} changed it; the other version is in the history."
    if Rule.CALLOUT in file.rules:
        return (
            f"{name}: {both(winner, loser)} changed the same place; both texts are there, one of them folded."
        )
    if Rule.MARKERS in file.rules:
        return mended(path)
    return None


def held(path: str, editor: Writer, deleter: Writer) -> str:
    """A declaration that one changed and the other deleted."""
    return (
        f"{shown(path)}: {who(editor)} changed it and {who(deleter)} deleted it,"
        " so it stays as it was until its owner decides."
    )


def deletion_stands(path: str, deleter: Writer, editor: Writer) -> str:
    return f"{shown(path)}: {who(deleter)} deleted it; the change of {who(editor)} is in the history."


def edit_survives(path: str, editor: Writer, deleter: Writer) -> str:
    return (
        f"{shown(path)}: {who(deleter)} deleted it, but {who(editor)} changed it; it stays, with the change."
    )


def both_renamed(path: str, name: str, other: str, winner: Writer) -> str:
    return (
        f"{shown(path)}: both sides renamed it; it has the name that {who(winner)} gave it, {shown(name)}."
        f" Links to {shown(other)} lead nowhere."
    )


def followed(path: str, after: str) -> str:
    return f"{shown(path)}: its folder was renamed meanwhile, so it is {shown(after)}."


def folder_is_gone(path: str, folder: str) -> str:
    return f"{shown(path)}: it is new in {shown(folder)}/, which was moved away meanwhile; it stays there."


def displaced(path: str, copy: str) -> str:
    return f"{shown(path)}: it is a folder now; the file of that name is {shown(copy)}."


def copied(path: str, copy: str, loser: Writer) -> str:
    return f"{shown(path)}: both sides changed it; the version of {who(loser)} is {shown(copy)}."


def met(path: str) -> str:
    return f"{shown(path)}: two different files came to this name; what was in either is kept."


def twins(one: str, other: str) -> str:
    return (
        f"{shown(one)} and {shown(other)}: some computers take these names for the same. Rename one of them."
    )


def mended(path: str) -> str:
    return f"{shown(path)}: it had conflict markers in it; both texts stay, the markers are gone."


def both(one: Writer, other: Writer) -> str:
    """Two writers in an order that does not depend on who won."""
    names = sorted({who(one), who(other)})
    return " and ".join(names) if len(names) > 1 else f"{names[0]}, in two places,"


def who(writer: Writer) -> str:
    """A writer's name in a sentence; one line, whatever a commit says."""
    if writer.author_class is AuthorClass.AGENT:
        return "the agent"
    return " ".join(writer.name.split()) or "somebody"
