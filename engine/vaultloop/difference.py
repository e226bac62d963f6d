"""What one revision of the vault would change, compared with another one; nothing of an engine is needed."""

from collections.abc import Collection

from vaultloop.components import KINDS
from vaultloop.model.change import Plan
from vaultloop.model.resource import Known
from vaultloop.model.snapshot import Snapshot
from vaultloop.reconcile import planner
from vaultloop.state.status_book import LastGood
from vaultloop.vault.files import Files
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.notes.loader import Loader
from vaultloop.vault.notes.note_paths import notes_in


def difference(before: Files, after: Files, owners: Collection[str] = ()) -> Plan:
    """The plan of an engine that runs all that `before` declares and is given `after`.

    A note that `after` has with an error keeps the version of `before`, as in an engine. Notes are counted in
    `after`.
    """
    loader = Loader(KINDS, Effort())
    running = _last_good(loader.load(before))
    snapshot = loader.load(after)
    desired = planner.desire(snapshot, running, KINDS)
    observed = planner.as_applied(running, desired, KINDS)
    return planner.plan(desired, observed, snapshot, KINDS, Known(notes_in(after), owners))


def _last_good(snapshot: Snapshot) -> tuple[LastGood, ...]:
    desired = planner.desire(snapshot, (), KINDS)
    return tuple(LastGood.of(resource, snapshot.revision) for resource in desired.resources.values())
