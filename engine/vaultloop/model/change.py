"""A plan: what would change, as a value that can be printed, compared and refused."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic

from vaultloop.model.problem import Problem
from vaultloop.model.resource import AnyResource, Ref, Resource, Spec, SpecT_co


class Action(StrEnum):
    """What happens to a resource. Deletes come first within a stage: stop before start."""

    DELETE = "delete"
    UPDATE = "update"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One frontmatter key (or `body`), by the name that notes use, with JSON values; None where absent."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Change(Generic[SpecT_co]):
    """One step of a plan.

    Attributes:
        old: what runs now; None for a create.
        new: what shall run; None for a delete. A rename is an update whose two refs differ.
        permissions: what people may do more (`+`) or less (`-`) afterwards, one sentence each.
    """

    action: Action
    old: Resource[SpecT_co] | None
    new: Resource[SpecT_co] | None
    fields: tuple[FieldChange, ...] = ()
    permissions: tuple[str, ...] = ()

    @property
    def ref(self) -> Ref:
        """The resource's name after the change, or before it where it ends."""
        resource = self.new or self.old
        assert resource is not None
        return resource.ref

    @property
    def path(self) -> str:
        resource = self.new or self.old
        assert resource is not None
        return resource.source.path

    def as_json(self) -> dict[str, Any]:
        """The shape that `vaultloop plan --json` promises."""
        return {
            "action": str(self.action),
            "kind": self.ref.kind,
            "name": self.ref.name,
            "file": self.path,
            "fields": [{"field": f.field, "old": f.old, "new": f.new} for f in self.fields],
            "permissions": list(self.permissions),
        }


AnyChange = Change[Spec]


@dataclass(frozen=True, slots=True)
class Plan:
    """The way from what runs to what one revision declares.

    Attributes:
        changes: in the order of applying: stages from access to triggers, deletes first within each.
        problems: of the revision; a note with an error is not in the plan and keeps its last good version.
    """

    revision: str
    changes: tuple[AnyChange, ...]
    problems: tuple[Problem, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The shape that `vaultloop plan --json` promises."""
        return {
            "revision": self.revision,
            "changes": [change.as_json() for change in self.changes],
            "problems": [problem.as_json() for problem in self.problems],
        }


def field_changes(old: AnyResource | None, new: AnyResource | None) -> tuple[FieldChange, ...]:
    """The frontmatter keys and the body that differ, sorted by key."""
    before = old.spec.fields() if old else {}
    after = new.spec.fields() if new else {}
    keys = sorted(before.keys() | after.keys())
    return tuple(
        FieldChange(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)
    )
