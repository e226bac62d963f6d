"""A first vault: template copied, repository made, first commit written. Nothing is ever overwritten."""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import pygit2

from vaultloop.model.errors import VaultloopError
from vaultloop.vault.git.repository import DEFAULT_BRANCH
from vaultloop.vault.ignore import TEMPORARY
from vaultloop.vault.transport.remote import scrubbed

# What an existing vault gets; the rest of the template is for those who begin with nothing.
DECLARATIONS = "agent"
# How a note begins that would start to write by itself, and how it begins where it must not.
_STARTS_ITSELF = tuple(b"---\nkind: %s\n" % kind for kind in (b"cron", b"crontab", b"reminder"))
_PAUSED = b"paused: true\n"


@dataclass(slots=True)
class Scaffold:
    """What was done, for the person who asked.

    Attributes:
        written: new files, by path in the vault.
        kept: files that were there already and stayed as they were.
        runs, paused: which of the declarations among them take effect at once, and which wait.
    """

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)


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
    """Whether somebody keeps notes in the folder already: other ones than the template's."""
    return vault.is_dir() and any(not _is_template(vault, note) for note in _notes(vault))


def _notes(vault: Path) -> Iterator[str]:
    paths = (note.relative_to(vault) for note in vault.rglob("*.md"))
    return (path.as_posix() for path in paths if path.parts[0] != DECLARATIONS)


def _is_template(vault: Path, path: str) -> bool:
    """Whether a file in the vault is the template's, to the letter, or its paused version."""
    original = template() / path
    if not original.is_file():
        return False
    return (vault / path).read_bytes() in [_content(original, quiet=quiet) for quiet in (False, True)]


def _content(file: Path, *, quiet: bool) -> bytes:
    """A file of the template; if `quiet`, so that nothing starts to write by itself."""
    content = file.read_bytes()
    head = next((head for head in _STARTS_ITSELF if quiet and content.startswith(head)), None)
    return content if head is None else head + _PAUSED + content.removeprefix(head)


def _is_paused(note: Path) -> bool:
    frontmatter = note.read_text(encoding="utf-8", errors="replace").partition("\n---")[0]
    return (
        re.search(r"^paused:\s*[\"']?(true|yes|on)\b", frontmatter, re.MULTILINE | re.IGNORECASE) is not None
    )


def write_template(vault: Path) -> Scaffold:
    """Copy the template into `vault`: all of it into an empty folder, only `agent/` where notes exist.

    What the vault once had and somebody deleted stays deleted. Where notes exist, schedules come paused:
    they write, and their owner has not met them yet.

    Raises:
        VaultloopError: the folder cannot be written.
    """
    with _explained(vault):
        source, done = template(), Scaffold()
        files = sorted(file.relative_to(source).as_posix() for file in source.rglob("*") if file.is_file())
        quiet = has_notes(vault)
        if quiet:
            files = [path for path in files if path.startswith(f"{DECLARATIONS}/")]
        missing = {path for path in files if not (vault / path).exists()}
        deleted = _once_there(vault, missing)
        for path in files:
            if path not in missing:
                done.kept.append(path)
            elif path not in deleted:
                _write(_content(source / path, quiet=quiet), vault / path)
                done.written.append(path)
        for path in (path for path in files if path.startswith(f"{DECLARATIONS}/") and path not in deleted):
            (done.paused if _is_paused(vault / path) else done.runs).append(path)
        return done


def _once_there(vault: Path, paths: Collection[str]) -> set[str]:
    """Those of `paths` that some commit of the branch holds."""
    found: set[str] = set()
    if not paths or not (vault / ".git").exists():
        return found
    repository = pygit2.Repository(str(vault))
    if repository.head_is_unborn:
        return found
    for commit in repository.walk(repository.head.target):
        found |= {path for path in paths if path not in found and path in commit.tree}
        if len(found) == len(paths):
            break
    return found


