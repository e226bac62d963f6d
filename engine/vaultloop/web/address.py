"""Where the web process listens."""

import re
from dataclasses import dataclass
from typing import Self

_FORM = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:/\s]*)):(?P<port>\d{1,5})")
LARGEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """A host name or IP address, empty for every IPv4 address of the machine, and a TCP port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address that `text` writes as `127.0.0.1:8080`, `[::1]:8080` or `:8080`.

        Raises:
            ValueError: it writes none.
        """
        found = _FORM.fullmatch(text)
        if found is None or int(found["port"]) > LARGEST_PORT:
            raise ValueError(
                "an address and a port, such as 127.0.0.1:8080, or :8080 for every address of this machine"
            )
        return cls(found["six"] or found["host"] or "", int(found["port"]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
