"""A small assembler for the kernel's packet filter language, in which system call filters are written.

Jumps go to labels and forward only, as the language demands; a jump that is too far (255 instructions) is an
error when the program is put together, never a wrong program.
"""

import struct
from dataclasses import dataclass

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_GREATER = 0x25  # BPF_JMP | BPF_JGT | BPF_K
_IF_NOT_LESS = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_IF_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

_FARTHEST = 255  # a jump's distance is one byte
LONGEST = 4096  # BPF_MAXINSNS

# What a filter can answer (linux/seccomp.h).
ALLOW = 0x7FFF0000
NOTIFY = 0x7FC00000
KILL_PROCESS = 0x80000000


def refuse(errno: int) -> int:
    """The answer that fails a call with `errno`."""
    return 0x00050000 | errno


# Where `struct seccomp_data` holds what a filter looks at (bytes).
NUMBER = 0
ARCHITECTURE = 4


def argument(index: int) -> int:
    """The lower half of an argument, on little-endian machines: all that the kernel looks at for an int."""
    return 16 + 8 * index


def upper_half(index: int) -> int:
    """The upper half of an argument, for those that are 64 bits wide."""
    return 20 + 8 * index


class Label:
    """A place in a program; every label is put down exactly once."""


@dataclass(frozen=True, slots=True)
class _Instruction:
    code: int
    value: int = 0
    then: Label | None = None
    otherwise: Label | None = None


class Program:
    """A filter in the making; None as a target means the next instruction."""

    def __init__(self) -> None:
        self._instructions: list[_Instruction] = []
        self._places: dict[Label, int] = {}

    def __len__(self) -> int:
        return len(self._instructions)

    def load(self, offset: int) -> None:
        """Take a word of `struct seccomp_data` into the accumulator."""
        self._instructions.append(_Instruction(_LOAD, offset))

    def mask(self, bits: int) -> None:
        """Keep only `bits` of the accumulator."""
        self._instructions.append(_Instruction(_AND, bits))

    def if_equal(self, value: int, then: Label | None = None, otherwise: Label | None = None) -> None:
        self._instructions.append(_Instruction(_IF_EQUAL, value, then, otherwise))

    def if_greater(self, value: int, then: Label | None = None, otherwise: Label | None = None) -> None:
        self._instructions.append(_Instruction(_IF_GREATER, value, then, otherwise))

    def if_not_less(self, value: int, then: Label | None = None, otherwise: Label | None = None) -> None:
        self._instructions.append(_Instruction(_IF_NOT_LESS, value, then, otherwise))

    def if_any_bit(self, bits: int, then: Label | None = None, otherwise: Label | None = None) -> None:
        self._instructions.append(_Instruction(_IF_ANY_BIT, bits, then, otherwise))

    def answer(self, action: int) -> None:
        """End here."""
        self._instructions.append(_Instruction(_RETURN, action))

    def put(self, label: Label) -> None:
        """The next instruction is where `label` leads."""
        assert label not in self._places
        self._places[label] = len(self._instructions)

    def assembled(self) -> bytes:
        """The program as an array of `struct sock_filter`."""
        assert len(self._instructions) <= LONGEST
        return b"".join(
            struct.pack(
                "=HBBI",
                each.code,
                self._distance(place, each.then),
                self._distance(place, each.otherwise),
                each.value & 0xFFFFFFFF,
            )
            for place, each in enumerate(self._instructions)
        )

    def _distance(self, place: int, label: Label | None) -> int:
        if label is None:
            return 0
        distance = self._places[label] - place - 1
        assert 0 <= distance <= _FARTHEST, f"a jump of {distance} instructions"
        return distance
