"""Bytes on a door: what is not read in exactly one way is refused, and nothing of it is forwarded."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import pytest

from support.gateway_at import BODY, gateway_at, terms
from support.messages_api import Says, messages_api
from support.run import asynchronous
from vaultloop.gateway.face import Times
from vaultloop.gateway.head import LARGEST_HEAD
from vaultloop.gateway.model_api import LARGEST_BODY
from vaultloop.gateway.server import MOST_CONNECTIONS
from vaultloop.model.gateway import Door
from vaultloop.model.policy import Audience

CONTENT = json.dumps({**BODY, "stream": False}).encode()
# For requests that never come to their end: no test waits for the real ones.
HASTY = Times(head=0.2, body=0.2, taking=0.2, farewell=0.2)


def post(door: Door, *more: str, target: str = "/v1/messages", host: str | None = None) -> bytes:
    """The head of a request that is good but for what is added."""
    lines = (
        f"POST {target} HTTP/1.1",
        f"host: {host or f'{door.host}:{door.port}'}",
        f"x-api-key: {door.token}",
        "content-type: application/json",
        *more,
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


@asynchronous
async def test_a_plain_request_is_answered_and_the_connection_closed(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            answer = await gateway.raw(door, post(door, f"content-length: {len(CONTENT)}") + CONTENT)
    assert status(answer) == 200
    assert b"connection: close" in answer.lower()


@asynchronous
async def test_a_chunked_body_is_read(tmp_path: Path) -> None:
    chunks = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (CONTENT[:10], CONTENT[10:]))
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            answer = await gateway.raw(door, post(door, "transfer-encoding: chunked") + chunks + b"0\r\n\r\n")
    assert status(answer) == 200


@asynchronous
async def test_who_waits_to_be_told_to_go_on_is_told(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            head = post(door, f"content-length: {len(CONTENT)}", "expect: 100-continue")
            answer = await gateway.raw(door, head + CONTENT)
    assert answer.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 200 " in answer


@pytest.mark.parametrize(
    "more",
    [
        ("content-length: 5", "transfer-encoding: chunked"),
        ("transfer-encoding: chunked", "content-length: 5"),
        ("content-length: 5", "content-length: 5"),
        ("content-length: 5", "content-length: 6"),
        ("content-length: 5, 5",),
        ("content-length: +5",),
        ("content-length: 0x5",),
        ("content-length: -1",),
        ("transfer-encoding: chunked, identity",),
        ("transfer-encoding: identity",),
        ("transfer-encoding : chunked",),
        ("transfer-encoding:\x0bchunked",),
        ("x-folded: a", " b: c"),
        ("x-bare: a\nx-smuggled: b",),
        ("x-bare: a\rx-smuggled: b",),
        ("x-zero: \x00",),
        ("no colon",),
        (": no name",),
        ("host: elsewhere",),
        ("x-api-key: another",),
    ],
)
@asynchronous
async def test_a_head_that_can_be_read_in_two_ways_is_refused(tmp_path: Path, more: tuple[str, ...]) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url, times=HASTY) as gateway:
            door = await gateway.open(terms())
            answer = await gateway.raw(door, post(door, *more) + CONTENT)
    assert status(answer) == 400
    assert api.requests == []


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://api.anthropic.com/v1/messages", None),
        ("*", None),
        ("v1/messages", None),
        ("/v1/messages", "api.anthropic.com"),
        ("/v1/messages", "localhost"),
    ],
)
@asynchronous
async def test_a_request_for_another_host_is_refused(tmp_path: Path, target: str, host: str | None) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url, times=HASTY) as gateway:
            door = await gateway.open(terms())
            head = post(door, f"content-length: {len(CONTENT)}", target=target, host=host)
            answer = await gateway.raw(door, head + CONTENT)
    assert status(answer) == 400
    assert api.requests == []


@asynchronous
async def test_a_second_request_on_the_connection_is_not_read(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            one = post(door, f"content-length: {len(CONTENT)}") + CONTENT
            answer = await gateway.raw(door, one + one)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert len(api.requests) == 1


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT", "DELETE", "OPTIONS"])
@asynchronous
async def test_other_methods_are_answered_and_not_forwarded(tmp_path: Path, method: str) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url, times=HASTY) as gateway:
            door = await gateway.open(terms())
            head = post(door).replace(b"POST", method.encode())
            answer = await gateway.raw(door, head)
    assert status(answer) == 405
    assert (method == "HEAD") == answer.endswith(b"\r\n\r\n")
    assert api.requests == []


@asynchronous
async def test_a_session_that_takes_nothing_is_left_behind_and_the_answer_counted(tmp_path: Path) -> None:
    with messages_api(Says("x" * 20_000_000, output_tokens=4321)) as api:
        async with gateway_at(tmp_path, api.url, times=HASTY) as gateway:
            door = await gateway.open(terms())
            content = json.dumps(BODY).encode()
            _, writer = await asyncio.open_connection(door.host, door.port)
            writer.write(post(door, f"content-length: {len(content)}") + content)
            await asyncio.to_thread(api.asked)
            bill = await gateway.bill()
            writer.close()
    assert (bill.usage["output_tokens"], bill.estimated) == (4321, False)


@asynchronous
async def test_a_head_without_end_is_cut_off(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url, times=HASTY) as gateway:
            door = await gateway.open(terms())
            answer = await gateway.raw(door, post(door, f"x-long: {'a' * LARGEST_HEAD}"))
    assert status(answer) == 431


@pytest.mark.parametrize("audience", Audience)
@asynchronous
async def test_a_body_that_is_too_large_is_refused_by_its_length(tmp_path: Path, audience: Audience) -> None:
    most = LARGEST_BODY[audience]
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url, times=HASTY) as gateway:
            door = await gateway.open(terms(audience=audience))
            too_much, enough = [
                await gateway.raw(door, post(door, f"content-length: {n}")) for n in (most + 1, most)
            ]
    assert status(too_much) == 413
    assert f"longer than {most} bytes" in too_much.decode()
    # It is waited for, in vain.
    assert status(enough) == 408


@asynchronous
async def test_a_body_that_grows_too_large_is_refused_as_it_grows(tmp_path: Path) -> None:
    chunk = b"%x\r\n" % (1 << 20) + b" " * (1 << 20) + b"\r\n"
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            reader, writer = await asyncio.open_connection(door.host, door.port)
            writer.write(post(door, "transfer-encoding: chunked"))
            for _ in range(LARGEST_BODY[Audience.OWNER] // (1 << 20) + 1):
                writer.write(chunk)
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.close()
    assert status(answer) == 413
    assert api.requests == []


@asynchronous
async def test_a_body_of_thousands_of_tiny_pieces_is_refused(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url, times=HASTY) as gateway:
            door = await gateway.open(terms())
            head = post(door, "transfer-encoding: chunked")
            tiny = await gateway.raw(door, head + b"1\r\n \r\n" * 2000)
            usual = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [b" " * 1024] * 2000)
            ends = b"%x\r\n%s\r\n0\r\n\r\n" % (len(CONTENT), CONTENT)
            small = await gateway.raw(door, head + usual + ends)
    assert status(tiny) == 400
    assert b"too many small pieces" in tiny
    assert status(small) == 200


@pytest.mark.parametrize("part", ["POST /v1/mess", "head"])
@asynchronous
async def test_what_dribbles_in_is_cut_off(tmp_path: Path, part: str) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url, times=HASTY) as gateway:
            door = await gateway.open(terms())
            begun = post(door, "content-length: 100") + b"{" if part == "head" else part.encode()
            answer = await gateway.raw(door, begun)
    assert status(answer) == 408


@asynchronous
async def test_a_compressed_body_is_refused(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url, times=HASTY) as gateway:
            door = await gateway.open(terms())
            answer = await gateway.raw(door, post(door, "content-encoding: gzip", "content-length: 0"))
    assert status(answer) == 415


@asynchronous
async def test_connections_of_one_session_are_counted(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door, other = await gateway.open(terms("s1")), await gateway.open(terms("s2"))
            held = [await asyncio.open_connection(door.host, door.port) for _ in range(MOST_CONNECTIONS)]
            with suppress(ConnectionError):
                assert await gateway.raw(door, b"GET / HTTP/1.1\r\n") == b""
            assert (await gateway.ask(other)).status == 200
            for _, writer in held:
                writer.close()


@asynchronous
async def test_connect_is_the_business_of_the_tunnel(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            plain = await gateway.raw(door, b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\n\r\n")
            old = await gateway.raw(door, b"CONNECT example.org:443 HTTP/1.0\r\n\r\n")
    assert plain.startswith(b"HTTP/1.1 403 example.org:443")
    assert old.startswith(b"HTTP/1.1 403 example.org:443")


@pytest.mark.parametrize(
    "request_",
    [
        b"CONNECT example.org:443 HTTP/1.1\r\nhost: other.org\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\ncontent-length: 3\r\n\r\nabc",
        b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\ntransfer-encoding: chunked\r\n\r\n",
        b"CONNECT http://example.org/ HTTP/1.1\r\nhost: example.org\r\n\r\n",
        b"CONNECT  example.org:443 HTTP/1.1\r\nhost: example.org\r\n\r\n",
    ],
)
@asynchronous
async def test_a_malformed_connect_never_gets_to_the_tunnel(tmp_path: Path, request_: bytes) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url, times=HASTY) as gateway:
            assert status(await gateway.raw(await gateway.open(terms()), request_)) == 400
