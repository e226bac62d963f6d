"""Views of a small repository, leased as sessions lease them."""

from collections.abc import Mapping
from datetime import UTC, datetime

from vaultloop.model.policy import Audience, Policy
from vaultloop.vault.files import Entry
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.views.view import View
from vaultloop.vault.views.views import Views

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)
EVERYTHING = Policy("owner", Audience.OWNER, can_read=("**",), can_write=("**",))
Texts = Mapping[str, str | None]


def commit(repository: Repository, texts: Texts) -> str:
    """Commit these files upon the branch; None takes one out."""
    edits: dict[str, Entry | None] = {
        path: None if text is None else Entry(path, repository.write_blob(text.encode()))
        for path, text in texts.items()
    }
    parents = [repository.head] if repository.head else []
    tree = repository.edit(repository.head, edits)
    made = repository.commit(tree, parents, "Edit\n", author=Identity("Hana", "hana@example.org"), at=NOW)
    repository.move(repository.head, made)
    return made


def lease(views: Views, repository: Repository, texts: Texts, policy: Policy = EVERYTHING) -> View:
    """A view of the branch after these files were committed."""
    return views.lease(repository.files(commit(repository, texts)), policy)


def contents(view: View) -> dict[str, str]:
    """All files of a view with their texts."""
    found = (path for path in view.folder.rglob("*") if path.is_file())
    return {path.relative_to(view.folder).as_posix(): path.read_text() for path in found}
