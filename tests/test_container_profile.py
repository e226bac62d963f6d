"""The emulated container refuses what a container refuses, and no more: else it would prove nothing."""

import errno

import pytest

from support import container_profile
from support.filter_machine import answer
from support.unprivileged import drive
from vaultloop.sandbox.bpf import ALLOW, LONGEST, refuse
from vaultloop.sandbox.kernel import call
from vaultloop.sandbox.syscalls import X86_64, this_machine

EPERM, ENOSYS = refuse(errno.EPERM), refuse(errno.ENOSYS)

# Written down by hand, from the profile, for a process without capabilities.
ANSWERS = {
    ("read", 0): ALLOW,
    ("landlock_restrict_self", 0): ALLOW,
    ("seccomp", 1): ALLOW,
    ("ptrace", 0): ALLOW,
    ("chroot", 0): EPERM,
    ("mount", 0): EPERM,
    ("unshare", 0x10000000): EPERM,
    ("bpf", 0): EPERM,
    ("pidfd_getfd", 0): EPERM,
    ("io_uring_setup", 0): EPERM,
    ("clone", 0x3D0F00): ALLOW,
    ("clone", 0x10000000): EPERM,
    ("clone3", 0): ENOSYS,
    ("socket", 2): ALLOW,
    ("socket", 38): EPERM,
    ("socket", 39): ALLOW,
    ("socket", 40): EPERM,
    ("socket", 41): ALLOW,
    ("socket", 2**32 + 2): ALLOW,
    ("personality", 8): ALLOW,
    ("personality", 2**32 + 8): EPERM,
    ("personality", 9): EPERM,
}


@pytest.mark.parametrize(("asked", "expected"), ANSWERS.items(), ids=str)
def test_a_call_is_answered_as_the_profile_says(asked: tuple[str, int], expected: int) -> None:
    name, argument = asked
    number = container_profile.numbers()[name]
    assert answer(container_profile.program(), number, X86_64.audit, [argument]) == expected


def test_calls_newer_than_the_profile_do_not_exist() -> None:
    assert answer(container_profile.program(), 1000, X86_64.audit) == ENOSYS


def test_the_kernel_takes_so_long_a_program() -> None:
    assert 500 < len(container_profile.program()) // 8 <= LONGEST


def in_the_container() -> list[str]:
    container_profile.install()
    said = []
    for name in ("unshare", "clone3"):
        try:
            call(name, container_profile.numbers()[name], 0x10000000, 0)
        except OSError as error:
            said.append(errno.errorcode[error.errno or 0])
    return said


@pytest.mark.skipif(this_machine() is not X86_64, reason="the profile is compiled for x86_64")
def test_a_process_lives_under_it() -> None:
    assert drive(in_the_container) == ["EPERM", "ENOSYS"]
