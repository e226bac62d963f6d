"""One commit status as the HTTP request that each kind of forge wants.

Sources: docs.github.com/rest/commits/statuses, docs.gitlab.com/api/commits (set commit pipeline status), and
the OpenAPI document of Gitea, which Forgejo shares (`repoCreateStatus`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from vaultloop.forge.repository import ForgeRepository

# The name under which a forge shows our word beside those of others.
CONTEXT = "vaultloop"

# Characters of a description; GitHub refuses longer ones.
LONGEST_DESCRIPTION = 140

# A host of its own answers for these, any other answers below its pages.
_GITHUB = "github.com"
_GITHUB_TENANT = ".ghe.com"


class State(StrEnum):
    """How a revision stands."""

    APPLIED = "applied"
    HELD = "held"
    PROBLEMS = "problems"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be shown beside one commit."""

    revision: str
    state: State
    description: str


@dataclass(frozen=True, slots=True)
class Call:
    """A POST of a JSON object, without the token: `authorization` is its header, and what precedes it."""

    url: str
    body: Mapping[str, str]
    authorization: tuple[str, str]
    headers: Mapping[str, str]


def github(repository: ForgeRepository, verdict: Verdict) -> Call:
    """For github.com, its tenants, and GitHub Enterprise Server."""
    states = {State.APPLIED: "success", State.HELD: "pending", State.PROBLEMS: "failure"}
    return Call(
        f"{_github_base(repository)}/repos/{quote(repository.path)}/statuses/{verdict.revision}",
        {"state": states[verdict.state], "context": CONTEXT, "description": _short(verdict.description)},
        ("Authorization", "Bearer "),
        {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"},
    )


def gitlab(repository: ForgeRepository, verdict: Verdict) -> Call:
    """For gitlab.com and installations at the top of a host."""
    states = {State.APPLIED: "success", State.HELD: "pending", State.PROBLEMS: "failed"}
    project = quote(repository.path, safe="")
    return Call(
        f"{repository.site}/api/v4/projects/{project}/statuses/{verdict.revision}",
        {"state": states[verdict.state], "name": CONTEXT, "description": _short(verdict.description)},
        ("PRIVATE-TOKEN", ""),
        {},
    )


def gitea(repository: ForgeRepository, verdict: Verdict) -> Call:
    """For Gitea and Forgejo, also below a path: the last two parts of an address are owner and name."""
    states = {State.APPLIED: "success", State.HELD: "pending", State.PROBLEMS: "failure"}
    *below, owner, name = repository.path.split("/")
    base = "/".join([repository.site, *map(quote, below)])
    return Call(
        f"{base}/api/v1/repos/{quote(owner)}/{quote(name)}/statuses/{verdict.revision}",
        {"state": states[verdict.state], "context": CONTEXT, "description": _short(verdict.description)},
        ("Authorization", "token "),
        {"Accept": "application/json"},
    )


# By the words of the setting `forge`.
APIS: Mapping[str, Callable[[ForgeRepository, Verdict], Call]] = {
    "github": github,
    "gitlab": gitlab,
    "gitea": gitea,
}


def _github_base(repository: ForgeRepository) -> str:
    if repository.host == _GITHUB or repository.host.endswith(_GITHUB_TENANT):
        return f"https://api.{repository.host}"
    return f"{repository.site}/api/v3"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_DESCRIPTION else f"{text[: LONGEST_DESCRIPTION - 1]}…"
