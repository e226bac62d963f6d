"""Whether a request to a model's API has the shape that a session may send.

Everything is on a list: what is not known here might make the vendor run, fetch or keep something for the
session, or cost what nobody counts.
"""

import json
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
    try:
        content = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise malformed("The body is not JSON.") from None
    if not isinstance(content, dict):
        raise malformed("The body is not a JSON object.")
    _Check(upstream, terms).body(content)
    return ModelRequest(content["model"], _written(content), content.get("stream") is True)


def _no_number(name: str) -> object:
    raise ValueError(name)


def _written(content: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # Half a character, as JavaScript makes it when it cuts a text: it has no other form than this.
        return json.dumps(content, separators=(",", ":")).encode()


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
