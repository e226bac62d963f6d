"""A hostile program in the place of the model gets nothing that its scope does not grant.

Here the whole fence for every scope, and the other kinds of machines for one; `make attack` runs all.
"""

from functools import cache
from pathlib import Path

import pytest

from attack import table
from attack.campaign import PROFILES, UNFENCED, Findings, fight
from attack.grounds import SCOPES
from attack.hostile.__main__ import CASES
from attack.session import Outcome
from support.leased import lease
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.views.views import Views

CAMPAIGNS = [("full", scope) for scope in SCOPES] + [(name, "group") for name in PROFILES if name != "full"]

# The names that the issue of a fence is about: whatever else changes, these are tried.
NAMED = {
    *(
        "read-by-absolute-path",
        "read-through-a-hard-link",
        "read-the-engines-environment",
        "signal-the-engine",
    ),
    *("watch-a-forbidden-folder", "watch-a-parent-folder", "connect-to-an-abstract-socket", "race-the-guard"),
    *("read-the-other-sessions-transcript", "connect-to-the-other-sessions-door", "list-other-views"),
    *("leave-an-orphan", "write-a-large-file", "fork-hundreds", "send-a-datagram", "connect-by-multipath"),
}


@cache
def found(profile: str, scope: str) -> Findings:
    chosen = UNFENCED if profile == UNFENCED.name else PROFILES[profile]
    (findings,) = fight(chosen, [scope])
    return findings


@pytest.mark.acceptance
@pytest.mark.parametrize(("profile", "scope"), CAMPAIGNS)
def test_nothing_escapes(profile: str, scope: str) -> None:
    findings = found(profile, scope)
    assert findings.failed == ()
    assert findings.escapes == {}
    assert findings.verdicts.keys() == CASES.keys()
    # Without moves between folders (ABI 1) whoever is not the operator's own does not run at all.
    assert bool(findings.refused) == (profile == "abi-1")
    if findings.refused:
        assert {verdict.outcome for verdict in findings.verdicts.values()} == {Outcome.REFUSED}
        assert "Landlock moves (EXDEV)" in findings.refused
        return
    remains = {name for name, verdict in findings.verdicts.items() if verdict.outcome is Outcome.RESIDUAL}
    assert remains <= {name for name, case in CASES.items() if case.residual}
    # Whoever's people are not the operator's sets no times, not even of paths whose name is known.
    assert ("set-times-outside" in remains) == (scope in ("owner", "cron"))


@pytest.mark.acceptance
def test_without_the_fence_the_same_attacks_succeed() -> None:
    findings = found(UNFENCED.name, "group")
    assert findings.failed == ()
    succeeded = {
        name
        for name, verdict in findings.verdicts.items()
        if verdict.outcome in (Outcome.ESCAPED, Outcome.RESIDUAL)
    }
    assert {name for name, case in CASES.items() if case.open_otherwise} - succeeded == set()
    assert succeeded >= NAMED


def test_what_remains_needs_names_that_nobody_can_guess(tmp_path: Path) -> None:
    repository = Repository.bare(tmp_path / "vault.git")
    views = Views(tmp_path / "state")
    names = [lease(views, repository, {"note.md": str(number)}).home.name for number in range(20)]
    assert len(set(names)) == len(names)
    # Letters of six bits each: at least 128 in all.
    assert all(len(name) * 6 >= 128 for name in names)
    assert {len(set(letters)) > 1 for letters in zip(*names, strict=True)} == {True}


def test_there_are_as_many_cases_as_promised() -> None:
    assert len(CASES) >= 90
    assert CASES.keys() >= NAMED


@pytest.mark.acceptance
def test_the_table_ends_with_what_it_comes_to() -> None:
    findings = found(UNFENCED.name, "group")
    *rows, last = table.lines([findings])
    assert last == f"{len(CASES)} cases, {len(findings.escapes)} escapes"
    assert sum(name in row for name in CASES for row in rows) >= len(CASES)
    assert any(row.startswith("read-by-absolute-path") and row.endswith("ESCAPED") for row in rows)


def test_the_page_tells_every_case() -> None:
    page = (Path(__file__).parents[2] / "docs/attacks.md").read_text().partition("\n## The cases\n")[2]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    told = {row.split("`")[1]: row for row in rows}
    assert told.keys() == CASES.keys()
    for name, case in CASES.items():
        assert case.claim in told[name]
