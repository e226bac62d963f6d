"""What root may do beyond its own files: nothing, in a cell.

Runs in small forked processes: the standard library only, and little of it.
"""

import ctypes
import errno
import struct

from vaultloop.sandbox.kernel import fail

_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT, _CLEAR_ALL = 47, 4
# NOROOT, NO_SETUID_FIXUP, KEEP_CAPS (off), NO_CAP_AMBIENT_RAISE, and the locks of all four (capabilities(7)).
_SECUREBITS = 0b11101111
_LARGEST = 64
_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3

_C = ctypes.CDLL(None, use_errno=True)


def drop() -> None:
    """Give up all capabilities of the calling process for ever; programs it runs gain none, setuid or not.

    Raises:
        OSError: the kernel refuses.
    """
    if not any(_held()):
        return
    _control(_PR_CAP_AMBIENT, _CLEAR_ALL)
    # Who may not give up the bounding set gains nothing from it either: there is no program that it trusts.
    for capability in range(_LARGEST):
        if _C.prctl(_PR_CAPBSET_DROP, *_longs(capability)) < 0 and ctypes.get_errno() in (
            errno.EINVAL,
            errno.EPERM,
        ):
            break
    if _C.prctl(_PR_SET_SECUREBITS, *_longs(_SECUREBITS)) < 0 and ctypes.get_errno() != errno.EPERM:
        fail("securebits")
    nothing = ctypes.create_string_buffer(24)
    if _C.capset(_header(), nothing) < 0:
        fail("capset")
    if any(_held()):
        raise OSError(errno.EPERM, "capabilities are left")


def _held() -> tuple[int, ...]:
    """Effective, permitted and inheritable ones."""
    held = ctypes.create_string_buffer(24)
    if _C.capget(_header(), held) < 0:
        fail("capget")
    return struct.unpack("=6I", held.raw)


def _header() -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(struct.pack("=Ii", _VERSION, 0), 8)


def _control(option: int, value: int) -> None:
    if _C.prctl(option, *_longs(value)) < 0 and ctypes.get_errno() != errno.EINVAL:
        fail("prctl")


def _longs(value: int) -> list[ctypes.c_ulong]:
    return [ctypes.c_ulong(each) for each in (value, 0, 0, 0)]
