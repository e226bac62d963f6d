"""What the log says of refusals, so that no session fills it and rotates away what others did."""

from collections import OrderedDict

# Of how many different things that a session was refused the log tells.
MOST_TOLD = 20

# Of how many sessions it is known what was told; then the longest silent one begins anew.
_KEPT = 1000


class Told:
    """What was said in the log about each session."""

    def __init__(self, most: int = MOST_TOLD) -> None:
        """Keep count of at most `most` different things a session."""
        self._most = most
        self._sessions: OrderedDict[str, set[str]] = OrderedDict()

    def is_news(self, session: str, what: str) -> bool:
        """Whether this is to be said: it was not yet, and not too much else was. It counts as said then."""
        told = self._sessions.setdefault(session, set())
        self._sessions.move_to_end(session)
        if len(self._sessions) > _KEPT:
            self._sessions.popitem(last=False)
        if what in told or len(told) >= self._most:
            return False
        told.add(what)
        return True
