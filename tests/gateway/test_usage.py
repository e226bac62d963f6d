import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vaultloop.gateway.usage import LONGEST_LINE, Meter
from vaultloop.state.ledger import Usage

START = {
    "type": "message_start",
    "message": {"usage": {"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 30}},
}
END = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 42}}
STOP = {"type": "message_stop"}


def events(*contents: dict[str, Any]) -> bytes:
    lines = (f"event: {content['type']}\ndata: {json.dumps(content)}\n\n" for content in contents)
    return "".join(lines).encode()


def delta(index: int = 0, **content: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": content}


def metered(data: bytes, **more: Any) -> Meter:
    meter = Meter(10_000, **{"events": True, **more})
    meter.feed(data)
    meter.end()
    return meter


@given(st.lists(st.integers(1, 200)), st.text(max_size=300))
def test_figures_do_not_depend_on_where_the_stream_is_cut(cuts: list[int], text: str) -> None:
    data = events(START, {"type": "ping"}, delta(text=text), END, STOP)
    meter = Meter(10_000, events=True)
    for cut in cuts:
        meter.feed(data[:cut])
        data = data[cut:]
    meter.feed(data)
    assert meter.complete
    assert meter.usage == Usage(input_tokens=100, output_tokens=42, cache_read_tokens=30)


def test_windows_line_ends_are_read_too() -> None:
    assert metered(events(START, END, STOP).replace(b"\n", b"\r\n")).usage.output_tokens == 42


def test_before_the_vendor_has_said_anything_the_request_counts() -> None:
    meter = metered(b"")
    assert not meter.complete
    assert meter.usage.input_tokens == 5_000


@given(st.lists(st.text(min_size=1, max_size=50), min_size=1))
def test_what_broke_off_counts_with_no_less_than_was_served(texts: list[str]) -> None:
    meter = metered(events(START, *(delta(text=text) for text in texts)))
    assert not meter.complete
    # A token is at least one character.
    assert meter.usage.output_tokens >= sum(map(len, texts))
    assert meter.usage.input_tokens == 100


def test_thinking_that_is_not_shown_counts_as_the_vendor_estimates_it() -> None:
    thoughts = [delta(0, type="thinking_delta", thinking="", estimated_tokens=n) for n in (50, 500)]
    later = delta(2, type="thinking_delta", thinking="", estimated_tokens=70)
    assert metered(events(START, *thoughts, later)).usage.output_tokens == 570


def test_a_stream_that_ends_in_an_error_is_not_complete() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "later"}}
    assert not metered(events(START, delta(text="abc"), error)).complete


def test_an_answer_in_one_piece_counts_as_it_says() -> None:
    usage = {"input_tokens": 3, "output_tokens": 4, "cache_creation_input_tokens": 5}
    meter = metered(json.dumps({"usage": usage}).encode(), events=False)
    assert meter.complete
    assert meter.usage == Usage(input_tokens=3, output_tokens=4, cache_write_5m_tokens=5)


def test_an_answer_in_one_piece_that_says_nothing_counts_by_its_size() -> None:
    meter = metered(b"x" * 77, events=False)
    assert not meter.complete
    assert meter.usage.output_tokens == 77


def test_writes_to_the_cache_are_told_apart_by_how_long_they_stay() -> None:
    parts = {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}
    usage = {
        "cache_creation_input_tokens": 7,
        "cache_creation": parts,
        "server_tool_use": {"web_search_requests": 2},
    }
    meter = metered(json.dumps({"usage": usage}).encode(), events=False)
    counted = meter.usage
    assert (counted.cache_write_5m_tokens, counted.cache_write_1h_tokens, counted.web_searches) == (3, 4, 2)


def test_a_line_without_end_is_counted_and_not_kept() -> None:
    meter = Meter(10_000, events=True)
    meter.feed(b"data: " + b"x" * LONGEST_LINE)
    assert meter.usage.output_tokens > LONGEST_LINE
    meter.feed(b"\n" + events(START, END, STOP))
    assert meter.usage.output_tokens == 42


@given(st.binary(max_size=400))
def test_no_bytes_break_it(data: bytes) -> None:
    metered(events(START) + data)
    metered(data, events=False)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    (
                        "type",
                        "usage",
                        "message",
                        "delta",
                        "index",
                        "input_tokens",
                        "cache_creation",
                        "server_tool_use",
                        "estimated_tokens",
                    )
                ),
                inner
                | st.sampled_from(
                    ("message_start", "message_delta", "content_block_delta", "content_block_start")
                ),
            )
        ),
    )
)
def test_no_event_breaks_it(content: Any) -> None:
    metered(b"data: " + json.dumps(content).encode() + b"\n")
