"""What `{{last-run}}` and `{{changed-notes}}` stand for in the prompt of a schedule.

Both look back to the last run of the same conversation that was done, so a run that failed leaves nothing
out: the next one hears of it all. What a scope may not read is not named either.
"""

import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from vaultloop.model.conversation import Turn
from vaultloop.model.policy import Policy
from vaultloop.state.turns import TurnRecord
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.views.view import bad_name, too_deep

# So many changed notes are named; the rest is counted.
NAMED = 200

_NOT_IN_LINKS = re.compile(r"[][|#^]")
_PLACEHOLDER = re.compile(r"\{\{\s*(last-run|changed-notes)\s*\}\}", re.IGNORECASE)


def are_in(turn: Turn) -> bool:
    """Whether the prompt has to be filled in; what a person says in a chat stays as it was said."""
    return turn.trigger.kind != "message" and _PLACEHOLDER.search(turn.prompt) is not None


def filled(turn: Turn, last: TurnRecord | None, policy: Policy, repository: Repository, revision: str) -> str:
    """The prompt of `turn` with its placeholders filled in; runs where the repository may be used.

    Args:
        last: the last turn of its conversation that was done.
        revision: the commit of the view in which the session will work.
    """

    def meant(found: re.Match[str]) -> str:
        if found[1].lower() == "last-run":
            return _last_run(last, turn.timezone)
        return _changed_notes(last, policy, repository, revision)

    return _PLACEHOLDER.sub(meant, turn.prompt) if are_in(turn) else turn.prompt


def _last_run(last: TurnRecord | None, timezone: str) -> str:
    if last is None or last.started_at is None:
        return "never"
    return last.started_at.astimezone(ZoneInfo(timezone)).isoformat(timespec="minutes")


def _changed_notes(last: TurnRecord | None, policy: Policy, repository: Repository, revision: str) -> str:
    if last is None:
        return "not known (this is the first run)"
    since = _seen_by(last, repository, revision)
    if since is None:
        return "not known (what the last run saw is not in the vault's history any more)"
    lines = list(_lines(since, policy, repository, revision))
    if len(lines) > NAMED:
        lines[NAMED:] = [f"- and {len(lines) - NAMED} more"]
    return "\n".join(lines) or "nothing"


def _seen_by(last: TurnRecord, repository: Repository, revision: str) -> str | None:
    """The commit up to which a run knew the vault; None if it is gone."""
    # What it published that never came onto the branch it does not find in the vault again.
    published = last.commit if last.commit and repository.is_ancestor(last.commit, revision) else None
    seen = published or last.base
    return seen if seen is not None and repository.has(seen) else None


def _lines(since: str, policy: Policy, repository: Repository, revision: str) -> Iterator[str]:
    for path, (before, after) in sorted(repository.changed(since, revision).items()):
        if policy.reads(path) and not any(map(bad_name, path.split("/"))) and not too_deep(path):
            what = "added" if before is None else "deleted" if after is None else "changed"
            yield f"- {_link(path)} ({what})"


def _link(path: str) -> str:
    """A wikilink; where the path has a character that means something in one, the path as it is."""
    if not _NOT_IN_LINKS.search(path):
        return f"[[{path.removesuffix('.md')}]]"
    # A row of backticks that is longer than any in the path ends only where it should.
    longest = max((len(row) for row in re.findall("`+", path)), default=0)
    quote, gap = "`" * (longest + 1), " " if longest else ""
    return f"{quote}{gap}{path}{gap}{quote}"
