"""Random scope notes, and paths to ask about them."""

import random
from dataclasses import dataclass

from support.memory_vault import MemoryFiles
from support.notes import note
from vaultloop.vault.files import Entry

FOLDERS = ("Inbox", "personal", "personal/taxes", "personal/taxes/2025", "work", "work/a b", "agent/rules")
NAMES = (
    "Note.md",
    "two words.md",
    "sum.pdf",
    "Ünïcode.md",
    "CLAUDE.md",
    ".hidden.md",
    "script.js",
    "data.csv",
)
PATHS = (*(f"{folder}/{name}" for folder in FOLDERS for name in NAMES), "Home.md", ".obsidian/app.json")
PATTERNS = (
    *(
        "**",
        "Inbox",
        "personal/**",
        "personal/taxes",
        "personal/*/2025",
        "work/a b",
        "*.md",
        "**/*.pdf",
        "agent",
    ),
    *(
        "**/Note.md",
        "work/**/data.csv",
        "PERSONAL",
        "personal/taxes/2025/sum.pdf",
        "**/CLAUDE.md",
        "Templates",
    ),
)
SCOPE = "agent/scopes/it.md"


@dataclass(frozen=True)
class RevisedFiles(MemoryFiles):
    """Of whose past nothing is known."""

    def changed_since(self, tree: str) -> dict[str, tuple[Entry | None, Entry | None]] | None:
        del tree
        return None


def random_vault(chance: random.Random) -> RevisedFiles:
    """A vault with the scope `it`, and files at some of the paths."""
    keys: dict[str, object] = {"chats": chance.choice(("owner", '"-1001234567890"'))}
    keys["people"] = chance.choice(("owner", "anyone")) if keys["chats"] != "owner" else "owner"
    for key in ("can-read", "can-write", "except"):
        if chosen := chance.sample(PATTERNS, chance.randrange(4)):
            keys[key] = "[" + ", ".join(f'"{pattern}"' for pattern in chosen) + "]"
    if chance.random() < 0.5:
        keys["attachments"] = chance.choice(("all", "none"))
    if chance.random() < 0.5:
        keys["self-edit"] = chance.choice(("deny", "propose", "allow"))
    scope = note("scope", "", **keys)
    return RevisedFiles("r1", {SCOPE: scope, **dict.fromkeys(chance.sample(PATHS, 12), "text\n")})


def random_path(chance: random.Random, files: MemoryFiles) -> str:
    """One that is there, or one that a session might make."""
    path = chance.choice(sorted(files.notes))
    return path if chance.random() < 0.7 else path.replace("Note", "New").replace("sum", "total")
