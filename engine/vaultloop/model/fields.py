"""What a frontmatter value may look like: one type for each meaning a key can have.

Notes hand in text as it was typed (and lists of text); each type here turns it into the value the engine
works with, or says what to write instead. A key has the same type in every kind.
"""

import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta
from difflib import get_close_matches
from itertools import takewhile
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from vaultloop.model.conversation import ANYONE, OWNER
from vaultloop.model.glob import normalised

_QUOTES = "“”„‟«»‘’‚‛\"'`"  # noqa: RUF001 - what phones make of quotes
_SPACES = re.compile(r"[\s\u00a0\u2000-\u200b\u202f\u2060\u3000\ufeff]+")


def wrong(
    code: str, message: str, *, cure: str = "", write: str | None = None, safe: bool = False
) -> PydanticCustomError:
    """A value that cannot be used: raise it from a validator.

    `cure` is a sentence; `write` is text that would be right in the value's place, and `safe` says that it is
    what was meant beyond doubt.
    """
    # Handed over in the context and not as a template: what people typed may contain braces.
    context = {"message": message, "cure": cure, "write": write, "safe": safe}
    return PydanticCustomError(code, "{message}", context)


def plain(value: Any) -> str:
    """Text without the spaces and typographic quotes that phones put around it."""
    if not isinstance(value, str):
        raise wrong(
            "wrong-type", "This key takes one line of text.", cure="Write a single value after the colon."
        )
    text = _SPACES.sub(" ", unicodedata.normalize("NFC", value)).strip()
    # After a quote, a comma or semicolon is a habit from other formats.
    text = text[:-1] if re.search(r"[\"'”’][;,]\Z", text) else text  # noqa: RUF001 - as above
    return text.strip(_QUOTES).strip()


def _list(value: Any) -> Any:
    """A single value is a list of one; nothing is an empty list."""
    if not isinstance(value, str):
        return value
    if re.match(r"-\s", value):
        items = (part for part in re.split(r"(?:\A|\s)-\s", value) if part.strip())
        raise wrong("bad-list", "Items on one line stand in brackets.", write=_flow(items))
    return [value] if value.strip() else []


T = TypeVar("T")
Many = Annotated[tuple[T, ...], BeforeValidator(_list)]


# Text that is taken as it stands.


def _text(value: Any) -> str:
    return unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else plain(value)


Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": ["string", "number"]})]
Texts = Many[Text]


# Time spans.

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+)([smhd])", re.ASCII)
_LONG_UNITS = {
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
}


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    text = plain(value).lower().replace(" ", "")
    if not re.fullmatch(r"(\d+[smhd])+", text, re.ASCII):
        raise _no_duration(plain(value), text)
    seconds = sum(int(count) * _UNITS[unit] for count, unit in _DURATION.findall(text))
    if not 0 <= seconds <= 366 * 86400:
        raise wrong(
            "bad-duration", f"`{text}` is longer than a year.", cure="Write a shorter time, such as `6h`."
        )
    return timedelta(seconds=seconds)


