"""Bodies that are dear to read: what they may take of time and memory is bounded."""

import asyncio
import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest

from support.gateway_at import BODY, MODEL, Gateway, gateway_at, process_on, terms
from support.messages_api import messages_api
from support.run import asynchronous
from vaultloop.gateway import upstreams
from vaultloop.gateway.refusal import Refusal
from vaultloop.gateway.shape import MOST_VALUES, ModelRequest, understood
from vaultloop.model.gateway import Door

UPSTREAM = upstreams.claude()
SESSIONS = 12


def body(content: bytes) -> bytes:
    """A request whose only message has this content."""
    return b'{"model":"%b","max_tokens":1,"messages":[{"role":"user","content":%b}]}' % (
        MODEL.encode(),
        content,
    )


def called(arguments: bytes, *more: bytes) -> bytes:
    """The content of a message: a call of a tool with these arguments."""
    return b"[" + b",".join([b'{"type":"tool_use","input":%b}' % arguments, *more]) + b"]"


def read(content: bytes) -> ModelRequest:
    return understood(body(content), UPSTREAM, terms())


def refusal(data: bytes) -> Refusal:
    with pytest.raises(Refusal) as refused:
        understood(data, UPSTREAM, terms())
    return refused.value


@pytest.mark.parametrize(
    "arguments",
    [
        b"[" + b"[]," * MOST_VALUES + b"[]]",
        b"[" + b"{}," * MOST_VALUES + b"{}]",
        b"[" + b"1," * MOST_VALUES + b"1]",
        b"[" + b'"",' * MOST_VALUES + b'""]',
        b"[" + b'"\\\\",' * MOST_VALUES + b'""]',
        b"[" + b'"\\"",[],' * (MOST_VALUES // 2) + b"[]]",
        b"{" + b'"":[],' * (MOST_VALUES // 2) + b'"":0}',
        b'"' + b"x" * 10_000 + b'"' + b",[]" * MOST_VALUES,
        b"[" * (MOST_VALUES + 1),
        b'"' * (MOST_VALUES * 3),
    ],
    ids=["lists", "objects", "numbers", "texts", "backslashes", "quotes", "keys", "after", "depth", "broken"],
)
def test_a_body_of_too_many_values_is_refused_unread(arguments: bytes) -> None:
    refused = refusal(body(called(arguments)))
    # Quotes alone are no values, and not JSON.
    assert refused.status == (400 if arguments.strip(b'"') == b"" else 413)


@pytest.mark.parametrize("text", ["1,", "[],{}:", '\\"[],', 'say: "', "[\\", "\n{,"])
def test_a_long_text_is_read_whatever_stands_in_it(text: str) -> None:
    content = [{"type": "text", "text": text * MOST_VALUES}]
    written = json.loads(read(json.dumps(content).encode()).body)
    assert written["messages"][0]["content"] == content


def test_a_body_is_read_or_refused_at_every_depth() -> None:
    statuses = []
    for depth in range(880, 1010):
        try:
            read(called(b"[" * depth + b"]" * depth))
            statuses.append(200)
        except Refusal as refused:
            statuses.append(refused.status)
    # Without a gap: from some depth on all are refused.
    assert [status for status, _ in itertools.groupby(statuses)] == [200, 400]


@asynchronous
async def test_a_body_that_is_too_deep_is_answered_like_the_vendor_does(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            deep = (body(called(b"[" * depth + b"]" * depth)) for depth in range(900, 1000, 3))
            answers = [await _post(gateway, door, data) for data in deep]
    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 200 ", b"HTTP/1.1 400 "}
    assert b'"invalid_request_error"' in answers[-1]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "-1e999", "9" * 101, "-" + "9" * 4300])
def test_a_number_that_is_none_or_too_large_is_refused(number: str) -> None:
    assert refusal(body(called(number.encode()))).status == 400


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"])
def test_only_utf_8_is_read(encoding: str) -> None:
    assert refusal(json.dumps({**BODY, "system": "\xe4"}, ensure_ascii=False).encode(encoding)).status == 400


@asynchronous
async def test_others_do_not_wait_while_sessions_send_what_is_dear_to_read(tmp_path: Path) -> None:
    # Just few enough values, and refused when all else has been looked at.
    dear = body(called(b"[" + b"[]," * (MOST_VALUES // 2 - 1000) + b"[]]", b'{"type":"x"}'))
    assert refusal(dear).status == 403
    with messages_api() as api:
        async with process_on(tmp_path, api.url) as (_, gateway):
            doors = [await gateway.open(terms(f"s{n}")) for n in range(SESSIONS + 1)]
            begun, waits = time.perf_counter(), []
            asking = [asyncio.create_task(_post(gateway, door, dear)) for door in doors[1:]]
            while not all(task.done() for task in asking):
                waits.append(await _wait(gateway, doors[0], stream=False))
            took = time.perf_counter() - begun
    assert all(task.result().startswith(b"HTTP/1.1 403") for task in asking)
    # On the event loop they would all have come first, and the wait would have been as long as all of it.
    assert max(waits) < took / 3


async def _post(gateway: Gateway, door: Door, data: bytes) -> bytes:
    head = (
        f"POST /v1/messages HTTP/1.1\r\nhost: {door.host}:{door.port}\r\nx-api-key: {door.token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return await gateway.raw(door, head.encode() + data)


async def _wait(gateway: Gateway, door: Door, **more: Any) -> float:
    """How long a small request takes (seconds)."""
    begun = time.perf_counter()
    assert (await gateway.ask(door, **more)).status == 200
    return time.perf_counter() - begun
