"""Named places where the process may be killed on purpose, so that tests can prove what survives.

A crash between any two steps must lose nothing and do nothing twice. The steps are listed here by name, and
the crash tests walk this list: a new step without a name is a step without a proof. Unarmed, a failpoint
costs one comparison.
"""

import os
import signal
from enum import StrEnum

# `NAME` or `NAME:N` (the N-th passage); read once, at import, from the environment of the process.
VARIABLE = "VAULTLOOP_FAILPOINT"


class Failpoint(StrEnum):
    """Each step of reserve, spawn, publish, push and record that a crash may follow."""

    MESSAGE_RECEIVED = "message-received"
    TURN_QUEUED = "turn-queued"
    SLOT_DUE = "slot-due"
    SLOT_RESERVED = "slot-reserved"
    VIEW_LEASED = "view-leased"
    SESSION_STARTED = "session-started"
    PROCESS_SPAWNED = "process-spawned"
    PROCESS_ENDED = "process-ended"
    RETRY_RECORDED = "retry-recorded"
    ANSWER_RECORDED = "answer-recorded"
    COMMIT_WRITTEN = "commit-written"
    COMMIT_RECORDED = "commit-recorded"
    BRANCH_MOVED = "branch-moved"
    FILES_WRITTEN = "files-written"
    PUBLISH_RECORDED = "publish-recorded"
    BEFORE_PUSH = "before-push"
    AFTER_PUSH = "after-push"
    REPLY_QUEUED = "reply-queued"
    REPLY_DELIVERED = "reply-delivered"
    OUTCOME_RECORDED = "outcome-recorded"
    # Taking back what a session published.
    UNDO_WRITTEN = "undo-written"
    UNDO_RECORDED = "undo-recorded"
    UNDO_ARRIVED = "undo-arrived"

    # A commit is brought into the folder, or the branch to what lies there (vault/folder/checkout.py).
    INTENT_WRITTEN = "intent-written"
    FILE_PREPARED = "file-prepared"
    FILE_REPLACED = "file-replaced"
    FILE_DELETED = "file-deleted"
    FILE_TAKEN_BACK = "file-taken-back"
    INDEX_LOCKED = "index-locked"
    ENTRY_STAGED = "entry-staged"
    INDEX_PREPARED = "index-prepared"
    INDEX_WRITTEN = "index-written"
    INTENT_REMOVED = "intent-removed"
    RECOVERY_BEGUN = "recovery-begun"
    RECOVERY_SWEPT = "recovery-swept"
    RECOVERY_DONE = "recovery-done"

    # A damaged repository is put right, and its packs are made one (vault/git/repair.py, repack.py).
    DAMAGE_SET_ASIDE = "damage-set-aside"
    INDEX_REBUILT = "index-rebuilt"
    BRANCH_RESTORED = "branch-restored"
    OBJECT_RESTORED = "object-restored"
    PACK_WRITTEN = "pack-written"
    PACK_INSTALLED = "pack-installed"
    PACK_REMOVED = "pack-removed"
    LOOSE_REMOVED = "loose-removed"

    # What may run is written down: vetted, stayed healthy, pinned, rolled back.
    TRUST_AHEAD = "trust-ahead"
    TRUST_NOTED = "trust-noted"
    START_COUNTED = "start-counted"
    RESOURCE_APPLIED = "resource-applied"
    LAST_GOOD_KEPT = "last-good-kept"
    PIN_SET = "pin-set"
    PIN_REMOVED = "pin-removed"
    ROLLBACK_COMMITTED = "rollback-committed"

    # Two lines of work are joined in memory (vault/merge/tree.py).
    MERGE_COMPUTED = "merge-computed"
    MERGE_BLOBS_WRITTEN = "merge-blobs-written"
    MERGE_TREE_WRITTEN = "merge-tree-written"

    # Branch, folder and remote are brought together (vault/sync/upstream.py, branch.py, lineage.py, held.py).
    HEADS_HEARD = "heads-heard"
    FETCHED = "fetched"
    RESCUE_KEPT = "rescue-kept"
    TRACKING_KEPT = "tracking-kept"
    JOIN_WRITTEN = "join-written"
    MEND_WRITTEN = "mend-written"
    HELD_KEPT = "held-kept"
    HELD_RELEASED = "held-released"
    PARKED_KEPT = "parked-kept"
    EDITS_COMMITTED = "edits-committed"
    UNITED = "united"
    PUSH_REFUSED = "push-refused"
    PUSH_NOTED = "push-noted"
    ACCEPTANCE_MARKED = "acceptance-marked"
    ACCEPTANCE_NOTED = "acceptance-noted"

    # Who acts is written at the remote (vault/lease/tenure.py).
    LEASE_WRITTEN = "lease-written"
    LEASE_PUSHED = "lease-pushed"
    LEASE_BEGUN = "lease-begun"
    STOOD_DOWN = "stood-down"
    LEASE_RELEASED = "lease-released"


def _armed() -> tuple[str, int]:
    name, _, passage = os.environ.get(VARIABLE, "").partition(":")
    return name, int(passage or 1)


_name, _passages_left = _armed()


def reached(point: Failpoint) -> None:
    """Kill this process, as `kill -9` would, if the environment armed `point`."""
    global _passages_left  # noqa: PLW0603 - one process, one armed point
    if point != _name:
        return
    _passages_left -= 1
    if _passages_left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
