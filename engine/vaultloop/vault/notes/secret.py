"""Text that looks like a secret: found, never quoted."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# The forms that issuers gave their tokens so that they can be found, and the few that are plain to see.
_FORMS = {
    "an Anthropic key": r"sk-ant-[A-Za-z0-9_-]{16,}",
    "an API key": r"sk-(?:proj-)?[A-Za-z0-9_-]{24,}",
    "a GitHub token": r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}",
    "a GitLab token": r"glpat-[A-Za-z0-9_-]{18,}",
    "a Slack token": r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    "an AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a Google key": r"AIza[0-9A-Za-z_-]{35}",
    "a Telegram bot's token": r"\b\d{8,11}:[A-Za-z0-9_-]{35}\b",
    "a Coolify token": r"\b\d{1,6}\|[A-Za-z0-9]{40,}\b",
    "a web token": r"\beyJ[A-Za-z0-9_-]{8,1000}\.eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a password in an address": r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,200}:[^\s/@{}<>]{3,200}@",
}
# What to do about one, wherever it stands.
CURE = (
    "Delete it here, keep it in the operator's settings and write only its name; "
    "then revoke it: it stays in the vault's history."
)
_SECRET = re.compile("|".join(f"(?P<f{number}>{form})" for number, form in enumerate(_FORMS.values())))


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where something that looks like a secret begins, counted from 1, and what it seems to be."""

    line: int
    column: int
    what: str


def sightings(text: str) -> Iterator[Sighting]:
    """Every place in `text` that looks like a secret."""
    names = tuple(_FORMS)
    for found in _SECRET.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        assert found.lastgroup is not None
        yield Sighting(line, column, names[int(found.lastgroup[1:])])


def scrubbed(text: str) -> str:
    """`text` with dots in place of what looks like a secret."""
    return _SECRET.sub("…", text)
