"""The kernel's part of a filter, in Python: what a program of the packet filter language answers to a call.

So the answers for another processor can be looked at too, which no kernel here would give.
"""

import struct
from collections.abc import Sequence

_INSTRUCTION = struct.Struct("=HBBI")
_DATA = struct.Struct("=iIQ6Q")


def answer(program: bytes, number: int, architecture: int, arguments: Sequence[int] = ()) -> int:
    """What `program` answers to the call `number` of a machine."""
    filled = [*arguments, *([0] * (6 - len(arguments)))]
    data = _DATA.pack(number, architecture, 0, *filled)
    instructions = list(_INSTRUCTION.iter_unpack(program))
    place = accumulator = 0
    while True:
        code, then, otherwise, value = instructions[place]
        place += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                place += then if accumulator == value else otherwise
            case 0x25:
                place += then if accumulator > value else otherwise
            case 0x35:
                place += then if accumulator >= value else otherwise
            case 0x45:
                place += then if accumulator & value else otherwise
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"no instruction {code:#x}")
