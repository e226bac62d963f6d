"""What the work on the vault has cost, in counts that a noisy machine cannot blur."""

from dataclasses import dataclass


@dataclass(slots=True)
class Effort:
    """Counters that only grow.

    Attributes:
        parsed: notes whose frontmatter was parsed.
        trees: git tree objects read.
        stats: files looked at in the watched folder.
        walks: whole walks through the watched folder.
        polls: questions to the remote.
        blobs: files of what is staged whose content was read.
    """

    parsed: int = 0
    trees: int = 0
    stats: int = 0
    walks: int = 0
    polls: int = 0
    blobs: int = 0
