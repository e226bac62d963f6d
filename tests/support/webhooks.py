"""Webhooks as forges send them, and a web process in the test's own that takes them."""

import asyncio
import base64
import hashlib
import hmac
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.running import until
from vaultloop.aio import rpc
from vaultloop.aio.supervise import background
from vaultloop.web import server

SECRET = "a long and random word"
# `whsec_` and 32 bytes in base64, as GitLab makes them.
SIGNING_TOKEN = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = b'{"ref": "refs/heads/main", "commits": []}'

Headers = Mapping[str, str]
Sender = Callable[[bytes, str], Headers]


def _digest(body: bytes, key: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()


def github(body: bytes = BODY, secret: str = SECRET) -> Headers:
    signature = f"sha256={_digest(body, secret.encode()).hex()}"
    return {"X-GitHub-Event": "push", "X-Hub-Signature-256": signature, "X-Hub-Signature": "sha1=0"}


def gitea(body: bytes = BODY, secret: str = SECRET) -> Headers:
    return {"X-Gitea-Event": "push", "X-Gitea-Signature": _digest(body, secret.encode()).hex()}


def forgejo(body: bytes = BODY, secret: str = SECRET) -> Headers:
    return {"X-Forgejo-Event": "push", "X-Forgejo-Signature": _digest(body, secret.encode()).hex()}


def gitlab(_: bytes = BODY, secret: str = SECRET) -> Headers:
    return {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": secret}


def gitlab_signed(body: bytes = BODY, secret: str = SIGNING_TOKEN) -> Headers:
    """With a signing token: https://www.standardwebhooks.com."""
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    sent = {"webhook-id": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", "webhook-timestamp": "1674087231"}
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(_digest(signed, key)).decode()
    return {"X-Gitlab-Event": "Push Hook", **sent, "webhook-signature": f"v1,{signature}"}


# What each of them signs with by default.
SENDERS: Mapping[str, tuple[Sender, str]] = {
    "GitHub": (github, SECRET),
    "Gitea": (gitea, SECRET),
    "Forgejo": (forgejo, SECRET),
    "GitLab": (gitlab, SECRET),
    "GitLab, signed": (gitlab_signed, SIGNING_TOKEN),
}


def head(
    headers: Headers, length: int | None = len(BODY), method: str = "POST", path: str = "/hooks/git"
) -> bytes:
    """The head of one request that ends its connection; without a length its body comes in chunks."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", framing]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


@dataclass
class Engine:
    """A peer that hears rings as an engine does, and counts them."""

    rings: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def ring(self, _: rpc.Peer, __: rpc.JsonObject) -> Any:
        self.rings += 1
        await self.may_answer.wait()
        return {"ok": True}

    async def health(self, _: rpc.Peer, __: rpc.JsonObject) -> Any:
        return {"ready": True, "revision": "0a1b", "applied": "0a1b", "push": "local"}


@asynccontextmanager
async def site(folder: Path, secret: str | None = SECRET) -> AsyncIterator[int]:
    """A server in front of nobody; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    web = server.server(folder / "engine.sock", secret)
    async with background("web", web.serve([listener])) as serving:
        await until(lambda: web.started)
        yield listener.getsockname()[1]
        web.should_exit = True
        await serving


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[Engine]:
    made = Engine()
    made.may_answer.set()
    async with rpc.serving(folder / "engine.sock", {"ring": made.ring, "health": made.health}):
        yield made


async def answer(port: int, *sent: bytes) -> tuple[int, bytes]:
    """Status and body of what is said to one request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in sent:
        writer.write(part)
    said = await reader.read()
    writer.close()
    top, _, body = said.partition(b"\r\n\r\n")
    return int(top.split()[1]), body


async def status(port: int, headers: Headers, body: bytes = BODY, **more: Any) -> int:
    return (await answer(port, head(headers, len(body), **more), body))[0]