def _no_duration(typed: str, text: str) -> PydanticCustomError:
    number, unit = re.fullmatch(r"(\d*)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]  # matches all
    if number and not unit:
        return wrong("bad-duration", f"`{typed}` lacks a unit: s, m, h or d.", write=f"{number}m")
    if number and unit in _LONG_UNITS:
        write = number + _LONG_UNITS[unit]
        return wrong("bad-duration", f"`{typed}` is not a time span.", write=write, safe=True)
    return wrong(
        "bad-duration",
        f"`{typed}` is not a time span.",
        cure="Write a number and a unit: `90s`, `10m`, `6h` or `2d`.",
    )


def duration_text(span: timedelta) -> str:
    """A time span as notes write it, in the largest unit that divides it."""
    seconds = int(span.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(duration_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+[smhd])+$", "examples": ["90s", "10m", "6h"]}),
]


def _some_time(span: timedelta) -> timedelta:
    if not span:
        raise wrong("bad-duration", "There is no time left in `0`.", cure="Write a time such as `10m`.")
    return span


Timeout = Annotated[Duration, AfterValidator(_some_time)]


# Numbers.


def _usd(value: Any) -> float:
    if isinstance(value, int | float):
        return float(value)
    text = plain(value)
    bare = text.removeprefix("$").removesuffix("$").strip()
    bare = re.sub(r"\s*USD\s*", "", bare, flags=re.IGNORECASE)
    if re.fullmatch(r"\d+,\d{1,2}", bare, re.ASCII):
        raise wrong("bad-amount", f"`{text}` has a comma.", write=bare.replace(",", "."), safe=True)
    if not re.fullmatch(r"\d{1,9}(\.\d+)?|\.\d+", bare, re.ASCII):
        raise wrong(
            "bad-amount", f"`{text}` is not an amount of US dollars.", cure="Write a number such as `0.50`."
        )
    amount = float(bare)
    assert math.isfinite(amount)
    return amount


Usd = Annotated[
    float,
    BeforeValidator(_usd),
    WithJsonSchema({"type": ["number", "string"], "minimum": 0, "examples": [0.5]}),
]


def _count(value: Any) -> int:
    if isinstance(value, int):
        return value
    text = plain(value)
    grouped = re.sub(r"(?<=\d)[ _.,'](?=\d{3}(?!\d))", "", text)
    if grouped != text and re.fullmatch(r"\d+", grouped, re.ASCII):
        raise wrong("bad-number", f"`{text}` is not a plain number.", write=grouped)
    if thousands := re.fullmatch(r"(\d{1,6})(?:[.,](\d))?\s*k", text, re.ASCII | re.IGNORECASE):
        exact = int(thousands[1]) * 1000 + int(thousands[2] or 0) * 100
        raise wrong("bad-number", f"`{text}` is not a plain number.", write=str(exact), safe=True)
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise wrong("bad-number", f"`{text}` is not a whole number.", cure="Write digits only, such as `2`.")
    return int(text)


def _positive(value: int) -> int:
    if value < 1:
        raise wrong("bad-number", "`0` is too few.", cure="Write a number from 1 on.")
    return value


_COUNT_SCHEMA = {"type": ["integer", "string"]}
Count = Annotated[int, BeforeValidator(_count), WithJsonSchema({**_COUNT_SCHEMA, "minimum": 0})]
Positive = Annotated[
    int, BeforeValidator(_count), AfterValidator(_positive), WithJsonSchema({**_COUNT_SCHEMA, "minimum": 1})
]


# People and chats.

_ID = re.compile(r"-?\d+", re.ASCII)
_WORDS = (OWNER, ANYONE)


def is_id(text: str) -> bool:
    """Whether `text` is an id as a channel reports it, rather than a name or a word."""
    return _ID.fullmatch(text) is not None


def _id(value: Any) -> str:
    text = plain(value).replace("\u2212", "-").replace("\u2013", "-")
    first, _, label = text.partition(" ")
    if is_id(first) or first in _WORDS:
        return first
    if first.lower() in _WORDS:
        raise wrong("bad-id", f"`{first}` is written in small letters.", write=first.lower())
    raise _no_id(text, first, label)


def _no_id(text: str, first: str, label: str) -> PydanticCustomError:
    numbers = re.findall(r"-?\d{5,}", text)
    if len(numbers) > 1 or "," in text:
        parts = ", ".join(f'"{part.strip()}"' for part in text.split(","))
        return wrong("bad-id", f"`{text}` is more than one id.", write=f"[{parts}]")
    if len(numbers) == 1:
        rest = text.replace(numbers[0], "").strip(" -:#()@")
        return wrong(
            "bad-id",
            f"`{text}` does not begin with its id.",
            write=f'"{numbers[0]} {rest}"'.replace(' "', '"'),
        )
    if near := get_close_matches(first.lower(), _WORDS, n=1, cutoff=0.7):
        return wrong("bad-id", f"`{text}` is not an id.", write=near[0])
    del label
    return wrong(
        "bad-id",
        f"`{text}` is a name; names can be taken over by others, so the numeric id is needed.",
        cure="Write the id and, after a space, the name as a label: `123456789 " + first.lstrip("@") + "`.",
    )


Id = Annotated[str, BeforeValidator(_id), WithJsonSchema({"type": ["string", "integer"]})]
Ids = Many[Id]


# Paths.


def _glob(value: Any, *, one_of_many: bool = True) -> str:
    text = plain(value)
    if text.startswith("[["):
        path = link_path(text)
        raise wrong("bad-glob", f"`{text}` is a link; here a path is meant.", write=_file(path))
    if one_of_many and ", " in text:
        paths = text.strip("(){}").split(",")
        raise wrong("bad-glob", f"`{text}` looks like several paths.", write=_flow(paths))
    if "\\" in text:
        # Before a space it is what a shell wants there, and no part of the path.
        write = f'"{text.replace(chr(92) + " ", " ").replace(chr(92), "/")}"'
        raise wrong("bad-glob", "Paths in a vault use `/`.", write=write)
    pattern = normalised(text.removeprefix("./"))
    if not pattern:
        raise wrong(
            "bad-glob", "This path is empty.", cure='Write `"**"` for the whole vault, or delete this line.'
        )
    if ".." in pattern.split("/") or re.match(r"[A-Za-z]:/|~", pattern):
        raise wrong(
            "bad-glob", f"`{text}` leads out of the vault.", cure="Write a path from the vault's top folder."
        )
    return pattern


def _flow(parts: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{part.strip()}"' for part in parts) + "]"


def _file(path: str) -> str:
    return f'"{path}"' if path.lower().endswith(".md") else f'"{path}.md"'


Glob = Annotated[str, BeforeValidator(_glob)]
Globs = Many[Glob]


def _path(value: Any) -> str:
    path = _glob(value, one_of_many=False)
    if "*" not in path and "?" not in path:
        return path
    above = "/".join(takewhile(lambda part: not re.search(r"[*?]", part), path.split("/")))
    message = f"`{path}` is a pattern; here one note or folder is meant."
    cure = "Write the path of a note or folder."
    raise wrong("bad-path", message, cure=cure, write=f'"{above}"' if above else None)


Path = Annotated[str, BeforeValidator(_path), WithJsonSchema({"type": "string", "examples": ["Memory.md"]})]


# References to other notes.

_WIKILINK = re.compile(r"!?\[\[([^\[\]]*)\]\]")
_MARKDOWN_LINK = re.compile(
    r"""!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]   # a label, which may hold brackets
        \(<?([^()<>]+?)>?(?:\s+(?:"[^"]*"|'[^']*'))?\)""",
    re.VERBOSE,
)


def link_path(text: str) -> str:
    """The path inside a link of any form that Obsidian writes: without label, heading and block."""
    if link := _WIKILINK.fullmatch(text):
        text = link[1]
    elif link := _MARKDOWN_LINK.fullmatch(text):
        text = unquote(link[1])
    # A table cell escapes the bar of a label.
    path = re.split(r"\\?\||#|\^", text, maxsplit=1)[0]
    return normalised(path.strip())


def _reference(value: Any) -> str:
    text = plain(value)
    if len(links := _WIKILINK.findall(text)) > 1:
        cure = f'Write one of them, such as `"[[{links[0]}]]"`.'
        raise wrong("bad-reference", f"`{text}` names several notes; here one is meant.", cure=cure)
    name = link_path(text).rsplit("/", 1)[-1]
    name = name[:-3] if name.lower().endswith(".md") else name
    if not name.strip():
        raise wrong(
            "bad-reference",
            f"`{text}` names no note.",
            cure='Write the note\'s name as a link: `"[[name]]"`.',
        )
    return name.strip()


def _references(value: Any) -> Any:
    # Several links on one line are what autocompletion in Obsidian makes of a text property.
    if isinstance(value, str) and len(links := _WIKILINK.findall(value)) > 1:
        return [f"[[{link}]]" for link in links]
    return _list(value)


Name = Annotated[str, BeforeValidator(_reference)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_references)]


