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
