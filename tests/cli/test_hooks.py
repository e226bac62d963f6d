"""`vaultloop hooks`: a clone is given what it lacks, told what it got, and keeps what it had."""

import json
import os
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.git_server import bare_repository
from support.installation import environment
from support.notes import OWNER, cron
from support.two_writers import ENGINE
from support.vault_clone import VaultClone
from vaultloop.cli import vaultloop
from vaultloop.model.errors import Stalled, VaultloopError
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.signing import Signer
from vaultloop.vault.hooks import HOOKS, PATTERNS, Clone, hook_file
from vaultloop.vault.lease.lease import REFERENCE, Bearer, Lease, Word, released

ROOT = Path(__file__).parents[2]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxvb3BiYWNrK2tleStmb3IrdGVzdHMrb25seSs="
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFub3RoZXIra2V5K2Zvcit0ZXN0cytvbmx5Kys="
DIGEST = "agent/crons/digest.md"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VaultClone:
    for scope in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"GIT_CONFIG_{scope}", os.devnull)
    vault = VaultClone.fresh(tmp_path / "vault")
    vault.save("agent/scopes/owner.md", OWNER)
    return vault


def _states(parts: Any) -> dict[str, str]:
    return {part.name: str(part.state) for part in parts}


def _called(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    vaultloop.main(["hooks", *words, "--json"], standalone_mode=False)
    return {part["name"]: part["state"] for part in json.loads(capsys.readouterr().out)["hooks"]}


def test_everything_is_installed_once_and_shown(
    vault: VaultClone, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(vault.path)
    key = vault.path.parent / "engine_key.pub"
    key.write_text(f"{KEY} vaultloop engine\n")
    names = [*HOOKS, "driver", "attributes", "engine-key"]
    assert _called(capsys, "status", place) == dict.fromkeys(names, "missing")
    assert _called(capsys, "install", place, "--engine-key", str(key)) == dict.fromkeys(names, "done")
    assert Path(vault.git("config", "vaultloop.program").strip()).name == "vaultloop"
    before = {path: path.read_bytes() for path in vault.path.rglob("*") if path.is_file()}
    assert _called(capsys, "install", place, "--engine-key", str(key)) == dict.fromkeys(names, "there")
    assert {path: path.read_bytes() for path in vault.path.rglob("*") if path.is_file()} == before
    assert _called(capsys, "status", place) == dict.fromkeys(names, "there")
    assert vault.git("config", "--get-all", "vaultloop.engineKey") == KEY
    assert vault.git("check-attr", "merge", "a/b.md").endswith(": vaultloop")


def test_what_was_installed_can_be_taken_out_again(vault: VaultClone) -> None:
    clone = Clone(vault.path)
    before = vault.git("config", "--list", "--local")
    clone.install(KEY)
    gone = _states(clone.uninstall())
    assert set(gone.values()) == {"gone"}
    assert not any((vault.path / ".git/hooks" / name).exists() for name in HOOKS)
    assert vault.git("config", "--list", "--local") == before
    assert "missing" in _states(clone.uninstall()).values()


def test_the_hook_that_is_installed_checks_commits(vault: VaultClone, tmp_path: Path) -> None:
    Clone(vault.path).install(KEY)
    programs = _programs(tmp_path)
    vault.write(DIGEST, cron(schedule="0 25 * * *"))
    vault.git("add", "agent")
    done = _committed(vault, programs, "-m", "Edit")
    assert done.returncode == 1
    assert "agent/crons/digest.md:3:11: error:" in done.stderr + done.stdout


def test_the_hook_refuses_the_version_before_both_sides_of_a_merge(vault: VaultClone, tmp_path: Path) -> None:
    start = vault.save(DIGEST, cron())
    vault.git("switch", "-q", "-c", "there")
    vault.save(DIGEST, cron(schedule="0 9 * * *"))
    vault.git("switch", "-q", "-c", "here", start)
    vault.save(DIGEST, cron(schedule="0 10 * * *"))
    Clone(vault.path).install(KEY)
    programs = _programs(tmp_path)
    vault.git("config", "merge.vaultloop.driver", f'"{programs}/vaultloop" merge-driver %O %A %B %P')
    with pytest.raises(AssertionError, match="a declaration that both sides changed"):
        vault.git("merge", "--no-edit", "there")
    assert vault.read(DIGEST) == cron()
    refused = _committed(vault, programs, "-a", "-m", "Other work")
    said = refused.stdout + refused.stderr
    assert refused.returncode == 1
    assert f"{DIGEST}:1:1: error: Both sides changed this, and what is staged is the version before" in said
    assert "git commit --no-verify" in said
    vault.write(DIGEST, cron(schedule="0 11 * * *"))
    assert _committed(vault, programs, "-a", "-m", "Decided").returncode == 0


def _programs(folder: Path) -> Path:
    """A folder for the PATH that holds the program."""
    program = folder / "bin" / "vaultloop"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -W error -m vaultloop "$@"\n')
    program.chmod(0o755)
    return program.parent


def _committed(vault: VaultClone, programs: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "commit", "-q", *words],
        cwd=vault.path,
        env=environment(PATH=f"{programs}:{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        check=False,
    )


def test_somebody_elses_hook_stays_and_a_line_to_add_is_told(vault: VaultClone) -> None:
    file = vault.path / ".git/hooks/pre-commit"
    file.parent.mkdir(exist_ok=True)
    file.write_text("#!/bin/sh\nexit 0\n")
    clone = Clone(vault.path)
    part = clone.install(KEY)[0]
    assert part.state == "foreign"
    assert "add this line to it: vaultloop check --staged" in part.told
    assert file.read_text() == "#!/bin/sh\nexit 0\n"
    clone.uninstall()
    assert file.exists()


def test_an_older_hook_of_ours_is_brought_up_to_date(vault: VaultClone) -> None:
    file = vault.path / ".git/hooks/pre-commit"
    file.parent.mkdir(exist_ok=True)
    file.write_text("#!/bin/sh\n# `vaultloop check --staged`\n")
    assert Clone(vault.path).install(KEY)[0].state == "done"
    assert file.read_bytes() == hook_file().read_bytes()
    assert os.access(file, os.X_OK)


def test_hooks_that_several_repositories_share_are_left_alone(vault: VaultClone, tmp_path: Path) -> None:
    shared = tmp_path / "hooks"
    shared.mkdir()
    vault.git("config", "core.hooksPath", str(shared))
    assert _states(Clone(vault.path).install(KEY))["pre-commit"] == "foreign"
    assert list(shared.iterdir()) == []
    vault.git("config", "core.hooksPath", ".husky")
    assert _states(Clone(vault.path).install(KEY))["pre-commit"] == "done"
    assert (vault.path / ".husky/pre-commit").exists()


def test_attributes_that_are_there_stay_and_only_what_lacks_is_added(vault: VaultClone) -> None:
    vault.write(".gitattributes", "*.png binary\n*.md merge=vaultloop text=auto")
    assert _states(Clone(vault.path).install(KEY))["attributes"] == "done"
    lines = vault.read(".gitattributes").splitlines()
    assert lines[:2] == ["*.png binary", "*.md merge=vaultloop text=auto"]
    assert [line.split()[0] for line in lines if line.endswith("merge=vaultloop")] == list(PATTERNS[1:])


def test_another_merge_of_notes_is_not_overruled(vault: VaultClone) -> None:
    vault.write(".gitattributes", "*.md merge=union\n")
    clone = Clone(vault.path)
    clone.install(KEY)
    assert vault.git("check-attr", "merge", "a.md").endswith(": union")
    (part,) = [part for part in clone.status() if part.name == "attributes"]
    assert part.state == "foreign"
    assert "merge=vaultloop" in part.told


def test_a_vault_in_a_folder_of_the_repository_gets_its_own_attributes(tmp_path: Path) -> None:
    repository = VaultClone.fresh(tmp_path / "repository")
    repository.save("home/vault/agent/scopes/owner.md", OWNER)
    Clone(repository.path / "home" / "vault" / "agent").install(KEY)
    assert (repository.path / "home/vault/.gitattributes").exists()
    assert not (repository.path / ".gitattributes").exists()


def test_it_works_in_a_worktree(vault: VaultClone, tmp_path: Path) -> None:
    vault.git("worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    assert _states(Clone(tmp_path / "tree").install(KEY))["pre-commit"] == "done"
    assert (vault.path / ".git/hooks/pre-commit").exists()
    assert _states(Clone(vault.path).status())["driver"] == "there"


def _lease(repository: Repository, lease: Lease, parents: list[str]) -> str:
    tree = str(repository.handle.TreeBuilder().write())
    return repository.commit(tree, parents, lease.text(), author=ENGINE, at=NOON)


def test_the_keys_of_the_engines_that_served_the_vault_are_asked_from_the_remote(
    vault: VaultClone, tmp_path: Path
) -> None:
    remote = Repository.bare(bare_repository(tmp_path / "remote.git"))
    one, other = Bearer("one", "here"), Bearer("other", "there")
    first = Lease(Word.ACTS, one, one, NOON, timedelta(seconds=5), key=KEY)
    second = Lease(Word.ACTS, other, other, NOON, timedelta(seconds=5), key=OTHER_KEY)
    start = _lease(remote, first, [])
    again = _lease(remote, second, [start])
    end = _lease(remote, released(second, other, NOON, None), [again])
    remote.handle.create_reference(REFERENCE, end)
    vault.git("remote", "add", "origin", str(remote.path))
    clone = Clone(vault.path)
    assert _states(clone.install())["engine-key"] == "done"
    assert set(vault.git("config", "--get-all", "vaultloop.engineKey").splitlines()) == {KEY, OTHER_KEY}
    assert _states(clone.install())["engine-key"] == "there"


def test_without_any_engine_it_says_how_to_name_the_key(vault: VaultClone) -> None:
    (part,) = [part for part in Clone(vault.path).install() if part.name == "engine-key"]
    assert part.state == "missing"
    assert "--engine-key" in part.told
    vault.git("remote", "add", "origin", "/nowhere")
    assert _states(Clone(vault.path).install())["engine-key"] == "missing"


def test_a_private_key_is_refused(vault: VaultClone, tmp_path: Path) -> None:
    Signer.make(tmp_path)
    private = (tmp_path / "engine_key").read_text()
    with pytest.raises(VaultloopError, match="no public ssh key") as refused:
        Clone(vault.path).install(private)
    assert private.splitlines()[1] not in str(refused.value)


def test_where_there_is_no_clone_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Stalled, match="lies in no clone of a git repository"):
        Clone(tmp_path)
    with pytest.raises(Stalled, match="lies in no clone of a git repository"):
        Clone(bare_repository(tmp_path / "bare.git"))


def test_the_hook_is_shipped_with_the_package_and_the_template_names_the_driver() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["hooks/pre-commit"] == "vaultloop/hooks/pre-commit"
    assert hook_file().read_bytes() == (ROOT / "hooks" / "pre-commit").read_bytes()
    lines = (ROOT / "vault-template" / ".gitattributes").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        f"{name} merge=vaultloop" for name in PATTERNS
    ]
