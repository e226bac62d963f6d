"""A conversation's transcript on its way into a cell and out again.

What lies in a cell its agent may have replaced: it is opened as a stranger's file is, without following any
link, and copied only up to a size.
"""

import os
import shutil
import stat
from io import BytesIO
from pathlib import Path

from vaultloop.model.cell import Cell, Transcript
from vaultloop.model.conversation import Turn
from vaultloop.state.transcripts import Transcripts
from vaultloop.vault.views.view import folder_below

# Bytes. A longer conversation starts afresh: it would be read, and paid for, with every message.
LONGEST = 32 * 1024 * 1024


def put_in(kept: Transcript, cell: Cell) -> Transcript:
    """A copy of what is kept, in the scratch folder of a cell.

    Raises:
        OSError: it cannot be read.
    """
    target = cell.scratch / "transcript"
    shutil.copyfile(kept.file, target)
    target.chmod(0o600)
    return Transcript(kept.id, target, kept.spent_usd)


def taken_out(found: Transcript, cell: Cell, transcripts: Transcripts, turn: Turn) -> Transcript:
    """A copy, in the engine's keeping, of what a run left in its cell.

    Raises:
        OSError: there is none, it is a link, no ordinary file, or too large; or the disk is full.
    """
    content = _content(found.file, cell)
    file = transcripts.write(BytesIO(content), turn.conversation, turn.id)
    return Transcript(found.id, file, found.spent_usd)


def _content(file: Path, cell: Cell) -> bytes:
    root = next((root for root in (cell.home, cell.scratch) if file.is_relative_to(root)), None)
    if root is None or ".." in file.parts:
        raise OSError(f"{file} is not in its cell")
    *parents, name = file.relative_to(root).parts
    with folder_below(root, parents) as inside:
        # NONBLOCK: opening a named pipe must not wait for somebody to write into it.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise OSError(f"{file} is no ordinary file")
        content = opened.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise OSError(f"{file} is larger than {LONGEST // (1024 * 1024)} MB")
    return content
