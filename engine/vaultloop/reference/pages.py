"""The pages: their chapters, in one order for every kind."""

import inspect
import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, get_type_hints

from vaultloop.model.resource import Inherited, Kind, Spec
from vaultloop.model.schema import explanations
from vaultloop.model.status import Condition
from vaultloop.reference import guides
from vaultloop.reference.conditions import conditions
from vaultloop.reference.markdown import code, fenced, joined, table, visible
from vaultloop.reference.mistakes import OF_ANY_NOTE, Mistake, chosen, mistakes
from vaultloop.reference.values import VALUES, Value, problems, words

INDEX = "README.md"
_MADE = "<!-- Written by `make docs` from engine/vaultloop/components/: edit the models and guides there. -->"
_COMMON = tuple(Spec.frontmatter())
_FIELDS = ("field", "value", "default", "meaning")
_CONDITIONS = ("condition", "reason", "when", "what to do")
_PROBLEMS = ("problem", "you wrote", "what is wrong", "what to do")


def write(folder: Path, kinds: Sequence[Kind[Any]], vaults: Path) -> None:
    """Make `folder` hold exactly the pages of `kinds`, with mistakes out of `vaults`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = pages(kinds, mistakes(vaults, kinds))
    for old in folder.glob("*.md"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def pages(kinds: Sequence[Kind[Any]], found: Sequence[Mistake]) -> dict[str, str]:
    """The text of each page, by file name."""
    own = {f"{kind.name}.md": page(kind, kinds, found) for kind in kinds}
    return {INDEX: index(kinds, found), **own}


def page(kind: Kind[Any], kinds: Sequence[Kind[Any]], found: Sequence[Mistake]) -> str:
    """One kind: example, each field, working with it, conditions and problems, how to debug."""
    guide = guides.guide(kind)
    return joined(
        _MADE,
        f"# {kind.name}",
        _opening(kind),
        "## Example",
        fenced(guides.example(kind)),
        "## Fields",
        _fields(kind),
        f"## {guides.WORKING}",
        guide[guides.WORKING],
        f"## {guides.CONDITIONS}",
        _conditions(kind, kinds, guide.get(guides.CONDITIONS, "")),
        f"## {guides.PROBLEMS}",
        _problems(kind, found, guide.get(guides.PROBLEMS, "")),
        f"## {guides.DEBUGGING}",
        guide[guides.DEBUGGING],
    )


def index(kinds: Sequence[Kind[Any]], found: Iterable[Mistake]) -> str:
    """What holds for every kind, and where each has its page.

    Raises:
        ValueError: the general guide lacks the chapter that a table belongs to.
    """
    first, chapters = guides.general()
    tables = {
        "Kinds": table(("kind", "what it is", "usual place"), map(_index_row, kinds)),
        "Common fields": table(_FIELDS, _field_rows(Spec, _COMMON, home="")),
        "Values": table(("value", "for example", "meaning", "problems"), map(_value_row, VALUES)),
        "Problems": table(_PROBLEMS, map(_problem_row, chosen(found))),
    }
    if missing := tables.keys() - chapters.keys():
        raise ValueError(f"The general guide has no chapter {', '.join(sorted(missing))}.")
    told = [joined(f"## {heading}", text, tables.get(heading, "")) for heading, text in chapters.items()]
    return joined(_MADE, first, *told)


def _opening(kind: Kind[Any]) -> str:
    said = inspect.cleandoc(kind.spec.__doc__ or "")
    nothing = (
        "**Nothing runs these notes in this version.** They are read, checked and shown in `vaultloop "
        "status`, so that you can write them; what they declare does not happen yet."
    )
    return joined(said, f"Usual place: {_place(kind)}.", "" if kind.has_component else nothing)


def _place(kind: Kind[Any]) -> str:
    return f"`agent/{kind.folder}/`" if kind.folder else "`agent/`"


def _index_row(kind: Kind[Any]) -> tuple[str, ...]:
    first = re.split(r"(?<=\.)\s", " ".join((kind.spec.__doc__ or "").split()))[0]
    runs = "" if kind.has_component else " *Nothing runs it yet.*"
    return f"[{kind.name}]({kind.name}.md)", first + runs, _place(kind)


# Fields.


def _fields(kind: Kind[Any]) -> str:
    return joined(
        table(_FIELDS, _field_rows(kind.spec, [*_own(kind.spec), *_COMMON], INDEX)), _below(kind.spec)
    )


def _below(spec: type[Spec]) -> str:
    """What may stand below the frontmatter, where its meaning is not in the first words of the page."""
    if spec.entries_in:
        entry = spec.entry_spec()
        said = f"Below the frontmatter, each of the {spec.entries_in} takes these."
        return joined(said, table(_FIELDS, _field_rows(entry, _own(entry), INDEX)))
    return "" if spec.uses_body else "The text below the frontmatter is for people; nothing reads it."


def _own(spec: type[Spec]) -> list[str]:
    """Keys that not every kind has; those that are needed come first."""
    own = [key for key in _types(spec) if key not in _COMMON]
    return sorted(own, key=lambda key: not spec.frontmatter()[key].is_required())


def _types(spec: type[Spec]) -> dict[str, Any]:
    """The type of each key, with all that is annotated to it."""
    known = spec.frontmatter()
    hints = get_type_hints(spec, include_extras=True)
    names = {info.alias or name: name for name, info in spec.model_fields.items()}
    return {key: hints[name] for key, name in names.items() if key in known}


def _field_rows(spec: type[Spec], keys: Iterable[str], home: str) -> Iterable[tuple[str, ...]]:
    types = _types(spec)
    texts = explanations(spec)
    for key in keys:
        meaning = " ".join(texts[key].split())
        if key in spec.to_come:
            meaning += " **Accepted, does nothing yet.**"
        yield f"`{key}`", words(types[key], home=home), _default(spec, key), meaning


def _default(spec: type[Spec], key: str) -> str:
    info = spec.frontmatter()[key]
    if info.is_required():
        return "**required**"
    # As notes write it: durations with their unit, words as words.
    value = spec.model_construct().model_dump(mode="json", by_alias=True)[key]
    text = ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)
    written = f"`{text.lower() if isinstance(value, bool) else text}`" if text else ""
    if any(isinstance(mark, Inherited) for mark in info.metadata):
        return "that of [defaults](defaults.md)" + (f", else {written}" if written else "")
    return written or ("none" if value is None else "empty")


def _value_row(value: Value) -> tuple[str, ...]:
    return value.name, _codes(value.examples), value.meaning, _codes(value.problems)


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(map(code, texts))


# Conditions and problems.


def _conditions(kind: Kind[Any], kinds: Sequence[Kind[Any]], guide: str) -> str:
    """What follows from the reconciler, and what the guide adds: rows of the same table, then its words."""
    found = conditions(kind, {each.name: each.stage for each in kinds})
    general = [(f"`{row.condition}`", f"`{row.reason}`", row.when, row.cure) for row in found]
    added, text = _rows_and_text(guide)
    order = [f"`{condition}`" for condition in Condition]
    rows = sorted([*general, *added], key=lambda row: order.index(row[0]))
    return joined(table(_CONDITIONS, rows), text)


def _rows_and_text(guide: str) -> tuple[list[tuple[str, ...]], str]:
    """The rows of the table that a guide's chapter begins with, and what follows it."""
    lines = guide.splitlines()
    written = list(takewhile(lambda line: line.startswith("|"), lines))
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in written[2:]]
    return rows, "\n".join(lines[len(written) :])


def _problems(kind: Kind[Any], found: Sequence[Mistake], guide: str) -> str:
    own = chosen(m for m in found if m.kind == kind.name and m.problem.code not in OF_ANY_NOTE)
    known = {mistake.problem.code for mistake in found}
    others = sorted(_of_values(kind.spec) & known - {mistake.problem.code for mistake in own})
    values = f" and with the values above ({_codes(others)})" if others else ""
    more = f"What can be wrong with any note{values} is [in the index]({INDEX}#problems)."
    return joined(table(_PROBLEMS, map(_problem_row, own)) if own else "", guide, more)


def _of_values(spec: type[Spec]) -> set[str]:
    own = {found for hint in _types(spec).values() for found in problems(hint)}
    return own | (_of_values(spec.entry_spec()) if spec.entries_in else set())


def _problem_row(mistake: Mistake) -> tuple[str, ...]:
    problem = mistake.problem
    name = f"`{problem.code}`" if problem.is_error else f"`{problem.code}` (warning)"
    typed = code(mistake.typed) if mistake.typed else "nothing"
    return name, typed, visible(problem.message), visible(problem.cure)
