"""The kind `rule`."""

from collections.abc import Iterable
from typing import Annotated, ClassVar

from vaultloop.model.fields import Count, Names
from vaultloop.model.finding import Finding
from vaultloop.model.problem import Severity
from vaultloop.model.resource import Kind, Reference, Spec, Stage


class RuleSpec(Spec):
    """What must never be forgotten. The text below the frontmatter is the rule."""

    uses_body: ClassVar[bool] = True

    scopes: Annotated[Names, Reference("scope")] = ()
    """The scopes it is for: links to their notes; without any, all."""
    order: Count = 100
    """Rules stand in this order, from small to large, and then by name."""

    def findings(self) -> Iterable[Finding]:
        """A rule must say something."""
        if not self.body:
            message = "This rule says nothing: there is no text below the frontmatter."
            cure = "Write the rule below the closing `---`."
            yield Finding("body", "empty-body", message, cure, severity=Severity.WARNING)


KIND = Kind("rule", RuleSpec, Stage.CONTEXT, folder="rules")
