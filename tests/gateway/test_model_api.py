"""Through a real door, to a scripted Messages API."""

import asyncio
import json
import logging
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.gateway_at import BODY, MODEL, REAL_KEY, gateway_at, terms
from support.messages_api import BreaksOff, Dawdles, Fails, Garbles, Request, Says, messages_api
from support.run import asynchronous
from vaultloop.gateway.keys import Keys
from vaultloop.state.ledger import reading


@asynchronous
async def test_a_session_gets_the_answer_as_the_vendor_streams_it(tmp_path: Path) -> None:
    with messages_api(Says("Good morning.")) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            answer = await gateway.ask(await gateway.open(terms()))
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert b"Good morning." in answer.body
    assert answer.body.endswith(b'data: {"type": "message_stop"}\n\n')


@asynchronous
async def test_the_vendor_sees_the_real_key_and_never_the_token_of_the_door(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            await gateway.ask(door)
            await gateway.ask(door, headers={"authorization": f"Bearer {door.token}"})
    for request in api.requests:
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert headers["x-api-key"] == REAL_KEY
        assert door.token not in str(headers)


@asynchronous
async def test_an_oauth_token_goes_out_as_one_with_the_flag_that_it_needs(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url, keys=Keys(oauth_token="real-oauth")) as gateway:
            door = await gateway.open(terms())
            given = {
                "authorization": f"Bearer {door.token}",
                "anthropic-beta": "oauth-2025-04-20,effort-2025-11-24",
            }
            answer = await gateway.ask(door, headers=given)
    assert answer.status == 200
    headers = {name.lower(): value for name, value in api.asked().headers.items()}
    assert headers["authorization"] == "Bearer real-oauth"
    assert headers["anthropic-beta"] == "effort-2025-11-24,oauth-2025-04-20"
    assert "x-api-key" not in headers


@asynchronous
async def test_with_an_api_key_the_flag_for_oauth_does_not_go_out(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            await gateway.ask(door, headers={"x-api-key": door.token, "anthropic-beta": "oauth-2025-04-20"})
    assert "anthropic-beta" not in {name.lower() for name in api.asked().headers}


@asynchronous
async def test_keys_that_changed_count_for_the_next_request(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            await gateway.peer.call("keys", **Keys(api_key="sk-ant-rotated").to_json())
            await gateway.ask(door)
    assert {name.lower(): value for name, value in api.asked().headers.items()}[
        "x-api-key"
    ] == "sk-ant-rotated"


@pytest.mark.parametrize(
    "headers", [{}, {"x-api-key": "guess"}, {"authorization": "Basic guess"}, {"x-api-key": ""}]
)
@asynchronous
async def test_nobody_gets_through_without_the_token(tmp_path: Path, headers: dict[str, str]) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            answer = await gateway.ask(await gateway.open(terms()), headers=headers)
    assert (answer.status, answer.error[0]) == (401, "authentication_error")
    assert api.requests == []


@asynchronous
async def test_the_token_of_one_session_is_worth_nothing_at_the_door_of_another(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            one, other = await gateway.open(terms("s1")), await gateway.open(terms("s2"))
            answer = await gateway.ask(one, headers={"x-api-key": other.token})
    assert one.port != other.port
    assert answer.status == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/files", 404),
        ("/v1/messages/batches", 404),
        ("/v1/models", 404),
        ("/v1/messages/", 404),
        ("/v1//messages", 404),
        ("/v1/messages%2Fbatches", 404),
        ("/v1/messages?beta=true&x=1", 403),
    ],
)
@asynchronous
async def test_only_what_the_agent_needs_is_forwarded(tmp_path: Path, path: str, status: int) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            answer = await gateway.ask(await gateway.open(terms()), path)
    assert answer.status == status
    assert api.requests == []


SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}
PICTURE = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}


