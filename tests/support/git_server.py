"""Bare repositories served by the real `git http-backend` behind a small HTTP server on loopback."""

import base64
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def bare_repository(path: Path, branch: str = "main") -> Path:
    """Make an empty bare repository that anybody who reaches it may push to."""
    subprocess.run(["git", "init", "-q", "--bare", f"--initial-branch={branch}", path], check=True)
    subprocess.run(["git", "-C", path, "config", "http.receivepack", "true"], check=True)
    return path


class GitServer:
    """A running server.

    Attributes:
        root: the repositories are the directories in it.
        requests: method and path of each request so far.
        before: called with method and path before a request is answered; tests race through it.
    """

    def __init__(self, root: Path, user: str | None = None, password: str | None = None) -> None:
        self.root = root
        self.requests: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.login = f"{user}:{password}" if password is not None else None
        self._http = _Http(self)

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    def url(self, name: str, login: str | None = None) -> str:
        """The address of the repository `name`, with `login` (user:password) inside if given."""
        return f"http://{login + '@' if login else ''}127.0.0.1:{self.port}/{name}"

    @contextmanager
    def running(self) -> Iterator["GitServer"]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="git server")
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()


@contextmanager
def git_server(root: Path, user: str | None = None, password: str | None = None) -> Iterator[GitServer]:
    """Serve the repositories below `root`; with a password, only to those who show it."""
    with GitServer(root, user, password).running() as server:
        yield server


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, git: GitServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.git = git


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _git(self) -> GitServer:
        assert isinstance(self.server, _Http)
        return self.server.git

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def _answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        self._git.requests.append((self.command, self.path))
        if not self._admitted():
            return self._send(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
        self._git.before(self.command, self.path)
        status, headers, content = self._ask_git(path, query, body)
        return self._send(status, headers, content)

    def _admitted(self) -> bool:
        if self._git.login is None:
            return True
        wanted = "Basic " + base64.b64encode(self._git.login.encode()).decode()
        return self.headers.get("Authorization") == wanted

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _ask_git(self, path: str, query: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        environment = os.environ | {
            "GIT_PROJECT_ROOT": str(self._git.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_USER": "tester",
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((value for name, value in headers if name == "Status"), "200 OK")
        return (
            int(status.split()[0]),
            [(name, value) for name, value in headers if name != "Status"],
            content,
        )

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
