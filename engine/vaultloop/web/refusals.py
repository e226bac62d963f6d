"""Requests that prove nothing: told in one line a minute, and no more than so many from one address."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address

log = logging.getLogger(__name__)

# So many refused requests are looked at in one minute, from one address; and so many addresses remembered.
MOST_A_MINUTE = 60
MOST_ADDRESSES = 1024

MINUTE = 60.0


class Refusals:
    """Counts what was refused, by address."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._since: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._told: float | None = None
        self._untold = 0

    def note(self, address: str) -> None:
        """One more was refused."""
        since, count = self._recent(address)
        self._since[address] = (since, count + 1)
        self._since.move_to_end(address)
        while len(self._since) > MOST_ADDRESSES:
            self._since.popitem(last=False)
        self._tell()

    def is_tired_of(self, address: str) -> bool:
        """Whether an address has been refused so often that it is not even looked at.

        Never one on this machine or a private network: a proxy stands there, and speaks for the forge as well
        as for strangers.
        """
        return _is_public(address) and self._recent(address)[1] >= MOST_A_MINUTE

    def _recent(self, address: str) -> tuple[float, int]:
        now = self._now()
        since, count = self._since.get(address, (now, 0))
        return (since, count) if now - since < MINUTE else (now, 0)

    def _tell(self) -> None:
        self._untold += 1
        now = self._now()
        if self._told is None or now - self._told >= MINUTE:
            log.warning("refused %d webhooks whose sender does not know the secret", self._untold)
            self._told, self._untold = now, 0


def _is_public(address: str) -> bool:
    try:
        return ip_address(address).is_global
    except ValueError:
        return False
