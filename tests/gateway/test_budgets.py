"""Budgets at real doors; every answer of the script costs 0.0008 USD unless it says otherwise."""

import asyncio
import itertools
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.gateway_at import NOON, Gateway, gateway_at, terms
from support.messages_api import Dawdles, MessagesApi, Request, Says, messages_api
from support.run import asynchronous
from vaultloop.gateway.account import MOST_UNDER_WAY
from vaultloop.gateway.terms import Terms, nano
from vaultloop.state.ledger import FILE_NAME, NANO, Ledger
from vaultloop.state.period import Period

# 100 tokens in at 4 USD and 20 out at 20 USD for a million.
ONE = 800_000


DAY = "for this day (budget-usd-per-day). It begins anew at 2026-11-23 00:00 (Europe/Berlin)."
MONTH = "for this month (budget-usd-per-month). It begins anew at 2026-12-01 00:00 (Europe/Berlin)."
SPENT = "spent 0.0016 of 0.0012 USD"


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("run", "This run has spent 0.0016 of the 0.0012 USD that it may (budget-usd-per-run)."),
        ("scope_day", f"Scope finance has {SPENT} {DAY}"),
        ("scope_month", f"Scope finance has {SPENT} {MONTH}"),
        ("total_day", f"All sessions together have {SPENT} {DAY}"),
        ("total_month", f"All sessions together have {SPENT} {MONTH}"),
    ],
)
@asynchronous
async def test_once_a_budget_is_spent_nothing_more_is_forwarded(
    tmp_path: Path, limit: str, words: str
) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            limits: dict[str, Any] = {limit: ONE * 3 // 2}
            door = await gateway.open(terms(timezone="Europe/Berlin", **limits))
            answers = [await gateway.ask(door) for _ in range(4)]
            bill = await gateway.close()
    assert [answer.status for answer in answers] == [200, 200, 402, 402]
    assert answers[2].error == ("billing_error", words)
    assert bill.refused == words
    assert (bill.usd, bill.requests, len(api.requests)) == (0.0016, 2, 2)


@asynchronous
async def test_a_budget_of_nothing_allows_nothing(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            answer = await gateway.ask(await gateway.open(terms(run=0)))
    assert answer.status == 402
    assert api.requests == []


@asynchronous
async def test_a_budget_begins_anew_at_midnight_of_its_timezone(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms(timezone="Europe/Berlin", scope_day=ONE))
            # It is noon in UTC: 11 hours are left in Berlin.
            statuses = [(await gateway.ask(door)).status, (await gateway.ask(door)).status]
            await gateway.clock.advance(11 * 3600 - 1)
            statuses.append((await gateway.ask(door)).status)
            await gateway.clock.advance(1)
            statuses.append((await gateway.ask(door)).status)
    assert statuses == [200, 402, 402, 200]


@asynchronous
async def test_a_budget_of_a_scope_binds_its_sessions_and_no_others(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            one = await gateway.open(terms("s1", scope_day=ONE))
            same = await gateway.open(terms("s2", scope_day=ONE))
            other = await gateway.open(terms("s3", scope="health", scope_day=ONE))
            statuses = [(await gateway.ask(door)).status for door in (one, same, other)]
    assert statuses == [200, 402, 200]


@asynchronous
async def test_another_run_of_the_same_session_has_a_budget_of_its_own(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            bills = []
            for _ in range(2):
                door = await gateway.open(terms(run=ONE))
                assert (await gateway.ask(door)).status == 200
                assert (await gateway.ask(door)).status == 402
                bills.append(await gateway.close())
    assert [bill.requests for bill in bills] == [1, 1]


@asynchronous
async def test_what_was_spent_before_a_restart_counts(tmp_path: Path) -> None:
    with messages_api() as api:
        for expected in (200, 402):
            async with gateway_at(tmp_path, api.url) as gateway:
                answer = await gateway.ask(await gateway.open(terms(total_month=ONE)))
                assert answer.status == expected


@asynchronous
async def test_where_nearly_all_is_spent_requests_go_one_after_the_other(tmp_path: Path) -> None:
    go = threading.Event()
    gone_when_asked: list[bool] = []

    def second(_: Request) -> Says:
        gone_when_asked.append(go.is_set())
        return Says("second")

    nearly = Says("most of it", input_tokens=900)  # 0.004 of 0.0044 USD
    with messages_api(nearly, Dawdles(Says("first"), go), second) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            doors = [await gateway.open(terms(f"s{n}", scope_day=nano(0.0044))) for n in range(3)]
            await gateway.ask(doors[0])
            asking = [asyncio.create_task(gateway.ask(door)) for door in doors[1:]]
            await asyncio.to_thread(api.asked, 2)
            # The other one has come to the gateway by the time that it has answered somebody else.
            assert (await gateway.ask(doors[0], model="another")).status == 403
            go.set()
            statuses = sorted([(await answer).status for answer in asking])
    # By the first of the two it is spent: the one that had to wait is refused.
    assert statuses == [200, 402]
    assert gone_when_asked == []


@asynchronous
async def test_while_there_is_enough_requests_go_side_by_side(tmp_path: Path) -> None:
    go = threading.Event()
    with messages_api(Dawdles(Says("slow"), go)) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            doors = [await gateway.open(terms(f"s{n}", scope_day=NANO)) for n in range(2)]
            asking = [asyncio.create_task(gateway.ask(door)) for door in doors]
            await asyncio.to_thread(api.asked, 2)
            go.set()
            assert [(await answer).status for answer in asking] == [200, 200]


@asynchronous
async def test_of_one_session_four_requests_are_under_way_at_most(tmp_path: Path) -> None:
    go = threading.Event()
    gone_when_asked: list[bool] = []

    def fifth(_: Request) -> Says:
        gone_when_asked.append(go.is_set())
        return Says("fifth")

    slow = Dawdles(Says("slow"), go)
    with messages_api(*[slow] * MOST_UNDER_WAY, fifth) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            asking = [asyncio.create_task(gateway.ask(door)) for _ in range(MOST_UNDER_WAY + 1)]
            await asyncio.to_thread(api.asked, MOST_UNDER_WAY)
            assert (await gateway.ask(door, model="another")).status == 403
            go.set()
            assert {(await answer).status for answer in asking} == {200}
    assert gone_when_asked == [True]


@asynchronous
async def test_the_ledger_has_what_was_served_to_sessions_that_are_killed(tmp_path: Path) -> None:
    go = threading.Event()
    script = [Dawdles(Says(f"answer {n}", input_tokens=100 + n, output_tokens=n), go) for n in range(15)]
    with messages_api(*script) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            doors = [await gateway.open(terms(f"s{n}")) for n in range(5)]
            asking = [asyncio.create_task(gateway.ask(door)) for door in doors * 3]
            await asyncio.to_thread(api.asked, len(script))
            for killed in asking[:8]:
                killed.cancel()
            await asyncio.gather(*asking[:8], return_exceptions=True)
            bills_of_all = asyncio.gather(*(gateway.close(f"s{n}") for n in range(5)))
            go.set()
            bills = await bills_of_all
            await asyncio.gather(*asking, return_exceptions=True)
    assert not any(bill.estimated for bill in bills)
    assert len(api.billed) == len(script)
    assert sum(bill.usage["input_tokens"] for bill in bills) == sum(s.input_tokens for s in api.billed)
    assert sum(bill.usage.get("output_tokens", 0) for bill in bills) == sum(range(len(script)))


@asynchronous
async def test_what_cannot_be_written_down_is_not_forwarded(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door, limited = await gateway.open(terms()), await gateway.open(terms("s2", total_day=NANO))
            with closing(sqlite3.connect(tmp_path / FILE_NAME)) as ledger:
                ledger.execute("ALTER TABLE requests RENAME TO away")
                refused = [(await gateway.ask(door)).status for door in (door, limited)]
                ledger.execute("ALTER TABLE away RENAME TO requests")
            forwarded = await gateway.ask(door)
    assert (refused, forwarded.status) == ([502, 502], 200)
    assert len(api.requests) == 1


@asynchronous
async def test_a_door_that_closes_drops_who_waits_for_a_turn(tmp_path: Path) -> None:
    go = threading.Event()
    with messages_api(Says("most of it", input_tokens=900), Dawdles(Says("first"), go)) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            limit = nano(0.0044)
            doors = [await gateway.open(terms(f"s{n}", scope_day=limit)) for n in range(2)]
            await gateway.ask(doors[0])
            first = asyncio.create_task(gateway.ask(doors[0]))
            await asyncio.to_thread(api.asked, 2)
            waits = asyncio.create_task(gateway.ask(doors[1]))
            assert (await gateway.ask(doors[1], model="another")).status == 403
            bill = await gateway.close("s1")
            go.set()
            assert (await first).status == 200
            with pytest.raises(Exception, match=r"isconnected|reset"):
                await waits
    assert bill.requests == 0
    assert len(api.requests) == 2


@asynchronous
async def test_over_parallel_sessions_a_budget_is_overshot_by_what_is_under_way_at_most(
    tmp_path: Path,
) -> None:
    sessions, each, limit = 5, 6, 10
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            statuses = await _race(gateway, sessions, each, total_day=ONE * limit)
        _check_ledger(tmp_path, api)
    served = statuses.count(200)
    assert limit <= served < limit + sessions
    assert statuses.count(402) == sessions * each - served


async def _race(gateway: Gateway, sessions: int, each: int, **limits: Any) -> list[int]:
    """What sessions get that all ask at once, each one request after the other."""

    async def ask(session: str) -> list[int]:
        door = await gateway.open(terms(session, scope=f"scope of {session}", **limits))
        return [(await gateway.ask(door)).status for _ in range(each)]

    got = await asyncio.gather(*(ask(f"s{n}") for n in range(sessions)))
    return list(itertools.chain.from_iterable(got))


def _check_ledger(state: Path, api: MessagesApi) -> None:
    """It has what the vendor has charged, to the token."""
    with Ledger(state / FILE_NAME) as ledger:
        bills = [ledger.bill(f"s{n}") for n in range(5)]
        assert ledger.spent(Period.DAY, NOON, "UTC") == ONE * len(api.billed)
    assert sum(bill.usage["input_tokens"] for bill in bills) == sum(s.input_tokens for s in api.billed)
    assert sum(bill.usage["output_tokens"] for bill in bills) == sum(s.output_tokens for s in api.billed)


@asynchronous
async def test_a_model_of_unknown_price_is_refused_under_a_budget_and_booked_without_one(
    tmp_path: Path,
) -> None:
    unknown: dict[str, Any] = {"models": ("claude-unheard-of",)}
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            limited = await gateway.open(terms("s1", total_month=NANO, **unknown))
            free = await gateway.open(terms("s2", **unknown))
            refused = await gateway.ask(limited, model="claude-unheard-of")
            forwarded = await gateway.ask(free, model="claude-unheard-of")
            bill = await gateway.close("s2")
    assert (refused.status, forwarded.status) == (403, 200)
    assert "costs is not known" in refused.error[1]
    assert (bill.usd, bill.requests, bill.usage["input_tokens"]) == (0.0, 1, 100)


def test_terms_survive_the_way_to_the_gateway() -> None:
    given = terms(hosts=("example.org",), abilities=("web-fetch",), run=nano(0.1), total_day=nano(2.5))
    assert Terms.from_json(given.to_json()) == given
    assert (given.run, given.total_day) == (100_000_000, 2_500_000_000)
