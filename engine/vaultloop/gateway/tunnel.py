"""What a door does with CONNECT: the border between the face of a door and egress."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from vaultloop.gateway.terms import Terms


class Tunnel(Protocol):
    """Connects a session to a host outside."""

    async def connect(  # noqa: PLR0917 - who, what and under which terms, in this order
        self,
        authority: str,
        headers: Mapping[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        terms: Terms,
        token: str,
    ) -> None:
        """Answer one `CONNECT authority HTTP/1.x`, and carry bytes both ways until either side ends.

        The head of the request has been read and is well-formed; nothing after it has. Who asks is not known
        yet: `Proxy-Authorization` among the headers has to prove `token`, compared in constant time. The
        answer, also a refusal, is written here; the caller closes the connection afterwards. A door that
        closes cancels this.

        Args:
            authority: as it stood in the request line, for example `example.org:443`.
            headers: by lower-case name; no name occurs twice.
            reader, writer: the connection of the session.
            terms: what the session may do.
            token: what opens this door.
        """
        ...
