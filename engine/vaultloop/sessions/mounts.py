"""Mounts: folders of the operator that a session may read and nobody may change, named by its scope.

A note knows names, the operator's settings know folders: so a vault never says where on the machine to read.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Policy


def granted(
    policy: Policy, named: Collection[str], known: Mapping[str, Path], private: Collection[Path]
) -> dict[str, Path]:
    """The folders of one session, by name.

    Args:
        named: what the note of this work names, such as a cron: fewer than its scope, never more. Empty for
            all of the scope's.
        known: the operator's folders.
        private: the engine's own folders, the vault's, and those of secrets: no mount shows any of them.

    Raises:
        Stalled: a mount is not the scope's, not the operator's, no folder, or shows what is private.
    """
    for name in named:
        if name not in policy.mounts:
            raise Stalled(
                f"The mount {name!r} is not granted by the scope {policy.scope}.",
                cure="Add it to `mounts` of the scope note, or take it out of the note of this work.",
            )
    return {name: _folder(name, policy.scope, known, private) for name in named or policy.mounts}


def shortcomings(
    named: Mapping[str, Collection[str]], known: Mapping[str, Path], private: Collection[Path]
) -> list[str]:
    """What keeps mounts from being shown, with the cure: a sentence each, none if all is well.

    Args:
        named: the mounts of each scope.
        known, private: as for `granted`.
    """
    found: dict[str, None] = {}
    for scope, names in named.items():
        for name in names:
            try:
                _folder(name, scope, known, private)
            except Stalled as error:
                found[f"Sessions of the scope {scope} cannot begin. {error}"] = None
    return list(found)


def variables(mounts: Mapping[str, Path]) -> dict[str, str]:
    """Where the mounts lie, for programs: `finance-db` is in `VAULTLOOP_MOUNT_FINANCE_DB`."""
    return {f"VAULTLOOP_MOUNT_{re.sub('[^A-Z0-9]', '_', n.upper())}": str(path) for n, path in mounts.items()}


def told(mounts: Mapping[str, Path]) -> str:
    """What a session is told of its mounts; empty without any."""
    if not mounts:
        return ""
    lines = (f"- {name}: {path}" for name, path in mounts.items())
    return "\n".join(("Beside the vault you may read these folders, and change nothing in them:", *lines))


def _folder(name: str, scope: str, known: Mapping[str, Path], private: Collection[Path]) -> Path:
    if name not in known:
        raise Stalled(
            f"The scope {scope} names the mount {name!r}; this machine's settings have none of that name.",
            cure="Give it a folder in `mounts` of the settings, or take it out of the scope note.",
        )
    # No path in what is said: it is the operator's own affair where things lie.
    try:
        folder = known[name].resolve(strict=True)
    except OSError as error:
        raise Stalled(
            f"The folder of the mount {name!r} cannot be found ({error.strerror}).",
            cure="Make it, or mend `mounts` in the settings.",
        ) from error
    if not folder.is_dir():
        raise Stalled(f"The mount {name!r} is no folder.", cure="Mend `mounts` in the settings.")
    if any(_overlap(folder, other.resolve()) for other in private):
        raise Stalled(
            f"The mount {name!r} would show the engine's state, the vault, or secrets.",
            cure="Give it a folder of its own in `mounts` of the settings.",
        )
    return folder


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