def _recipient(value: Any) -> str:
    text = plain(value)
    if text.startswith("["):
        return _reference(text)
    first = text.partition(" ")[0].replace("\u2212", "-")
    return first if is_id(first) else _reference(text)


Recipient = Annotated[str, BeforeValidator(_recipient), WithJsonSchema({"type": ["string", "integer"]})]
Recipients = Annotated[tuple[Recipient, ...], BeforeValidator(_references)]


# Clocks.


def _timezone(value: Any) -> str:
    text = plain(value)
    try:
        return ZoneInfo(text).key
    except (KeyError, ValueError, OSError):  # OSError: a folder of the database, such as `Europe`
        raise _no_timezone(text) from None


def _no_timezone(text: str) -> PydanticCustomError:
    named: dict[str, list[str]] = {}
    for zone in sorted(available_timezones()):
        for name in dict.fromkeys((zone.lower(), zone.rsplit("/", 1)[-1].lower())):
            named.setdefault(name, []).append(zone)
    sought = text.lower().replace(" ", "_")
    near = get_close_matches(sought, named, n=1, cutoff=0.75)
    message = f"There is no timezone `{text}`."
    if not near or re.search(r"\d", text):
        cure = "Write a continent and a city, such as `Europe/Berlin`, or `UTC`."
        return wrong("unknown-timezone", message, cure=cure)
    zones = named[near[0]]
    if len(zones) > 1:
        cure = f"Write one of {', '.join(f'`{zone}`' for zone in zones)}."
        return wrong("unknown-timezone", message, cure=cure)
    # A city's name alone is no guess; a likeness among six hundred names is.
    safe = near[0] == sought and (sought == zones[0].lower() or _names_a_city(zones[0]))
    return wrong("unknown-timezone", message, write=zones[0], safe=safe)


_CONTINENTS = frozenset(
    ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
)
# Parts of Australia by older names, which say nothing without the continent.
_REGIONS = frozenset(("ACT", "LHI", "NSW", "North", "Queensland", "South", "Tasmania", "Victoria", "West"))


def _names_a_city(zone: str) -> bool:
    """Whether a timezone's last part is a city that needs no country beside it."""
    continent, *below = zone.split("/")
    return continent in _CONTINENTS and len(below) == 1 and below[0] not in _REGIONS


Timezone = Annotated[
    str, BeforeValidator(_timezone), WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]})
]


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    text = plain(value)
    if not re.match(r"\d{4}-\d{2}-\d{2}[T ]\d{1,2}:\d{2}", text, re.ASCII):
        day = re.match(r"\d{4}-\d{2}-\d{2}\Z", text, re.ASCII)
        raise wrong(
            "bad-time",
            f"`{text}` is not a date and a time.",
            cure="" if day else "Write year, month, day and time: `2026-11-22 09:00`.",
            write=f"{text} 09:00" if day else None,
        )
    try:
        return datetime.fromisoformat(re.sub(r"([T ])(\d):", r"\g<1>0\2:", text))
    except ValueError:
        raise wrong(
            "impossible-date",
            f"No calendar or clock shows `{text}`.",
            cure="Write a day that the month has, and a time up to 23:59.",
        ) from None


Moment = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "examples": ["2026-11-22 09:00"]})
]