def says(*blocks: dict[str, Any], role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": list(blocks)}]


FORBIDDEN: dict[str, dict[str, Any]] = {
    "another model": {"model": "claude-haiku-4-5"},
    "no model": {"model": None},
    "an MCP connector": {"mcp_servers": [{"type": "url", "url": "https://example.org", "name": "x"}]},
    "a container": {"container": "container_1"},
    "an unknown key": {"service_tier": "auto"},
    "web search": {"tools": [SEARCH]},
    "web fetch": {"tools": [FETCH]},
    "code execution": {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]},
    "the computer": {"tools": [{"type": "computer_20250124", "name": "computer"}]},
    "a tool that only code may call": {
        "tools": [{"name": "x", "input_schema": {}, "allowed_callers": ["code_execution_20250825"]}]
    },
    "a picture by address": {"messages": says(PICTURE)},
    "a document by address": {
        "messages": says({"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}})
    },
    "a file id": {"messages": says({"type": "document", "source": {"type": "file", "file_id": "file_1"}})},
    "an upload": {"messages": says({"type": "container_upload", "file_id": "file_1"})},
    "a picture in a tool result": {
        "messages": says({"type": "tool_result", "tool_use_id": "t", "content": [PICTURE]})
    },
    "a picture in a document": {
        "messages": says({"type": "document", "source": {"type": "content", "content": [PICTURE]}})
    },
    "a server tool in the middle": {
        "messages": says(
            {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": SEARCH}},
            role="system",
        )
    },
    "an MCP use": {"messages": says({"type": "mcp_tool_use", "id": "m", "name": "x", "input": {}})},
    "compaction at the vendor": {"context_management": {"edits": [{"type": "compact_20260112"}]}},
    "a picture in the system prompt": {"system": [PICTURE]},
    "a key of a message": {"messages": [{"role": "user", "content": "Hi", "files": ["file_1"]}]},
}


@pytest.mark.parametrize("what", FORBIDDEN)
@asynchronous
async def test_the_vendor_is_never_asked_for(tmp_path: Path, what: str) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms(abilities=("shell",)))
            answer = await gateway.ask(door, **FORBIDDEN[what])
            bill = await gateway.close()
    assert (answer.status, answer.error[0]) == (403, "permission_error")
    assert api.requests == []
    assert bill.requests == 0


@pytest.mark.parametrize(
    "beta",
    ["files-api-2025-04-14", "mcp-client-2025-11-20", "code-execution-2025-05-22", "context-1m-2025-08-07"],
)
@asynchronous
async def test_features_that_are_not_listed_are_refused(tmp_path: Path, beta: str) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            headers = {"x-api-key": door.token, "anthropic-beta": f"effort-2025-11-24, {beta}"}
            answer = await gateway.ask(door, headers=headers)
    assert (answer.status, answer.error[1]) == (403, f"The beta feature {beta} is not forwarded.")
    assert api.requests == []


@asynchronous
async def test_an_ability_opens_its_server_tool_and_no_other(tmp_path: Path) -> None:
    past = {"type": "web_search_tool_result", "tool_use_id": "t", "content": []}
    use = {"type": "server_tool_use", "id": "t", "name": SEARCH["name"], "input": {}}
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms(abilities=("web-search",)))
            allowed = await gateway.ask(door, tools=[SEARCH], messages=says(use, past, role="assistant"))
            other = await gateway.ask(door, tools=[FETCH])
            foreign = {**use, "name": "code_execution"}
            renamed = await gateway.ask(door, messages=says(foreign, role="assistant"))
    assert (allowed.status, other.status, renamed.status) == (200, 403, 403)
    assert len(api.requests) == 1


@asynchronous
async def test_no_ability_lets_the_vendor_fetch_what_the_hosts_of_a_scope_do_not_bind(
    tmp_path: Path,
) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            given = terms(abilities=("web-search", "web-fetch"), hosts=("example.org",))
            door = await gateway.open(given)
            answers = [
                await gateway.ask(door, messages=says(PICTURE)),
                await gateway.ask(door, tools=[FETCH]),
            ]
    assert [answer.status for answer in answers] == [403, 403]
    assert api.requests == []


@asynchronous
async def test_a_key_that_is_there_twice_is_forwarded_as_it_was_checked(tmp_path: Path) -> None:
    body = json.dumps(BODY).replace('"model"', '"model": "claude-fable-5-1", "model"', 1).encode()
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            head = (
                f"POST /v1/messages HTTP/1.1\r\nhost: {door.host}:{door.port}\r\nx-api-key: {door.token}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            )
            assert (await gateway.raw(door, head.encode() + body)).startswith(b"HTTP/1.1 200 ")
    assert api.asked().model == MODEL


@asynchronous
async def test_half_a_character_reaches_the_vendor_as_it_was_sent(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            answer = await gateway.ask(door, messages=[{"role": "user", "content": "cut \ud83d"}])
    assert answer.status == 200
    assert api.asked().said == "cut \ud83d"


@asynchronous
async def test_headers_that_are_not_listed_stay_on_their_side(tmp_path: Path) -> None:
    leak = {
        "anthropic-organization-id": "org",
        "set-cookie": "a=b",
        "request-id": "req_1",
        "retry-after": "1",
    }
    with messages_api(Fails(429, "rate_limit_error", headers=leak)) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            headers = {
                "x-api-key": door.token,
                "x-stainless-lang": "js",
                "cookie": "a=b",
                "x-forwarded-for": "::1",
            }
            answer = await gateway.ask(door, headers=headers)
    sent = {name.lower() for name in api.asked().headers}
    assert "x-stainless-lang" in sent
    assert not sent & {"cookie", "x-forwarded-for"}
    assert {name.lower() for name in answer.headers} == {
        "connection",
        "content-length",
        "content-type",
        "request-id",
        "retry-after",
    }


@asynchronous
async def test_an_error_of_the_vendor_is_passed_on_and_costs_nothing(tmp_path: Path) -> None:
    with messages_api(Fails(529, "overloaded_error", f"no, {REAL_KEY}")) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            answer = await gateway.ask(await gateway.open(terms()))
            bill = await gateway.close()
    assert (answer.status, answer.error) == (529, ("overloaded_error", "no, (key)"))
    assert (bill.usd, bill.requests, bill.estimated) == (0.0, 1, False)


@asynchronous
async def test_a_redirect_is_neither_followed_nor_passed_on(tmp_path: Path) -> None:
    with messages_api(Says("elsewhere")) as other:
        location = {"location": f"{other.url}/v1/messages"}
        with messages_api(Fails(307, headers=location)) as api:
            async with gateway_at(tmp_path, api.url) as gateway:
                answer = await gateway.ask(await gateway.open(terms()))
        assert other.requests == []
    assert answer.status == 502
    assert "location" not in {name.lower() for name in answer.headers}


@asynchronous
async def test_an_upstream_that_is_not_there_is_an_error_that_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with messages_api() as api:
        nowhere = api.url
    caplog.set_level(logging.DEBUG)
    async with gateway_at(tmp_path, nowhere) as gateway:
        answer = await gateway.ask(await gateway.open(terms()))
        bill = await gateway.close()
    assert (answer.status, answer.error[0]) == (502, "api_error")
    assert (bill.usd, bill.estimated) == (0.0, False)
    assert REAL_KEY not in caplog.text


@asynchronous
async def test_the_bill_is_what_the_vendor_counted_to_the_token(tmp_path: Path) -> None:
    script = (
        Says("a", input_tokens=1234, output_tokens=56, cache_read_tokens=789),
        Says("b", input_tokens=7, cache_write_tokens=11, cache_write_hour_tokens=13, searches=2),
    )
    with messages_api(*script) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms(abilities=("web-search",)))
            await gateway.ask(door)
            await gateway.ask(door, stream=None)
            bill = await gateway.close()
    assert bill.usage == {
        "input_tokens": 1241,
        "output_tokens": 76,
        "cache_read_tokens": 789,
        "cache_write_5m_tokens": 11,
        "cache_write_1h_tokens": 13,
        "web_searches": 2,
    }
    # USD for a million tokens: 4 in, 20 out, 0.20 from the cache, 5 and 8 into it; 10 for 1,000 searches.
    cents = 1241 * 4 + 76 * 20 + 789 * 0.2 + 11 * 5 + 13 * 8 + 2 * 10_000
    assert bill.usd == pytest.approx(cents / 1e6, abs=1e-12)
    assert (bill.requests, bill.estimated) == (2, False)


@asynchronous
async def test_counting_tokens_is_forwarded_and_charged_nothing(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            answer = await gateway.ask(await gateway.open(terms()), "/v1/messages/count_tokens")
            bill = await gateway.close()
    assert answer.status == 404  # the script knows no such address: it was asked
    assert bill.requests == 0


@asynchronous
async def test_a_stream_is_read_to_its_end_when_the_session_is_killed(tmp_path: Path) -> None:
    go = threading.Event()
    with messages_api(Dawdles(Says("A long story.", input_tokens=500, output_tokens=321), go)) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            asking = asyncio.create_task(gateway.ask(door))
            await asyncio.to_thread(api.asked)
            asking.cancel()
            closing = asyncio.create_task(gateway.close())
            await asyncio.sleep(0)
            go.set()
            bill = await closing
    assert (bill.usage["input_tokens"], bill.usage["output_tokens"]) == (500, 321)
    assert not bill.estimated


@asynchronous
async def test_a_stream_that_the_vendor_breaks_is_an_estimate_not_below_what_was_served(
    tmp_path: Path,
) -> None:
    story = "I was about to say something long."
    with messages_api(BreaksOff(story)) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            with pytest.raises(Exception, match=r"payload|disconnected|reset|Connection"):
                await gateway.ask(door)
            bill = await gateway.close()
    assert bill.estimated
    assert bill.usage["input_tokens"] == 100
    assert bill.usage["output_tokens"] >= len(story) / 4


@asynchronous
async def test_an_answer_that_cannot_be_understood_is_an_estimate(tmp_path: Path) -> None:
    with messages_api(Garbles()) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            await gateway.ask(await gateway.open(terms()))
            bill = await gateway.close()
    assert bill.estimated
    assert bill.usd > 0


@asynchronous
async def test_neither_proxies_nor_cookies_come_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with messages_api(Fails(429, headers={"set-cookie": "a=b; path=/"}), Says("ok")) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            answers = [await gateway.ask(door), await gateway.ask(door)]
    assert [answer.status for answer in answers] == [429, 200]
    assert "cookie" not in {name.lower() for name in api.asked(2).headers}


@asynchronous
async def test_neither_key_nor_token_is_ever_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    script = (Says("good"), Fails(401, message=REAL_KEY), BreaksOff(), Garbles(), Fails(302))
    with messages_api(*script) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            for _ in script:
                with suppress(aiohttp.ClientError):
                    assert REAL_KEY.encode() not in (await gateway.ask(door)).body
            assert (await gateway.ask(door, headers={"x-api-key": f"{door.token}x"})).status == 401
            await gateway.close()
    assert len(api.requests) == len(script)
    assert "s1" in caplog.text
    assert REAL_KEY not in caplog.text
    assert door.token not in caplog.text


@asynchronous
async def test_a_row_is_written_before_the_request_leaves(tmp_path: Path) -> None:
    seen: list[int] = []

    def look(_: Request) -> Says:
        with reading(tmp_path) as ledger:
            seen.append(ledger.bill("s1").requests if ledger else 0)
        return Says("ok")

    with messages_api(look) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            await gateway.ask(await gateway.open(terms()))
    assert seen == [1]
