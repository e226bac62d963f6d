"""What a person waits for after saving a note, against the libraries that cannot be done without."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import pytest

from support.installation import environment
from support.large_vault import large_vault, ordinary
from support.notes import OWNER, cron
from support.vault_clone import VaultClone

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
HOOK = ROOT / "hooks" / "pre-commit"
NOTES = 10_000
JOB = "agent/crons/job-07.md"
DECLARED = {
    "agent/scopes/owner.md": OWNER,
    **{f"agent/crons/job-{number:02}.md": cron(schedule=f"{number} 1 * * *") for number in range(20)},
}

REFERENCE = (sys.executable, "-c", "import pydantic, pygit2")
BOUND = 3.0
# Runs in turn, and runs before them that only warm up.
RUNS = 15
WARM_UP = 2


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """An environment in which compiled modules are kept, and `vaultloop` is the one that is tested."""
    folder = tmp_path_factory.mktemp("warm")
    program = folder / "vaultloop"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vaultloop "$@"\n')
    program.chmod(0o755)
    found = environment(PYTHONPYCACHEPREFIX=str(folder / "compiled"), PATH=f"{folder}:{os.environ['PATH']}")
    del found["PYTHONDONTWRITEBYTECODE"]
    return found


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> VaultClone:
    root = tmp_path_factory.mktemp("large")
    return VaultClone.of(large_vault(root / "vault.git", NOTES, DECLARED), root / "vault")


def ratio(command: Sequence[str], place: Path, warm: Mapping[str, str]) -> float:
    """How many times longer the command takes than the reference, both measured in turn."""

    def took(words: Sequence[str]) -> float:
        begun = time.perf_counter()
        subprocess.run(words, cwd=place, env=warm, check=True, capture_output=True)
        return time.perf_counter() - begun

    pairs = [(took(command), took(REFERENCE)) for _ in range(RUNS + WARM_UP)][WARM_UP:]
    return median(ours for ours, _ in pairs) / median(theirs for _, theirs in pairs)


def test_check_of_the_template_takes_at_most_three_times_the_import_of_its_libraries(
    warm: Mapping[str, str], tmp_path: Path
) -> None:
    assert ratio(["vaultloop", "check", str(ROOT / "vault-template")], tmp_path, warm) <= BOUND


@pytest.mark.parametrize("note", [ordinary(4321), JOB])
def test_the_hook_on_one_staged_note_of_ten_thousand_takes_no_longer(
    note: str, large: VaultClone, warm: Mapping[str, str]
) -> None:
    large.git("reset", "-q", "--hard")
    large.write(note, large.read(note) + "More.\n")
    large.git("add", "--", note)
    assert ratio([str(HOOK)], large.path, warm) <= BOUND
