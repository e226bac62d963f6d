"""A Messages API on loopback, in the place of the model's vendor: the model is a script.

Each test writes down what the model does, one step for each request: it says something, uses tools, fails
with a status, hangs, breaks off. What the agent program asked is kept, so that a test can look at exactly
what would have left the machine. Nothing here is told apart from the real thing by the real program.
"""

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

# How long a test waits for a request (seconds); an agent program needs about one for its first.
PATIENCE = 20.0


@dataclass(frozen=True)
class Use:
    """The model uses a tool."""

    name: str
    input: Mapping[str, Any]


@dataclass(frozen=True)
class Says:
    """An answer: text, tool uses, or both.

    Attributes:
        stop: the stop reason, where it is not the one that follows from the content.
        input_tokens, output_tokens, and what follows them: what the vendor would charge for; written to the
            cache for five minutes, and for an hour.
    """

    text: str = ""
    uses: Sequence[Use] = ()
    stop: str | None = None
    input_tokens: int = 100
    output_tokens: int = 20
    cache_write_tokens: int = 0
    cache_write_hour_tokens: int = 0
    cache_read_tokens: int = 0
    searches: int = 0

    @property
    def stop_reason(self) -> str:
        return self.stop or ("tool_use" if self.uses else "end_turn")


@dataclass(frozen=True)
class Fails:
    """An answer with a status that is an error, in the vendor's shape."""

    status: int
    kind: str = "api_error"
    message: str = "scripted"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hangs:
    """No answer: the request stays open until the program gives up."""


@dataclass(frozen=True)
class BreaksOff:
    """The connection ends in the middle of an answer."""

    text: str = "I was about to"


@dataclass(frozen=True)
class Garbles:
    """An answer that is no event stream."""

    body: bytes = b"event: message_start\ndata: {not json\n\ndata: \xff\xfe\n\n"


@dataclass(frozen=True)
class Dawdles:
    """An answer that stops in the middle, until the test lets it go on."""

    answer: Says
    go: threading.Event


Step = Says | Fails | Hangs | BreaksOff | Garbles | Dawdles
Script = Step | Callable[["Request"], Step]


def refuses(text: str = "I cannot help with that.") -> Says:
    """The model refuses to answer."""
    return Says(text, stop="refusal")


@dataclass(frozen=True)
class Request:
    """What the agent program asked of the model."""

    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def model(self) -> str:
        return str(self.body.get("model"))

    @property
    def system(self) -> str:
        """The whole system prompt."""
        system = self.body.get("system") or ""
        return system if isinstance(system, str) else "\n".join(_texts(system))

    @property
    def tools(self) -> list[str]:
        """The names of the tools that the model may use."""
        return [str(tool.get("name")) for tool in self.body.get("tools") or ()]

    @property
    def said(self) -> str:
        """All text of the conversation so far, tool results among it."""
        contents = (message["content"] for message in self.body.get("messages") or ())
        return "\n".join(itertools.chain.from_iterable(map(_texts, contents)))

    @property
    def everything(self) -> str:
        """The whole body: what is not in it did not leave the machine."""
        return json.dumps(self.body, ensure_ascii=False)


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for block in content:
            yield from _texts(block.get("text") or block.get("content"))


class MessagesApi:
    """The server and its script. After the last step, that step is repeated.

    Attributes:
        billed: the answers that were given to their end, for which the vendor would charge.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.billed: list[Says] = []
        self._script: list[Script] = [Says("Hello.")]
        self._number = itertools.count(1)
        self._changed = threading.Condition()
        self._ends = threading.Event()
        self._server = _Server(self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def follows(self, *script: Script) -> None:
        """Begin a new script, and forget what was asked so far."""
        with self._changed:
            self._script = list(script)
            self.requests.clear()

    def asked(self, number: int = 1) -> Request:
        """The request with this number, once it was made."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= number, PATIENCE), "nobody asked"
            return self.requests[number - 1]

    @contextmanager
    def serving(self) -> Iterator["MessagesApi"]:
        """Serve for as long as the block lasts."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="messages api")
        thread.start()
        try:
            yield self
        finally:
            self._ends.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def take(self, request: Request) -> Step:
        """Note the request; what the script says to it."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            step = self._script[min(len(self.requests), len(self._script)) - 1]
        return step(request) if callable(step) else step

    def hang(self, alive: Callable[[], bool]) -> None:
        """Return once the one who asks is gone, or the server ends."""
        while alive() and not self._ends.wait(0.05):
            pass

    def wait_for(self, go: threading.Event) -> None:
        """Return once `go` is set, or the server ends."""
        while not go.wait(0.02) and not self._ends.is_set():
            pass

    def fresh(self, prefix: str) -> str:
        """An id that was not given before."""
        return f"{prefix}_{next(self._number):06d}"


