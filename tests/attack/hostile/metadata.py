"""What can be learned, or touched, of a path whose name is known: the residuals, and what is beyond them."""

import ctypes
import os
import struct
import time

from .calls import call
from .catalogue import Stopped, Targets, case

METADATA = "metadata"
KNOWN = "that a path exists, and its size and times, if its name is known"


@case(METADATA, residual=KNOWN)
def stat_a_note(targets: Targets) -> str:
    """Ask for the size and times of a forbidden note (stat)."""
    return f"{os.stat(targets.secret_note).st_size} bytes"


@case(METADATA, residual=KNOWN)
def stat_the_disk(targets: Targets) -> str:
    """Ask how full the disk of a forbidden folder is (statvfs)."""
    return f"{os.statvfs(targets.state).f_bfree} free blocks"


@case(METADATA, residual=KNOWN)
def ask_for_access(targets: Targets) -> str:
    """Ask whether a forbidden note could be read (access)."""
    if not os.access(targets.secret_note, os.F_OK):
        raise Stopped("it is said not to be there")
    return "it is there"


@case(METADATA, residual=KNOWN)
def go_to_a_folder(targets: Targets) -> str:
    """Make a forbidden folder the working directory (chdir)."""
    os.chdir(os.path.dirname(targets.secret_note))
    return "is there now"


@case(METADATA, residual=KNOWN)
def list_attributes(targets: Targets) -> str:
    """List the names of extended attributes of a forbidden file (listxattr)."""
    return f"{len(os.listxattr(targets.extra['victim']))} names"


@case(METADATA, residual=KNOWN)
def read_a_link(targets: Targets) -> str:
    """Read where a forbidden symbolic link leads (readlink)."""
    return f"to {os.readlink(targets.extra['link'])}"


@case(METADATA, residual="the times of a path, if its name is known, for owner and cron")
def set_times_outside(targets: Targets) -> str:
    """Set the times of the operator's file (utimensat)."""
    os.utime(targets.extra["victim"], (1, 1))
    return "set its times"


@case(METADATA)
def list_a_folder_that_it_went_to(targets: Targets) -> str:
    """Go to a forbidden folder and list it as the working directory."""
    os.chdir(os.path.dirname(targets.secret_note))
    return f"{len(os.listdir())} names"


@case(METADATA)
def find_the_other_view_from_its_own(targets: Targets) -> str:
    """Guess the name of another view: a thousand tries, and all that can be listed on the way."""
    above = os.path.dirname(os.path.dirname(targets.view))
    own = os.path.basename(os.path.dirname(targets.view))
    for number in range(1000):
        guess = own[: -len(str(number))] + str(number)
        if guess != own and os.path.exists(os.path.join(above, guess)):
            return "guessed a name"
    return f"{len(os.listdir(above))} names"


def _watched(targets: Targets, folder: str) -> str:
    """What inotify tells of a folder in which the engine is at work."""
    descriptor = call("inotify_init1", os.O_NONBLOCK)
    try:
        call("inotify_add_watch", descriptor, folder.encode(), 0xFFF)
        # The engine touches a file there all the time.
        ends = time.monotonic() + 2
        while time.monotonic() < ends:
            try:
                events = os.read(descriptor, 4096)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            length = struct.unpack_from("iIII", events)[3]
            return f"saw {events[16 : 16 + length].rstrip(bytes(1)).decode() or 'an event'}"
        return "watches"
    finally:
        os.close(descriptor)


@case(METADATA)
def watch_a_forbidden_folder(targets: Targets) -> str:
    """Watch the folder of another session's notes with inotify, which tells the names of files."""
    return _watched(targets, os.path.dirname(targets.secret_note))


@case(METADATA)
def watch_a_parent_folder(targets: Targets) -> str:
    """Watch the folder in which views are made."""
    return _watched(targets, os.path.dirname(os.path.dirname(targets.view)))


@case(METADATA, open_otherwise=False)
def watch_the_file_system(targets: Targets) -> str:
    """Watch everything with fanotify."""
    group = call("fanotify_init", 0x0200, os.O_RDONLY)
    call("fanotify_mark", group, 1, 0x20, -100, targets.state.encode())
    return "watches"


@case(METADATA, open_otherwise=False)
def name_a_file_by_handle(targets: Targets) -> str:
    """Take the file handle of a forbidden note, which stays valid wherever the note goes."""
    handle = (ctypes.c_uint32 * 40)(128)
    call("name_to_handle_at", -100, targets.secret_note.encode(), handle, ctypes.byref(ctypes.c_int()), 0)
    return "has its handle"
