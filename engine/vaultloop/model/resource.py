"""A resource: one declaration that was understood."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from vaultloop.model.entry import Entries
from vaultloop.model.finding import Finding
from vaultloop.model.flow import Flow


class Stage(IntEnum):
    """The order in which kinds are applied: who may, before what they know, before what starts them."""

    ACCESS = 1
    CONTEXT = 2
    TRIGGER = 3


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """The name of a resource: its kind and the stem of its note."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Reference:
    """Marks a field of a spec whose text names a resource of `kind`.

    Attributes:
        words: texts that mean themselves.
        ids: numeric ids mean themselves too.
        needed: without the named note this one is invalid; otherwise the name is left out, with a warning.
    """

    kind: str
    words: frozenset[str] = frozenset()
    ids: bool = False
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Inherited:
    """Marks a field that, when left out, is taken from the field of the same name in the `defaults` note."""


@dataclass(frozen=True, slots=True)
class Within:
    """Marks a field of names that must also be in the field of the same name of another note.

    Attributes:
        reference: the field of this spec, a `Reference`, that names the other one.
        code: of the problem where one is not.
    """

    reference: str
    code: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the world around two versions of a resource, so that a difference can be told.

    Attributes:
        notes: the paths of the vault's notes; None where nobody has looked.
        owners: the ids of the vault's owners, as far as they are known.
    """

    notes: Collection[str] | None = None
    owners: Collection[str] = ()


NOTHING_KNOWN = Known()


def _kebab(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


class Spec(BaseModel):
    """What the frontmatter of one kind may say, plus the text below it.

    Field names in notes are these with `-` for `_`. A spec is a value: equal specs run the same thing.
    """

    model_config = ConfigDict(
        alias_generator=_kebab,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        # Built for the first note of its kind: who checks a vault does not wait for kinds that it lacks.
        defer_build=True,
    )

    # Fields whose body text matters to what runs; the others ignore the text below the frontmatter.
    uses_body: ClassVar[bool] = False
    # Fields, by the names that notes use, that this version understands and does nothing about yet.
    to_come: ClassVar[frozenset[str]] = frozenset()
    # The field that holds what the text below the frontmatter declares, where it declares something; it is no
    # key of the frontmatter.
    entries_in: ClassVar[str | None] = None

    id: str | None = None
    """A name that survives renaming the note."""
    description: str = ""
    """One line for people; shown in status."""
    paused: bool = False
    """True suspends it: nothing of it runs until this is removed."""
    body: str = ""
    """The text below the frontmatter."""

    def fields(self) -> dict[str, Any]:
        """The fields by the names that notes use, as JSON values; those at their default left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def not_enforced(self) -> list[str]:
        """The fields that are set here and that this version does nothing about yet."""
        return [name for name in self.fields() if name in self.to_come]

    @classmethod
    def frontmatter(cls) -> dict[str, Any]:
        """The fields that the frontmatter may set, by the names that notes use."""
        below = {"body", cls.entries_in}
        return {info.alias or name: info for name, info in cls.model_fields.items() if name not in below}

    @classmethod
    def entries(cls, text: str) -> Entries:
        """What `text`, all below the frontmatter, declares; only where `entries_in` names a field."""
        del text
        return Entries()

    @classmethod
    def entry_spec(cls) -> "type[Spec]":
        """What one of these entries may say."""
        raise NotImplementedError(cls.__name__)

    def parts(self) -> tuple["Spec", ...]:
        """The specs of these entries, in their order."""
        return getattr(self, self.entries_in) if self.entries_in else ()

    def closed(self) -> Self | None:
        """What runs while the note is invalid, made from these last good fields; None: these, as they are.

        It allows nothing that these fields do not.
        """
        return None

    def findings(self) -> Iterable[Finding]:
        """What is wrong with these fields taken together, each of them being well-formed."""
        return ()

    @classmethod
    def findings_together(cls, specs: Mapping[str, Self]) -> Iterable[tuple[str, Finding]]:
        """What is wrong with all valid notes of the kind taken together: the note's name and the finding.

        Such a finding does not make its note invalid: what the kind's component does about it decides.
        """
        del specs
        return ()

    def flows(self) -> Iterable[Flow]:
        """Which files its sessions write and read, and which text they are told."""
        return ()

    @classmethod
    def permission_changes(
        cls, old: "Resource[Any] | None", new: "Resource[Any] | None", known: Known = NOTHING_KNOWN
    ) -> tuple[str, ...]:
        """What people may do more or less after `old` became `new`, one sentence each.

        None stands for absent. Sentences name the resource: `owner: + reads personal/** (12 notes)`, with the
        number of notes for which that changes where they are `known`.
        """
        del old, new, known
        return ()


SpecT = TypeVar("SpecT", bound=Spec)
SpecT_co = TypeVar("SpecT_co", bound=Spec, covariant=True)


@dataclass(frozen=True, slots=True)
class Kind(Generic[SpecT]):
    """One `kind:` of the frontmatter.

    Attributes:
        stage: when it is applied.
        folder: where under `agent/` its notes usually lie; only a hint for people, the `kind:` key decides.
        has_component: false while nothing runs it yet; then it is parsed, checked and shown, never planned.
        single: at most one note of the kind in a vault.
    """

    name: str
    spec: type[SpecT]
    stage: Stage
    folder: str
    has_component: bool = True
    single: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """Where a resource was read.

    Attributes:
        path: of the note in the vault.
        blob: id of its content in git: equal ids, equal notes.
        lines: the line (from 1) of each frontmatter key, by the names that notes use.
        text: the whole note, kept so that a last good version survives a rewritten history.
    """

    path: str
    blob: str
    lines: dict[str, int] = field(default_factory=dict, compare=False, hash=False)
    text: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Resource(Generic[SpecT_co]):
    """One parsed, valid declaration.

    Attributes:
        uid: identity across renames: slots, budgets and conversations hang on it. The declared `id` if there
            is one; given by the planner otherwise.
    """

    ref: Ref
    spec: SpecT_co
    source: Source
    uid: str = ""


AnyResource = Resource[Spec]

# What an engine without a `defaults` note does: two sessions at once fit 2 vCPU / 4 GB (about 200 MB each).
DEFAULT_MAX_SESSIONS = 2
DEFAULT_STOP_AFTER = timedelta(minutes=10)
