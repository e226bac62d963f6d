"""The protected paths of one revision: what governs the agent, and what Obsidian's settings call templates.

A template is protected because it becomes part of what a human writes next, scripts included.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from vaultloop.model.glob import normalised
from vaultloop.model.policy import TEMPLATES, folded, is_protected
from vaultloop.vault.files import Files
from vaultloop.vault.notes.location import FOLDER

# Where Obsidian and its plugins keep their settings, and the keys in them that name a template or a folder of
# templates. A note may be named without its `.md`.
SETTINGS = {
    ".obsidian/templates.json": ("folder",),
    ".obsidian/plugins/templater-obsidian/data.json": ("templates_folder", "user_scripts_folder"),
    ".obsidian/daily-notes.json": ("template",),
    ".obsidian/zk-prefixer.json": ("template",),
}

# Bytes; a plugin's settings have some thousands.
_LARGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Protected:
    """Which paths an agent may change with an owner's consent only.

    Attributes:
        templates: folders and notes that are templates, beyond the usual folder.
    """

    templates: tuple[str, ...] = (TEMPLATES,)

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and is_protected(path, self.templates)

    def __or__(self, other: "Protected") -> "Protected":
        return Protected(tuple(dict.fromkeys((*self.templates, *other.templates))))


def protected_in(files: Files) -> Protected:
    """What is protected at one revision; settings that cannot be read name nothing."""
    named = (folder for path, keys in SETTINGS.items() for folder in _named(files, path, keys))
    return Protected(tuple(dict.fromkeys((TEMPLATES, *named))))


def is_declared_at(path: str) -> bool:
    """Whether a note at `path` declares something: in `agent/`, spelled just so."""
    return path.startswith(f"{FOLDER}/") and path.lower().endswith(".md")


class LookAlikes:
    """The names in one folder, by what they look like to a person or to a disk that ignores case."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[str, list[str]] = {}
        for name in names:
            self._names.setdefault(folded(name), []).append(name)

    def of(self, name: str) -> str | None:
        """Another name in this folder that cannot be told from `name`."""
        return next((other for other in self._names.get(folded(name), ()) if other != name), None)


def _named(files: Files, path: str, keys: tuple[str, ...]) -> Iterator[str]:
    settings = _settings(files, path)
    for key in keys:
        value = settings.get(key)
        # The vault's top would protect every note, and Obsidian itself asks for a folder there.
        if isinstance(value, str) and (place := normalised(value.strip())):
            yield place
            if not place.lower().endswith(".md"):
                yield f"{place}.md"


def _settings(files: Files, path: str) -> dict[str, Any]:
    entry = files.entry(path)
    data = files.read(entry) if entry else b""
    if not data or len(data) > _LARGEST:
        return {}
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
