"""All that one revision declares, and all that is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vaultloop.model.problem import Problem
from vaultloop.model.resource import AnyResource, Ref


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The desired state at one revision.

    Attributes:
        revision: commit id.
        resources: what was understood, of every kind, by name.
        problems: every finding, of every note, sorted by file and line.
        broken: resources whose note is there but invalid at this revision, with the note's path; they keep
            their last good version.
    """

    revision: str
    resources: Mapping[Ref, AnyResource]
    problems: tuple[Problem, ...] = ()
    broken: Mapping[Ref, str] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.is_error)

    def problems_of(self, path: str) -> tuple[Problem, ...]:
        """The findings in one note."""
        return tuple(problem for problem in self.problems if problem.file == path)
