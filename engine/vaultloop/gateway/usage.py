"""Counts what a vendor charges for, from its answers as they pass by."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vaultloop.state.ledger import Usage

# A line of an event stream is no longer (bytes): beyond that it is counted, and not understood.
LONGEST_LINE = 4 * 1024 * 1024

# At most so many tokens are in a byte of a request (1/2), and of what a model writes (1): bounds for where
# the vendor's own figures never came. Usual text has about a quarter of a token in a byte.
_BYTES_A_TOKEN_IN = 2

_DELTAS = ("text", "partial_json", "thinking", "signature")


def of_request(size: int) -> Usage:
    """What a request of `size` bytes may cost before anything is answered."""
    return Usage(input_tokens=-(-size // _BYTES_A_TOKEN_IN))


class Meter:
    """Reads one answer as it comes.

    Attributes:
        complete: the answer came to its end, and the vendor has said what it counts.
        inference_us: it was made in the United States only, which may cost more.
    """

    def __init__(self, request_size: int, *, events: bool) -> None:
        """Begin with an estimate for a request of that many bytes.

        Args:
            events: whether the answer is an event stream; otherwise it is one JSON object.
        """
        self.complete = False
        self.inference_us = False
        self._usage = of_request(request_size)
        self._events = events
        self._rest = bytearray()
        self._served = 0
        self._thought: dict[Any, int] = {}

    @property
    def usage(self) -> Usage:
        """What is counted so far: the vendor's figures once complete, until then never below what came by."""
        if self.complete:
            return self._usage
        written = self._served + sum(self._thought.values())
        return replace(self._usage, output_tokens=max(self._usage.output_tokens, written))

    def feed(self, data: bytes) -> None:
        """Take note of the next bytes of the answer."""
        self._rest += data
        if not self._events:
            return
        while (end := self._rest.find(b"\n")) >= 0:
            line = bytes(self._rest[:end])
            del self._rest[: end + 1]
            if line.startswith(b"data:"):
                self._note(line[5:])
        if len(self._rest) > LONGEST_LINE:
            self._served += len(self._rest)
            self._rest.clear()

    def end(self) -> None:
        """The answer came to an end that is one; `complete` says whether it was all there."""
        if not self._events:
            content = _parsed(bytes(self._rest))
            if content is None or not isinstance(content.get("usage"), dict):
                self._served += len(self._rest)
                return
            self._count(content["usage"])
            self.complete = True

    def _note(self, data: bytes) -> None:
        event = _parsed(data)
        if event is None:
            self._served += len(data)
            return
        match event:
            case {"type": "message_start", "message": {"usage": dict() as usage}}:
                self._count(usage)
            case {"type": "content_block_start", "content_block": dict() as block}:
                self._served += len(_text(block))
            case {"type": "content_block_delta", "delta": dict() as delta}:
                self._note_delta(event.get("index"), delta)
            case {"type": "message_delta", "usage": dict() as usage}:
                self._count(usage)
            case {"type": "message_stop"}:
                self.complete = True

    def _note_delta(self, index: Any, delta: Mapping[str, Any]) -> None:
        self._served += len(_text(delta))
        # Thinking that is not shown comes as the vendor's own running estimate for its block.
        if (thought := _whole(delta.get("estimated_tokens"))) and isinstance(index, int):
            self._thought[index] = max(thought, self._thought.get(index, 0))

    def _count(self, usage: Mapping[str, Any]) -> None:
        """Take over the figures that are there: they are cumulative, and the last ones count."""
        figures: dict[str, int] = {}
        for name, key in (
            ("input_tokens", "input_tokens"),
            ("output_tokens", "output_tokens"),
            ("cache_read_tokens", "cache_read_input_tokens"),
        ):
            if (value := _whole(usage.get(key))) is not None:
                figures[name] = value
        figures |= _cache_writes(usage)
        tools = usage.get("server_tool_use")
        if isinstance(tools, dict):
            for name, key in (("web_searches", "web_search_requests"), ("web_fetches", "web_fetch_requests")):
                if (value := _whole(tools.get(key))) is not None:
                    figures[name] = value
        self._usage = replace(self._usage, **figures)
        self.inference_us = self.inference_us or usage.get("inference_geo") == "us"


def _cache_writes(usage: Mapping[str, Any]) -> dict[str, int]:
    """What was written to the cache, by how long it stays; five minutes where that is not said."""
    total = _whole(usage.get("cache_creation_input_tokens"))
    parts = usage.get("cache_creation")
    hour = _whole(parts.get("ephemeral_1h_input_tokens")) if isinstance(parts, dict) else None
    minutes = _whole(parts.get("ephemeral_5m_input_tokens")) if isinstance(parts, dict) else None
    if total is None and hour is None and minutes is None:
        return {}
    hour = hour or 0
    minutes = max(minutes or 0, (total or 0) - hour)
    return {"cache_write_5m_tokens": minutes, "cache_write_1h_tokens": hour}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text(part: Mapping[str, Any]) -> bytes:
    """What a part of an answer says, whatever kind it is of."""
    said = "".join(value for name in _DELTAS if isinstance(value := part.get(name), str))
    return said.encode(errors="surrogatepass")


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