def _write(content: bytes, target: Path) -> None:
    """In one step: half a file must not pass for somebody's own after a crash."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f"{TEMPORARY}{target.name}.tmp")
    fresh.write_bytes(content)
    fresh.replace(target)


def branch_of(vault: Path, wanted: str | None) -> str:
    """The branch that is checked out in the vault; `wanted`, or the usual one, where there is no git yet.

    Raises:
        VaultloopError: another one than `wanted` is checked out, or none.
    """
    if not (vault / ".git").exists():
        return wanted or DEFAULT_BRANCH
    with _explained(vault):
        head = pygit2.Repository(str(vault)).lookup_reference("HEAD").target
    current = str(head).removeprefix("refs/heads/") if isinstance(head, str) else None
    if current is None or wanted not in (None, current):
        raise VaultloopError(
            f"{vault} has {current or 'no branch'} checked out, not {wanted or 'a branch'}. "
            f"Write `git switch {wanted or DEFAULT_BRANCH}` there, or name another --branch."
        )
    return current


def commit_template(vault: Path, scaffold: Scaffold, branch: str) -> str | None:
    """Commit what was written, and nothing else, in the vault's own repository; made if there is none.

    The author is the person at the keyboard: it is a human's commit. None if nothing was written.

    Raises:
        VaultloopError: git refuses.
    """
    with _explained(vault):
        if (vault / ".git").exists():
            repository = pygit2.Repository(str(vault))
        else:
            repository = pygit2.init_repository(str(vault), initial_head=branch)
        # Found by asking git, so that a second run after a crash commits what the first one copied.
        copied = [*scaffold.written, *(path for path in scaffold.kept if _is_template(vault, path))]
        new = [path for path in copied if _is_new(repository, path)]
        return _commit(repository, new) if new else None


def _commit(repository: pygit2.Repository, paths: Sequence[str]) -> str:
    index = repository.index
    index.read()
    for path in paths:
        index.add(path)
    index.write()
    person = _person(repository)
    parents = [] if repository.head_is_unborn else [repository.head.target]
    message = "Add the agent's declarations\n\nWritten by `vaultloop init`; edit them like any note.\n"
    commit = repository.create_commit("HEAD", person, person, message, _tree(repository, paths), parents)
    return str(commit)


def _is_new(repository: pygit2.Repository, path: str) -> bool:
    return repository.head_is_unborn or path not in repository[repository.head.target].peel(pygit2.Tree)


def _tree(repository: pygit2.Repository, paths: Sequence[str]) -> pygit2.Oid:
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
    """Make a bare repository at `remote` and name it `origin` of the vault; false if it was there.

    The branch is pushed where the remote lacks it; where it has one, the engine brings both together.

    Raises:
        VaultloopError: the folder is taken by something else, or the vault has another `origin`.
    """
    fresh = not remote.exists()
    if not fresh and not (remote / "HEAD").is_file():
        raise VaultloopError(f"{remote} exists and is no bare git repository. Name another --bare-remote.")
    with _explained(remote):
        if fresh:
            pygit2.init_repository(str(remote), bare=True, initial_head=branch)
        repository = pygit2.Repository(str(vault))
        _name_origin(repository, vault, remote)
        if branch not in pygit2.Repository(str(remote)).branches.local:
            repository.remotes["origin"].push([f"refs/heads/{branch}"])
        followed = f"branch.{branch}.remote" in repository.config
        if not followed and f"origin/{branch}" in repository.branches.remote:
            repository.branches.local[branch].upstream = repository.branches.remote[f"origin/{branch}"]
    return fresh


def _name_origin(repository: pygit2.Repository, vault: Path, remote: Path) -> None:
    if "origin" not in list(repository.remotes.names()):
        repository.remotes.create("origin", str(remote))
    elif repository.remotes["origin"].url != str(remote):
        raise VaultloopError(
            f"{vault} already has the remote {scrubbed(repository.remotes['origin'].url or '')}. "
            "Leave --bare-remote out, or rename that remote first."
        )


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    """A block of work on `place`: what git or the disk refuses is told to the person who asked."""
    try:
        yield
    except (pygit2.GitError, OSError) as error:
        raise VaultloopError(f"{place} cannot be used: {error}. Mend that and call this again.") from error
