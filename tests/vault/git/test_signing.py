"""Only the engine's own signature makes a commit an agent's."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.commits import commit
from support.vault_clone import git
from vaultloop.model.errors import Stalled
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.signing import AuthorClass, Signer, author_class


class Copier:
    """Puts a signature that it found under whatever it is given."""

    def __init__(self, signature: str) -> None:
        self._signature = signature

    def sign(self, payload: bytes) -> str:
        assert payload
        return self._signature


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.bare(tmp_path / "vault.git")


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.make(tmp_path)


def test_a_ctrl_c_at_the_terminal_does_not_reach_the_program_that_signs(
    signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = shutil.which("ssh-keygen"), tmp_path / "process-group"
    program = tmp_path / "bin" / "ssh-keygen"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncut -d ' ' -f 5 /proc/$$/stat >{seen}\nexec {real} \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert "SSH SIGNATURE" in signer.sign(b"payload")
    assert int(seen.read_text()) != os.getpgrp()


def test_a_signed_commit_verifies_with_git_and_with_ssh_keygen(
    repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    signed = commit(repository, None, {"note.md": "x"}, signer=signer, message="Ünïcode\n\nScope: a\n")
    signers = tmp_path / "allowed_signers"
    signers.write_text(signer.allowed_signers)
    git(repository.path, "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", signed)

    parts = repository.signature(signed)
    assert parts is not None
    signature, payload = parts
    (tmp_path / "signature").write_bytes(signature)
    command = ["ssh-keygen", "-Y", "verify", "-n", "git", "-I", "vaultloop"]
    command += ["-f", str(signers), "-s", str(tmp_path / "signature")]
    subprocess.run(command, input=payload, check=True, capture_output=True)


def test_what_the_engine_signed_is_the_agents(repository: Repository, signer: Signer) -> None:
    signed = commit(repository, None, {"note.md": "x"}, signer=signer)
    assert author_class(repository, signed, signer) is AuthorClass.AGENT


def test_an_unsigned_commit_is_a_humans_whatever_its_author_field_says(
    repository: Repository, signer: Signer
) -> None:
    assert author_class(repository, commit(repository, None, {"a.md": "x"}), signer) is AuthorClass.HUMAN


def test_a_signature_of_another_key_is_a_humans(
    repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Signer.make(tmp_path / "other")
    signed = commit(repository, None, {"note.md": "x"}, signer=other)
    assert author_class(repository, signed, signer) is AuthorClass.HUMAN


def test_a_signature_copied_onto_another_commit_is_worth_nothing(
    repository: Repository, signer: Signer
) -> None:
    signed = commit(repository, None, {"note.md": "x"}, signer=signer)
    parts = repository.signature(signed)
    assert parts is not None

    forged = commit(repository, signed, {"note.md": "evil"}, signer=Copier(parts[0].decode()))
    assert author_class(repository, forged, signer) is AuthorClass.HUMAN


def test_a_merge_has_no_class(repository: Repository, signer: Signer) -> None:
    one, two = commit(repository, None, {"a.md": "x"}), commit(repository, None, {"b.md": "x"})
    at, tree = repository.read_commit(one).at, repository.tree_of(one)
    assert tree is not None
    merge = repository.commit(tree, [one, two], "Join", author=repository.read_commit(one).author, at=at)
    assert author_class(repository, merge, signer) is None


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = Signer.make(tmp_path)
    assert Signer.make(tmp_path).public_key == first.public_key == Signer.load(tmp_path).public_key
    assert (tmp_path / "engine_key").stat().st_mode & 0o777 == 0o600


def test_a_missing_key_is_said_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(Stalled, match="vaultloop init"):
        Signer.load(tmp_path)
