"""The merge driver as git calls it: four arguments in, an exit code out, and never silence about a failure.

Git takes 0 for "joined", 1 to 128 for "ask the person", and more for "the whole merge is off". Whatever goes
wrong here, a fault of ours included, becomes the second, with the person's own version in place.
"""

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> int:
    """Join the file whose versions the first three files hold (before, ours, theirs); the fourth is its path.

    Returns:
        0 if the second file has the result, 1 if a person must decide.
    """
    # The whole run is shorter than looking for garbage would be.
    gc.disable()
    *files, path = arguments
    try:
        from vaultloop.vault.merge.driver import run  # noqa: PLC0415 - what is wrong with it is a conflict too

        return run([Path(file) for file in files], path, os.environ, _tell)
    except (Exception, KeyboardInterrupt) as error:
        why = f"{type(error).__name__}: {error}"
        _tell(f"{path!a} could not be joined, so your version is left in place ({why}).")
        return 1


def _tell(sentence: str) -> None:
    sys.stderr.write(f"vaultloop: {sentence}\n")