@contextmanager
def messages_api(*script: Script) -> Iterator[MessagesApi]:
    """A running server whose model is this script."""
    with MessagesApi().serving() as api:
        if script:
            api.follows(*script)
        yield api


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, api: MessagesApi) -> None:
        self.api = api
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A program that hangs up while it is answered is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 5.0

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Tests print nothing."""

    @property
    def _api(self) -> MessagesApi:
        assert isinstance(self.server, _Server)
        return self.server.api

    def do_HEAD(self) -> None:
        self._send(200, "application/json", b"")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.path.split("?")[0].endswith("/v1/messages"):
            self._fail(Fails(404, "not_found_error", f"no {self.path} here"))
            return
        match self._api.take(Request(dict(self.headers), body)):
            case Says() as answer if body.get("stream"):
                self._stream(_events(answer, self._api, str(body.get("model"))))
                self._api.billed.append(answer)
            case Says() as answer:
                content = json.dumps(_message(answer, self._api, str(body.get("model")))).encode()
                self._send(200, "application/json", content)
                self._api.billed.append(answer)
            case Dawdles(answer, go):
                self._dawdle(list(_events(answer, self._api, str(body.get("model")))), go)
                self._api.billed.append(answer)
            case Fails() as failure:
                self._fail(failure)
            case BreaksOff(text):
                # The length promises more than will come.
                begun = list(_events(Says(text), self._api, str(body.get("model"))))[:3]
                self._send(200, "text/event-stream", b"".join(begun), promised=1_000_000)
            case Garbles(garbage):
                self._send(200, "text/event-stream", garbage)
            case Hangs():
                self._api.hang(self._is_listened_to)

    def _is_listened_to(self) -> bool:
        self.connection.settimeout(0)
        with suppress(BlockingIOError):
            return bool(self.connection.recv(1))
        return True

    def _fail(self, failure: Fails) -> None:
        error = {"type": failure.kind, "message": failure.message}
        body = {"type": "error", "error": error, "request_id": self._api.fresh("req")}
        self._send(failure.status, "application/json", json.dumps(body).encode(), more=failure.headers)

    def _stream(self, events: Iterator[bytes]) -> None:
        self._send(200, "text/event-stream", b"".join(events))

    def _dawdle(self, events: list[bytes], go: threading.Event) -> None:
        self._send(200, "text/event-stream", b"".join(events[:3]), promised=len(b"".join(events)))
        self.wfile.flush()
        self._api.wait_for(go)
        with suppress(ConnectionError):
            self.wfile.write(b"".join(events[3:]))

    def _send(
        self,
        status: int,
        kind: str,
        body: bytes,
        *,
        promised: int | None = None,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "connection": "close", **more}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(promised or len(body)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(body)
        self.close_connection = True


def _events(answer: Says, api: MessagesApi, model: str) -> Iterator[bytes]:
    """The answer as the vendor's server-sent events."""
    usage = {**_usage(answer), "output_tokens": 1}
    message: dict[str, Any] = {
        "id": api.fresh("msg"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    yield _event("message_start", message=message)
    for index, (block, delta) in enumerate(_blocks(answer, api)):
        yield _event("content_block_start", index=index, content_block=block)
        yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    ending = {"stop_reason": answer.stop_reason, "stop_sequence": None}
    more = {"server_tool_use": {"web_search_requests": answer.searches}} if answer.searches else {}
    yield _event("message_delta", delta=ending, usage={"output_tokens": answer.output_tokens, **more})
    yield _event("message_stop")


def _usage(answer: Says) -> dict[str, Any]:
    minutes, hour = answer.cache_write_tokens, answer.cache_write_hour_tokens
    usage: dict[str, Any] = {
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "cache_creation_input_tokens": minutes + hour,
        "cache_read_input_tokens": answer.cache_read_tokens,
    }
    if hour:
        parts = {"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour}
        usage["cache_creation"] = parts
    return usage


def _message(answer: Says, api: MessagesApi, model: str) -> dict[str, Any]:
    """The answer in one piece."""
    tools = {"server_tool_use": {"web_search_requests": answer.searches}} if answer.searches else {}
    return {
        "id": api.fresh("msg"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": answer.text}],
        "stop_reason": answer.stop_reason,
        "usage": {**_usage(answer), **tools},
    }


def _blocks(answer: Says, api: MessagesApi) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    if answer.text:
        yield {"type": "text", "text": ""}, {"type": "text_delta", "text": answer.text}
    for use in answer.uses:
        block = {"type": "tool_use", "id": api.fresh("toolu"), "name": use.name, "input": {}}
        yield block, {"type": "input_json_delta", "partial_json": json.dumps(use.input)}


def _event(name: str, **content: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **content})}\n\n".encode()
