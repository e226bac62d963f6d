"""The ready workflows of `hooks/forges`: rights no wider than needed, and steps that do what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.installation import environment
from support.notes import OWNER, cron
from support.vault_clone import VaultClone

FORGES = Path(__file__).parents[1] / "hooks" / "forges"
GITHUB, FORGEJO, GITLAB = FORGES / "github.yml", FORGES / "forgejo.yml", FORGES / "gitlab-ci.yml"
DIGEST = "agent/crons/digest.md"


def read(path: Path) -> dict[str, Any]:
    # YAML takes the key `on` for a truth.
    found = yaml.safe_load(path.read_text())
    assert isinstance(found, dict)
    return {("on" if key is True else str(key)): value for key, value in found.items()}


def steps(path: Path) -> dict[str, dict[str, Any]]:
    """The steps that have a name, of all jobs."""
    jobs = read(path)["jobs"].values()
    return {step["name"]: step for job in jobs for step in job["steps"] if "name" in step}


@pytest.fixture
def vault(tmp_path: Path) -> VaultClone:
    """With a pull request: the branch that is checked out, against main."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "vaultloop"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -W error -m vaultloop "$@"\n')
    program.chmod(0o755)
    vault = VaultClone.fresh(tmp_path / "vault")
    vault.write("agent/scopes/owner.md", OWNER)
    vault.save(DIGEST, cron())
    vault.git("add", "-A")
    vault.git("commit", "-q", "-m", "Scope")
    vault.git("switch", "-q", "-c", "change")
    vault.save(DIGEST, cron(schedule="0 9 * * *", body="Do.\n~~~~\n<script>alert(1)</script>\n~~~~ text"))
    return vault


def run(vault: VaultClone, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """One step, as a runner starts it."""
    path = f"{vault.path.parent / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=vault.path,
        env=environment(PATH=path, **variables),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("path", [GITHUB, FORGEJO])
def test_a_pull_request_never_runs_with_rights_of_the_vaults_owner(path: Path) -> None:
    workflow = read(path)
    assert set(workflow["on"]) == {"push", "pull_request"}
    # What others write (titles, branches) never gets into a script but through a variable.
    for step in steps(path).values():
        assert "${{" not in step.get("run", "")
    uses = re.findall(r"uses: (\S+)", path.read_text())
    assert uses
    assert all(re.search(r"@[0-9a-f]{40}$", action) for action in uses)
    assert "secrets." not in path.read_text()


def test_on_github_the_job_that_reads_the_vault_may_write_nothing() -> None:
    workflow = read(GITHUB)
    assert workflow["permissions"] == {}
    jobs = workflow["jobs"]
    assert jobs["check"]["permissions"] == {"contents": "read"}
    assert jobs["comment"]["permissions"] == {"pull-requests": "write"}
    assert not any("checkout" in step.get("uses", "") for step in jobs["comment"]["steps"])


def test_on_gitlab_only_the_job_without_the_vault_has_the_token() -> None:
    pipeline = read(GITLAB)
    holders = [name for name, job in pipeline.items() if "VAULT_BOT_TOKEN" in str(job)]
    assert holders == ["note"]
    assert pipeline["note"]["variables"] == {"GIT_STRATEGY": "none"}


@pytest.mark.parametrize("path", [GITHUB, FORGEJO, GITLAB], ids=lambda path: path.stem)
def test_the_plan_of_a_pull_request_is_one_block_that_it_cannot_leave(vault: VaultClone, path: Path) -> None:
    base, head = vault.git("rev-parse", "main"), vault.head
    summary = vault.path.parent / "summary.md"
    if path is GITLAB:
        script = read(path)["plan"]["script"][0]
        given = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": base, "CI_COMMIT_SHA": head}
    else:
        script = steps(path)["plan"]["run"]
        given = {"BASE": base, "HEAD": head, "GITHUB_STEP_SUMMARY": str(summary)}
    done = run(vault, script, **given)
    assert done.returncode == 0, done.stderr
    comment = (vault.path / "plan.md").read_text()
    assert "cron digest" in comment
    assert "0 9 * * *" in comment
    assert re.findall(r"(?m)^ {0,3}~{4,}.*$", comment) == ["~~~~text", "~~~~"]
    assert comment.rstrip().endswith("~~~~")


@pytest.mark.parametrize("path", [GITHUB, FORGEJO], ids=lambda path: path.stem)
def test_the_check_fails_for_a_wrong_note_alone(vault: VaultClone, path: Path) -> None:
    script = steps(path)["check"]["run"]
    assert run(vault, script).returncode == 0
    vault.save(DIGEST, cron(schedule="0 25 * * *"))
    done = run(vault, script)
    assert done.returncode == 1
    assert f"{DIGEST}:3:11: error:" in done.stdout


def test_the_plan_of_a_wrong_note_is_shown_too(vault: VaultClone) -> None:
    base = vault.git("rev-parse", "main")
    vault.save(DIGEST, cron(schedule="0 25 * * *"))
    given = {"BASE": base, "HEAD": vault.head, "GITHUB_STEP_SUMMARY": str(vault.path.parent / "summary")}
    assert run(vault, steps(GITHUB)["plan"]["run"], **given).returncode == 0
    assert f"{DIGEST}:3:11" in (vault.path / "plan.md").read_text()
