"""Whether a request to a model's API has the shape that a session may send.

Everything is on a list: what is not known here might make the vendor run, fetch or keep something for the
session, or cost what nobody counts.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vaultloop.gateway.refusal import Refusal, forbidden, malformed
from vaultloop.gateway.terms import Terms
from vaultloop.gateway.upstreams import Opened, Upstream, listed

# A tool of the session's own says nothing, or this, for its type.
_OWN = (None, "custom")

# How deep a conversation's content may be nested; what the vendor takes is much flatter.
DEEPEST = 16

# How many values a body may have: lists, objects, keys, texts, numbers. A conversation has some thousands,
# and its tools some thousands more; each takes up to 200 bytes of memory here, however short it is written.
MOST_VALUES = 250_000

_MOST_DIGITS = 100

# What begins or separates values, where it does not stand in a text.
_SIGNS = (b"{", b"[", b":", b",")

# A piece of a text in JSON. Pieces, because nothing else runs in this process while one is looked for.
_PIECE = re.compile(rb'(?:[^"\\]++|\\.){0,4096}+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request that may be forwarded.

    Attributes:
        body: written anew from what was understood, so that nobody can understand it differently.
        streams: whether an event stream is asked for.
    """

    model: str
    body: bytes
    streams: bool


def understood(data: bytes, upstream: Upstream, terms: Terms) -> ModelRequest:
    """The request in a body.

    Raises:
        Refusal: it is malformed, or something in it is not allowed to this session; says what.
    """
    if _is_crowded(data):
        raise Refusal(413, "request_too_large", f"The body has more than {MOST_VALUES} values.")
    try:
        # UTF-8 and nothing else: in another encoding the signs that were counted mean something else.
        content = json.loads(data.decode(), parse_constant=_no_number, parse_int=_whole)
    except (ValueError, RecursionError):
        raise malformed("The body is not JSON.") from None
    if not isinstance(content, dict):
        raise malformed("The body is not a JSON object.")
    _Check(upstream, terms).body(content)
    return ModelRequest(content["model"], _written(content), content.get("stream") is True)


def _no_number(name: str) -> object:
    raise ValueError(name)


def _whole(digits: str) -> int:
    # The time to read one grows with the square of its length, and nobody needs a long one.
    if len(digits) > _MOST_DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def _is_crowded(data: bytes) -> bool:
    """Whether a body has more values than are read."""
    # In most bodies there are few signs even with those that stand in texts.
    return sum(map(data.count, _SIGNS)) > MOST_VALUES and _values(data) > MOST_VALUES


def _values(data: bytes) -> int:
    """About how many values there are, whatever their texts say; it counts no further than to too many."""
    count, at = 0, 0
    while count <= MOST_VALUES and (quote := data.find(b'"', at)) >= 0:
        count += 1 + sum(data.count(sign, at, quote) for sign in _SIGNS)
        at = _after_text(data, quote + 1)
    return count + sum(data.count(sign, at) for sign in _SIGNS)


def _after_text(data: bytes, at: int) -> int:
    """Where what follows a text begins, whose first character is at `at`."""
    while (piece := _PIECE.match(data, at)) and piece.end() > at:
        at = piece.end()
    return at + 1


def _written(content: Mapping[str, Any]) -> bytes:
    try:
        return _json(content, ensure_ascii=False)
    except UnicodeEncodeError:
        # Half a character, as JavaScript makes it when it cuts a text: it has no other form than this.
        return _json(content, ensure_ascii=True)


