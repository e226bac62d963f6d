"""As much of an invalid note as can be understood, so that its references are looked at all the same."""

from functools import lru_cache
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from vaultloop.model.resource import Reference, Spec


def draft(kind: type[Spec], values: dict[str, Any]) -> Spec:
    """A spec that holds what is well-formed of the references in `values`, and of what stands below.

    Nothing may run from it: the other fields are at their defaults, or absent.
    """
    known: dict[str, Any] = dict.fromkeys((n for n, info in kind.model_fields.items() if info.is_required()))
    for name in _references(kind):
        value = values.get(kind.model_fields[name].alias or name)
        if value is not None:
            try:
                known[name] = _type(kind, name).validate_python(value)
            except ValidationError:
                continue
    if kind.entries_in is not None:
        known[kind.entries_in] = values.get(kind.entries_in, ())
    return kind.model_construct(**known)


@lru_cache
def _references(kind: type[Spec]) -> tuple[str, ...]:
    fields = kind.model_fields.items()
    return tuple(n for n, info in fields if any(isinstance(mark, Reference) for mark in info.metadata))


@lru_cache
def _type(kind: type[Spec], name: str) -> TypeAdapter[Any]:
    info = kind.model_fields[name]
    annotated: Any = Annotated[info.annotation, *info.metadata]
    return TypeAdapter(annotated)
