"""What a note declares within its text, such as the rows of a table: values as they were typed, and where."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vaultloop.model.finding import Finding, Place


@dataclass(frozen=True, slots=True)
class Entry:
    """One declaration within the text of a note.

    Attributes:
        place: where it begins; what is missing in it is told here.
        values: text, or a list of texts, by the names that notes use.
        places: of each value; where it is a list, of each of its items.
    """

    place: Place
    values: Mapping[str, str | list[str]]
    places: Mapping[str, tuple[Place, ...]]

    def located(self, finding: Finding) -> Finding:
        """The same finding, placed where this entry has the value that it is about."""
        places = self.places.get(finding.field, ())
        index = finding.item or 0
        place = places[index] if index < len(places) else self.place
        # In a text a link needs no quotes.
        write = None if finding.write is None else finding.write.strip('"')
        return replace(finding, place=finding.place or place, write=write, add=None)


@dataclass(frozen=True, slots=True)
class Entries:
    """All that a text declares, and what is wrong with how it is written down."""

    found: tuple[Entry, ...] = ()
    findings: tuple[Finding, ...] = field(default=())
