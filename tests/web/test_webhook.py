"""`POST /hooks/git` over a real server: who is believed, what is bounded, and what the engine hears of it."""

import asyncio
from pathlib import Path

import pytest

from support.run import asynchronous
from support.running import until
from support.webhooks import BODY, SECRET, SENDERS, answer, github, gitlab, head, listening, site, status
from vaultloop.web import server, webhook


@pytest.mark.parametrize("forge", SENDERS)
@asynchronous
async def test_what_a_forge_signs_rings_once_and_is_taken(tmp_path: Path, forge: str) -> None:
    sender, secret = SENDERS[forge]
    async with listening(tmp_path) as heard, site(tmp_path, secret) as port:
        assert await status(port, sender(BODY, secret)) == 202
        assert heard.rings == 1


@asynchronous
async def test_what_proves_nothing_is_refused_without_a_word_and_rings_nothing(tmp_path: Path) -> None:
    async with listening(tmp_path) as heard, site(tmp_path) as port:
        for headers in ({}, github(b"another body"), github(BODY, "another secret"), gitlab(BODY, "another")):
            assert await answer(port, head(headers), BODY) == (401, b"")
        assert heard.rings == 0


@asynchronous
async def test_a_webhook_that_is_sent_again_only_rings_again(tmp_path: Path) -> None:
    async with listening(tmp_path) as heard, site(tmp_path) as port:
        assert [await status(port, github()) for _ in range(3)] == [202] * 3
        assert heard.rings == 3


@asynchronous
async def test_a_ping_is_answered_and_rings_nothing(tmp_path: Path) -> None:
    async with listening(tmp_path) as heard, site(tmp_path) as port:
        assert await status(port, {**github(), "X-GitHub-Event": "ping"}) == 200
        # Whoever cannot prove it gets no answer to a ping either.
        assert await status(port, {**github(BODY, "another"), "X-GitHub-Event": "ping"}) == 401
        assert heard.rings == 0


@asynchronous
async def test_the_address_is_not_there_without_a_secret_and_takes_nothing_but_posts(tmp_path: Path) -> None:
    async with site(tmp_path, secret=None) as port:
        assert await status(port, github()) == 404
        assert await status(port, {}, method="GET") == 404
    async with site(tmp_path) as port:
        for method in ("GET", "PUT", "DELETE", "OPTIONS"):
            assert await status(port, github(), method=method) == 405
        assert await status(port, github(), path="/hooks/git/") == 404
        assert await status(port, github(), path="/hooks") == 404


@asynchronous
async def test_a_forge_is_told_when_the_engine_cannot_be_reached(tmp_path: Path) -> None:
    async with site(tmp_path) as port:
        assert await status(port, github()) == 503
        async with listening(tmp_path):
            assert await status(port, github()) == 202


@asynchronous
async def test_a_body_is_taken_in_chunks_and_one_beyond_the_bound_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "LARGEST_BODY", 100_000)
    largest, larger = b"x" * 100_000, b"x" * 100_001
    async with listening(tmp_path) as heard, site(tmp_path) as port:
        assert await status(port, github(largest), largest) == 202
        chunk = f"{len(largest):x}\r\n".encode() + largest + b"\r\n"
        assert (await answer(port, head(github(largest), None), chunk, b"0\r\n\r\n"))[0] == 202
        # Told by its length, or found out while it comes; what is signed rightly is no exception.
        assert (await answer(port, head(github(larger), len(larger))))[0] == 413
        assert (await answer(port, head(github(larger), None), chunk, b"1\r\nx\r\n"))[0] == 413
        assert heard.rings == 2


@asynchronous
async def test_a_body_that_never_ends_is_cut_off_and_others_are_answered_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LONGEST_CONNECTION", 0.5)
    async with listening(tmp_path) as heard, site(tmp_path) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(github()) + BODY[:10])
        assert await status(port, github()) == 202
        assert await reader.read() == b""
        writer.close()
        assert heard.rings == 1


@asynchronous
async def test_many_at_once_share_few_rings_and_the_last_ring_comes_after_the_last_request(
    tmp_path: Path,
) -> None:
    async with listening(tmp_path) as heard, site(tmp_path) as port:
        heard.may_answer.clear()
        crowd = [asyncio.create_task(status(port, github())) for _ in range(50)]
        await until(lambda: heard.rings == 1)
        late = asyncio.create_task(status(port, github()))
        # All that came while the first ring was under way wait for the one after it.
        heard.may_answer.set()
        assert set(await asyncio.gather(*crowd, late)) == {202}
        assert 2 <= heard.rings < 51


@asynchronous
async def test_whoever_asks_after_health_is_answered_while_webhooks_arrive_by_the_hundred(
    tmp_path: Path,
) -> None:
    async with listening(tmp_path) as heard, site(tmp_path) as port:
        crowd = [asyncio.create_task(status(port, github(BODY, "another"))) for _ in range(150)]
        crowd += [asyncio.create_task(status(port, github())) for _ in range(150)]
        visitors = [
            asyncio.create_task(status(port, {}, b"", method="GET", path="/healthz")) for _ in range(20)
        ]
        assert {await visitor for visitor in visitors} == {200}
        said = [await one for one in crowd]
        assert (said.count(401), said.count(202)) == (150, 150)
        assert heard.rings >= 1


@asynchronous
async def test_nothing_of_a_request_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(tmp_path), site(tmp_path) as port:
        await status(port, github())
        await status(port, gitlab(BODY, "a wrong guess"))
    assert SECRET not in caplog.text
    assert "wrong guess" not in caplog.text
    assert "refs/heads/main" not in caplog.text
