"""A first vault: template copied, repository made, first commit written. Nothing is ever overwritten."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import pygit2

from vaultloop.model.errors import VaultloopError

# What an existing vault gets; the rest of the template is for those who begin with nothing.
DECLARATIONS = "agent"


@dataclass(slots=True)
class Scaffold:
    """What was done, for the person who asked.

    Attributes:
        written: new files, by path in the vault.
        kept: files that were there already and stayed as they were.
    """

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def template() -> Path:
    """The folder of the vault template: in the wheel, or beside the source.

    Raises:
        VaultloopError: this installation lacks it.
    """
    installed = Path(str(resources.files("vaultloop"))) / "vault-template"
    source = Path(__file__).parents[3] / "vault-template"
    for candidate in (installed, source):
        if (candidate / DECLARATIONS).is_dir():
            return candidate
    raise VaultloopError("The vault template is missing from this installation. Install vaultloop again.")


def has_notes(vault: Path) -> bool:
    """Whether somebody keeps notes in the folder already."""
    return vault.is_dir() and any(True for _ in _notes(vault))


def _notes(vault: Path) -> Iterator[Path]:
    return (note for note in vault.rglob("*.md") if DECLARATIONS not in note.relative_to(vault).parts[:1])


def write_template(vault: Path) -> Scaffold:
    """Copy the template into `vault`: all of it into an empty folder, only `agent/` where notes exist."""
    source = template()
    only_declarations = has_notes(vault)
    done = Scaffold()
    for file in sorted(source.rglob("*")):
        path = file.relative_to(source)
        if file.is_dir() or (only_declarations and path.parts[0] != DECLARATIONS):
            continue
        target = vault / path
        if target.exists():
            done.kept.append(path.as_posix())
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        done.written.append(path.as_posix())
    return done


def commit_template(vault: Path, scaffold: Scaffold, branch: str) -> str | None:
    """Commit what was written, and nothing else, in the vault's own repository; made if there is none.

    The author is the person at the keyboard: it is a human's commit. None if nothing was written.
    """
    if (vault / ".git").exists():
        repository = pygit2.Repository(str(vault))
    else:
        repository = pygit2.init_repository(str(vault), initial_head=branch)
    # Found by asking git, so that a second run after a crash commits what the first one copied.
    new = [path for path in (*scaffold.written, *scaffold.kept) if _is_new(repository, path)]
    if not new:
        return None
    index = repository.index
    index.read()
    for path in new:
        index.add(path)
    index.write()
    person = _person(repository)
    parents = [] if repository.head_is_unborn else [repository.head.target]
    message = "Add the agent's declarations\n\nWritten by `vaultloop init`; edit them like any note.\n"
    commit = repository.create_commit("HEAD", person, person, message, _tree(repository, new), parents)
    return str(commit)


def _is_new(repository: pygit2.Repository, path: str) -> bool:
    return repository.head_is_unborn or path not in repository[repository.head.target].peel(pygit2.Tree)


def _tree(repository: pygit2.Repository, paths: list[str]) -> pygit2.Oid:
    """The last commit's tree plus `paths`: what a person has staged besides stays staged and uncommitted."""
    index = pygit2.Index()
    if not repository.head_is_unborn:
        index.read_tree(repository[repository.head.target].peel(pygit2.Tree))
    for path in paths:
        index.add(repository.index[path])
    return index.write_tree(repository)


def _person(repository: pygit2.Repository) -> pygit2.Signature:
    try:
        return repository.default_signature
    except KeyError:
        return pygit2.Signature(os.environ.get("USER", "Vault owner"), "owner@localhost")


def make_bare_remote(remote: Path, vault: Path, branch: str) -> bool:
    """Make a bare repository at `remote`, name it `origin` of the vault and push; false if it was all there.

    Raises:
        VaultloopError: the folder is taken by something else, or the vault has another `origin`.
    """
    fresh = not remote.exists()
    if fresh:
        pygit2.init_repository(str(remote), bare=True, initial_head=branch)
    elif not (remote / "HEAD").is_file():
        raise VaultloopError(f"{remote} exists and is no bare git repository. Name another --bare-remote.")
    repository = pygit2.Repository(str(vault))
    if "origin" not in list(repository.remotes.names()):
        repository.remotes.create("origin", str(remote))
    elif repository.remotes["origin"].url != str(remote):
        raise VaultloopError(
            f"{vault} already has the remote {repository.remotes['origin'].url}. "
            "Leave --bare-remote out, or rename that remote first."
        )
    head = repository.head.shorthand
    repository.remotes["origin"].push([f"refs/heads/{head}:refs/heads/{branch}"])
    repository.branches.local[head].upstream = repository.branches.remote[f"origin/{branch}"]
    return fresh
