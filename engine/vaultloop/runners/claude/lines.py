"""The lines that the CLI prints, as far as they have the shape in which it prints them.

Whatever it starts can write to its standard output too, so a line may be anything at all. One of another
shape says nothing to us; a result of another shape is no result.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

# Nothing that was counted is larger; beyond it no database and no sum takes a number as it is.
LARGEST = 2**53

_SHAPES: Mapping[str, type | tuple[type, ...]] = {
    "is_error": bool,
    "result": str,
    "errors": list,
    "usage": dict,
    "modelUsage": dict,
    "num_turns": int,
    "total_cost_usd": (int, float),
}
_NUMBERS = ("num_turns", "total_cost_usd")

# Escapes in JSON: whole pairs of surrogates, which are one character; what no UTF-8 text can hold, or no
# database and no command line; any other.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}"
    r"|(?P<unwritable>u[dD][89a-fA-F][\da-fA-F]{2}|u0000)|.)",
    re.DOTALL,
)


def parsed(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line, each of its texts one that can be written down; None where there is none."""
    # The result of a tool may be long, and says nothing to us.
    if line.startswith(b'{"type":"user"'):
        return {}
    try:
        value = json.loads(_ESCAPE.sub(_writable, line.decode(errors="replace")))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and text(value, "type") else None


def tools(event: Mapping[str, Any]) -> list[str] | None:
    """The tools that were used in a message of the model; None where it is no such message."""
    message = event.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return []
    if not isinstance(content, list):
        return None
    blocks = [block for block in content if isinstance(block, dict)]
    used = [text(block, "name") for block in blocks if block.get("type") == "tool_use"]
    return used if used or len(blocks) == len(content) else None


def is_result(answer: Mapping[str, Any]) -> bool:
    """Whether all that is looked at in a result line has the shape that it should have."""
    given = {name: answer[name] for name in _SHAPES if answer.get(name) is not None}
    if not all(isinstance(value, _SHAPES[name]) for name, value in given.items()):
        return False
    return all(is_count(given[name]) for name in _NUMBERS if name in given)


def is_count(value: object) -> bool:
    """Whether it is a number of something: not less than nothing, and not without end."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LARGEST


def text(event: Mapping[str, Any], name: str) -> str:
    """A field that should be a text; empty where it is none."""
    value = event.get(name)
    return value if isinstance(value, str) else ""


def _writable(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape["unwritable"] else escape[0]
