"""Writes the reference: `python -m vaultloop.reference docs/kinds tests/vaults`."""

import sys
from pathlib import Path

from vaultloop.components import KINDS
from vaultloop.reference.pages import write

write(Path(sys.argv[1]), KINDS, Path(sys.argv[2]))
