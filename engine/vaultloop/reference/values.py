"""What a field takes, in the words of somebody who writes notes."""

import types
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.json_schema import WithJsonSchema

from vaultloop.model import fields
from vaultloop.model.resource import Inherited, Reference

# Marks that say where a value comes from or leads to, not what it looks like.
_MARKS = (Inherited, Reference)


@dataclass(frozen=True, slots=True)
class Value:
    """One way to write a value.

    Attributes:
        form: its type in `model.fields`.
        name, plural: what it is called.
        examples: texts that are taken, as they stand in a note.
        problems: codes of what can be wrong with it.
        meaning: what is worth knowing about it.
    """

    form: Any
    name: str
    plural: str
    examples: tuple[str, ...]
    problems: tuple[str, ...]
    meaning: str


VALUES = (
    Value(
        fields.Text,
        "text",
        "texts",
        examples=("Sums up the week", '"Report: weekly"'),
        problems=(),
        meaning="One line, as it stands.",
    ),
    Value(
        fields.Duration,
        "duration",
        "durations",
        examples=("90s", "10m", "6h", "2d", "1h30m"),
        problems=("bad-duration",),
        meaning="Seconds, minutes, hours, days; a year at most.",
    ),
    Value(
        fields.Count,
        "number",
        "numbers",
        examples=("0", "2"),
        problems=("bad-number",),
        meaning="A whole number, digits only.",
    ),
    Value(
        fields.Positive,
        "number from 1",
        "numbers from 1",
        examples=("1", "2000"),
        problems=("bad-number",),
        meaning="A whole number above 0.",
    ),
    Value(
        fields.Usd,
        "amount",
        "amounts",
        examples=("0.50", "$2", "3 USD"),
        problems=("bad-amount",),
        meaning="US dollars, with a point before the cents.",
    ),
    Value(
        fields.Id,
        "id",
        "ids",
        examples=("123456789", '"-1001234567890 Finances"', "owner"),
        problems=("bad-id",),
        meaning="The number that the messenger gives a person or chat; what follows a space is a label for "
        "you. A group's begins with a minus. `owner` is you; `anyone`, for people only, is everybody.",
    ),
    Value(
        fields.Glob,
        "path",
        "paths",
        examples=("Projects", '"Journal/2026-*.md"', '"**"'),
        problems=("bad-glob",),
        meaning="From the vault's top folder, with `/`. A folder means all below it, `*` any name, `**` any "
        "depth.",
    ),
    Value(
        fields.Path,
        "note or folder",
        "notes or folders",
        examples=("Memory.md", "Archive/Memory"),
        problems=("bad-glob", "bad-path"),
        meaning="Its path from the vault's top folder, without `*`.",
    ),
    Value(
        fields.Name,
        "link",
        "links",
        examples=('"[[finance]]"', '"[[agent/scopes/finance|Finance]]"', "finance"),
        problems=("bad-reference", "missing-reference"),
        meaning="A link in any form that Obsidian writes, or the note's plain name; letter case does not "
        "matter.",
    ),
    Value(
        fields.Recipient,
        "recipient",
        "recipients",
        examples=("owner", '"-1001234567890 Family"', '"[[family]]"'),
        problems=("bad-reference", "missing-reference"),
        meaning="A chat's id, `owner` for your private chat, or a link to a scope, which means its chats.",
    ),
    Value(
        fields.Timezone,
        "time zone",
        "time zones",
        examples=("Europe/Berlin", "UTC"),
        problems=("unknown-timezone",),
        meaning="Continent and city, so that summer time is known.",
    ),
    Value(
        fields.Moment,
        "day and time",
        "days and times",
        examples=("2026-11-22 09:00", "2026-11-22T09:00"),
        problems=("bad-time", "impossible-date"),
        meaning="Year, month, day, hour and minute.",
    ),
)


def words(hint: Any, *, home: str = "") -> str:
    """What a field of this type takes, in Markdown; `home` is the page whose values are linked to.

    `hint` is the field's type with all that is annotated to it.
    """
    core, notes = _peeled(hint)
    reference = next((note for note in notes if isinstance(note, Reference)), None)
    several = get_origin(core) is tuple
    inner = get_args(core)[0] if several else hint
    if reference is not None:
        return _reference(reference, several=several)
    if several:
        return f"list of {_words(inner, home, several=True)}"
    return _words(inner, home, several=False)


def problems(hint: Any) -> tuple[str, ...]:
    """Codes of what can be wrong with a value of this type, as such."""
    core, notes = _peeled(hint)
    if get_origin(core) is tuple:
        return problems(get_args(core)[0])
    if choices(hint):
        return ("bad-choice",)
    if core is bool:
        return ("bad-flag",)
    value = _value(core, notes)
    return () if value is None else value.problems


def choices(hint: Any) -> tuple[str, ...]:
    """The words that are allowed, for a field that takes one of a few, or a list of them."""
    core, _ = _peeled(hint)
    if get_origin(core) is Literal:
        return tuple(str(choice) for choice in get_args(core))
    return choices(get_args(core)[0]) if get_origin(core) is tuple else ()


def _words(hint: Any, home: str, *, several: bool) -> str:
    core, notes = _peeled(hint)
    if allowed := choices(hint):
        return _one_of(allowed) if not several else ", ".join(f"`{choice}`" for choice in allowed)
    if core is bool:
        return "`true` or `false`"
    if (value := _value(core, notes)) is not None:
        return f"[{value.plural if several else value.name}]({home}#values)"
    examples = _examples(notes)
    if examples:
        return f"{'texts' if several else 'text'} such as {_one_of(examples)}"
    return f"[{'texts' if several else 'text'}]({home}#values)"


def _reference(mark: Reference, *, several: bool) -> str:
    page = f"[{mark.kind}]({mark.kind}.md)"
    if not several:
        return f"link to a {page} note"
    others = [*(["chat ids"] if mark.ids else []), *(f"`{word}`" for word in sorted(mark.words))]
    also = f"{', '.join(others)}, or " if others else ""
    return f"list of {also}links to {page} notes"


def _value(core: Any, notes: tuple[Any, ...]) -> Value | None:
    """The value whose type these notes begin with; the longest, as some refine others."""
    fitting = []
    for value in VALUES:
        type_, *own = get_args(value.form)
        if type_ is core and list(notes[: len(own)]) == own:
            fitting.append((len(own), value))
    return max(fitting, key=lambda found: found[0], default=(0, None))[1]


def _examples(notes: tuple[Any, ...]) -> tuple[str, ...]:
    for note in notes:
        if isinstance(note, WithJsonSchema) and note.json_schema:
            return tuple(note.json_schema.get("examples", ()))
    return ()


def _peeled(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """The bare type, without `None`, and everything annotated to it from the outside in."""
    found: list[Any] = []
    while True:
        if get_origin(hint) is Annotated:
            hint, *notes = get_args(hint)
            found = [*notes, *found]
        elif get_origin(hint) in (Union, types.UnionType):
            hint = next(part for part in get_args(hint) if part is not type(None))
        else:
            marks = [note for note in found if isinstance(note, _MARKS)]
            return hint, (*(note for note in found if not isinstance(note, _MARKS)), *marks)


def _one_of(texts: Iterable[str]) -> str:
    *first, last = (f"`{text}`" for text in texts)
    return f"{', '.join(first)} or {last}" if first else last
