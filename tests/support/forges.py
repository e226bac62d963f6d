"""The commit status endpoints of three forges on loopback, as strict as their documents."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

TOKEN = "forge-token-for-tests"
_SHA = r"(?P<sha>[0-9a-f]{40})"

# Path, header with the token, allowed states, name of the field for our name, keys that may be there.
KINDS = {
    "github": (
        rf"/api/v3/repos/(?P<path>[^/]+/[^/]+)/statuses/{_SHA}",
        ("Authorization", f"Bearer {TOKEN}"),
        {"error", "failure", "pending", "success"},
        "context",
    ),
    "gitlab": (
        rf"/api/v4/projects/(?P<path>[^/]+)/statuses/{_SHA}",
        ("PRIVATE-TOKEN", TOKEN),
        {"pending", "running", "success", "failed", "canceled", "skipped"},
        "name",
    ),
    "gitea": (
        rf"/api/v1/repos/(?P<path>[^/]+/[^/]+)/statuses/{_SHA}",
        ("Authorization", f"token {TOKEN}"),
        {"pending", "success", "error", "failure", "warning"},
        "context",
    ),
}


class ForgeServer(ThreadingHTTPServer):
    """A forge of one kind.

    Attributes:
        shown: path, revision, state and description of each status that was taken.
        says: what it answers in place of taking a status, one a request.
    """

    daemon_threads = True

    def __init__(self, kind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kind = kind
        self.shown: list[tuple[str, str, str, str]] = []
        self.says: list[int] = []

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def forge_server(kind: str) -> Iterator[ForgeServer]:
    server = ForgeServer(kind)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="forge")
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def do_POST(self) -> None:
        forge = self.server
        assert isinstance(forge, ForgeServer)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = forge.says.pop(0) if forge.says else self._taken(forge, body)
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", f"{forge.site}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _taken(self, forge: ForgeServer, body: bytes) -> int:
        path, (header, value), states, name = KINDS[forge.kind]
        found = re.fullmatch(path, self.path)
        if found is None:
            return 404
        if self.headers.get(header) != value:
            return 401
        if forge.kind == "github" and not self.headers.get("User-Agent"):
            return 403
        told = json.loads(body)
        known = {"state", "description", name}
        if self.headers["Content-Type"] != "application/json" or told.keys() != known:
            return 422
        if told["state"] not in states or told[name] != "vaultloop" or len(told["description"]) > 140:
            return 422
        forge.shown.append((unquote(found["path"]), found["sha"], told["state"], told["description"]))
        return 201