def _json(content: Mapping[str, Any], *, ensure_ascii: bool) -> bytes:
    try:
        return json.dumps(content, ensure_ascii=ensure_ascii, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        raise
    except ValueError:
        raise malformed("The body holds a number that is too large.") from None
    except RecursionError:
        # What is read at a depth is not always written at it.
        raise malformed("The body is nested too deeply.") from None


class _Check:
    def __init__(self, upstream: Upstream, terms: Terms) -> None:
        self._may = upstream.requests
        self._terms = terms
        self._opened: Opened = upstream.opened(terms.abilities)
        self._abilities = upstream.abilities

    def body(self, content: Mapping[str, Any]) -> None:
        self._keys(content, self._may.keys, "the request")
        model = content.get("model")
        if not isinstance(model, str) or model not in self._terms.models:
            granted = ", ".join(self._terms.models) or "none"
            raise forbidden(f"Model {_shown(model)} is not granted to this session; granted: {granted}.")
        if not isinstance(content.get("stream", False), bool):
            raise malformed("`stream` is neither true nor false.")
        for tool in _objects(content.get("tools"), "tools"):
            self._tool(tool)
        self._context_management(content.get("context_management"))
        system = content.get("system")
        if not isinstance(system, str | None):
            for block in _objects(system, "system"):
                if block.get("type") != "text":
                    raise forbidden(f"`system` holds {_shown(block.get('type'))}; only text is forwarded.")
        for message in _objects(content.get("messages"), "messages"):
            self._keys(message, self._may.message_keys, "a message")
            self._content(message.get("content"), 0)

    def _keys(self, content: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        for key in content:
            if key not in known:
                raise forbidden(f"`{_shown(key)}` in {where} is not forwarded.")

    def _tool(self, tool: Mapping[str, Any]) -> None:
        kind = tool.get("type")
        if kind in _OWN:
            self._keys(tool, self._may.tool_keys, "a tool")
        elif not isinstance(kind, str) or not listed(kind, self._opened.tools):
            raise forbidden(
                f"The vendor's tool {_shown(kind)} is not granted to this scope.{self._cure(kind)}"
            )

    def _cure(self, kind: object) -> str:
        """Which ability would open it, if one does."""
        for name, opened in self._abilities.items():
            if isinstance(kind, str) and listed(kind, opened.tools):
                return f" The ability {name} grants it."
        return ""

    def _context_management(self, content: object) -> None:
        if content is None:
            return
        if not isinstance(content, dict):
            raise malformed("`context_management` is not an object.")
        self._keys(content, ("edits",), "`context_management`")
        for edit in _objects(content.get("edits"), "edits"):
            if not listed(str(edit.get("type")), self._may.context_edits):
                raise forbidden(f"The edit {_shown(edit.get('type'))} of the context is not forwarded.")

    def _content(self, content: object, depth: int) -> None:
        """What a message, or a part of one, consists of: text, or a list of blocks."""
        if isinstance(content, str | None):
            return
        if depth > DEEPEST:
            raise malformed("The conversation is nested too deeply.")
        for block in _objects(content, "content"):
            self._block(block, depth)

    def _block(self, block: Mapping[str, Any], depth: int) -> None:
        kind = block.get("type")
        if kind in self._opened.blocks:
            if kind == "server_tool_use" and block.get("name") not in self._opened.tool_names:
                raise forbidden(
                    f"The vendor's tool {_shown(block.get('name'))} is not granted to this scope."
                )
            # What the vendor itself has answered before: it comes encrypted, and nothing is fetched for it.
            return
        if kind not in self._may.blocks:
            raise forbidden(f"Content of type {_shown(kind)} is not forwarded for this scope.")
        match kind:
            case "tool_use":
                return
            case "tool_addition" | "tool_removal":
                self._tool_change(block.get("tool"))
            case "search_result":
                # Its source is a name for people.
                self._content(block.get("content"), depth + 1)
            case _:
                self._source(block.get("source"), depth)
                self._content(block.get("content"), depth + 1)

    def _tool_change(self, tool: object) -> None:
        if not isinstance(tool, dict):
            raise malformed("`tool` is not an object.")
        match tool.get("type"):
            case "tool_reference":
                return
            case "tool_definition" if isinstance(tool.get("definition"), dict):
                self._tool(tool["definition"])
            case kind:
                raise forbidden(f"A change of tools by {_shown(kind)} is not forwarded.")

    def _source(self, source: object, depth: int) -> None:
        """Where a document or an image comes from: out of the request itself, unless it may be fetched."""
        if source is None:
            return
        if not isinstance(source, dict):
            raise malformed("`source` is not an object.")
        kind = source.get("type")
        if kind not in self._may.sources and kind not in self._opened.sources:
            raise forbidden(f"Content from a source of type {_shown(kind)} is not forwarded for this scope.")
        self._content(source.get("content"), depth + 1)


def _objects(value: object, where: str) -> Iterator[Mapping[str, Any]]:
    """The objects in a list; nothing where there is no list.

    Raises:
        Refusal: it is no list of objects.
    """
    if value is None:
        return
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise malformed(f"`{where}` is not a list of objects.")
    yield from value


def _shown(value: object) -> str:
    """A piece of a request as it may stand in a message: short, and on one line."""
    return repr(value)[:60] if not isinstance(value, str) else value.encode("ascii", "replace").decode()[:60]


def query_allowed(query: str, upstream: Upstream) -> bool:
    """Whether this is a query that a path may be asked with."""
    return query in upstream.requests.queries


def betas(header: str, upstream: Upstream, terms: Terms, credential_beta: str) -> str:
    """The unfinished features that a request asks for, as they go out with the real credential.

    Raises:
        Refusal: one of them is not forwarded.
    """
    asked = [name for part in header.split(",") if (name := part.strip())]
    # Which credential is sent is not for the session to say.
    asked = [name for name in asked if name != upstream.oauth_token.beta]
    known = (*upstream.requests.betas, *upstream.opened(terms.abilities).betas)
    for name in asked:
        if not listed(name, known):
            raise Refusal(403, "permission_error", f"The beta feature {_shown(name)} is not forwarded.")
    return ",".join([*asked, *([credential_beta] if credential_beta else [])])
