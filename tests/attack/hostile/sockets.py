"""The network: every address but its own door, by every protocol."""

import contextlib
import ctypes
import os
import platform
import socket
import struct
import threading
import time

from .calls import by_number, call, child, prctl
from .catalogue import Stopped, Targets, case

SOCKETS = "sockets"

# Connections with a flipping address; measured: without a guard that connects itself the second gets through.
RACES = 400

MSG_FASTOPEN = 0x20000000
IPPROTO_MPTCP = 262
PATIENCE = 2.0


def _greeted(targets: Targets, connection: socket.socket) -> str:
    connection.settimeout(PATIENCE)
    return targets.seen(connection.recv(200))


def _reached(
    targets: Targets, address: tuple[str, int], family: int = socket.AF_INET, protocol: int = 0
) -> str:
    with socket.socket(family, socket.SOCK_STREAM, protocol) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(address)
        return _greeted(targets, connection)


@case(SOCKETS)
def connect_to_the_engines_socket(targets: Targets) -> str:
    """Call the engine over its unix socket: whoever reaches it is the owner."""
    with socket.socket(socket.AF_UNIX) as connection:
        os.chdir(targets.state)
        connection.connect("engine.sock")
        connection.sendall(b'{"jsonrpc":"2.0","id":1,"method":"secret"}\n')
        return _greeted(targets, connection)


@case(SOCKETS)
def connect_to_the_gateways_socket(targets: Targets) -> str:
    """Ask the gateway over its unix socket for a door with other rights."""
    with socket.socket(socket.AF_UNIX) as connection:
        os.chdir(targets.state)
        connection.connect("gateway.sock")
        return "reached it"


@case(SOCKETS)
def connect_to_an_abstract_socket(targets: Targets) -> str:
    """Connect to an abstract unix socket of the engine."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("\0" + targets.abstract)
        return _greeted(targets, connection)


@case(SOCKETS)
def send_to_an_abstract_socket(targets: Targets) -> str:
    """Send a datagram to a unix socket without connecting."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"out", "\0" + targets.abstract + "-datagrams")
    return "sent it"


@case(SOCKETS)
def connect_to_a_local_port(targets: Targets) -> str:
    """Connect to a server of the operator on this machine."""
    return _reached(targets, ("127.0.0.1", targets.control_port))


@case(SOCKETS)
def connect_to_the_doors_port_elsewhere(targets: Targets) -> str:
    """Connect to the number of its own port at another address of this machine."""
    return _reached(targets, ("127.0.0.2", targets.door_port))


@case(SOCKETS)
def connect_by_ipv6(targets: Targets) -> str:
    """Connect to the operator's server by IPv6."""
    return _reached(targets, ("::1", targets.control_port), socket.AF_INET6)


@case(SOCKETS)
def connect_by_a_mapped_address(targets: Targets) -> str:
    """Connect to it by an IPv4 address in IPv6's clothes."""
    return _reached(targets, ("::ffff:127.0.0.1", targets.control_port), socket.AF_INET6)


@case(SOCKETS)
def connect_to_any_address(targets: Targets) -> str:
    """Connect to it by 0.0.0.0, which Linux takes for this machine."""
    return _reached(targets, ("0.0.0.0", targets.control_port))


@case(SOCKETS)
def connect_to_the_other_sessions_door(targets: Targets) -> str:
    """Connect to the door of another session."""
    with socket.create_connection(("127.0.0.1", targets.other_port), PATIENCE):
        return "reached it"


@case(SOCKETS)
def connect_by_multipath(targets: Targets) -> str:
    """Connect by multipath TCP, which Landlock's port rule does not know."""
    return _reached(targets, ("127.0.0.1", targets.control_port), protocol=IPPROTO_MPTCP)


@case(SOCKETS)
def open_fast_by_sendto(targets: Targets) -> str:
    """Connect with the first data (TCP fast open, sendto), past connect(2)."""
    with socket.socket() as connection:
        connection.sendto(b"x", MSG_FASTOPEN, ("127.0.0.1", targets.control_port))
        return _greeted(targets, connection)


@case(SOCKETS)
def open_fast_by_sendmsg(targets: Targets) -> str:
    """Connect with the first data (TCP fast open, sendmsg)."""
    with socket.socket() as connection:
        connection.sendmsg([b"x"], [], MSG_FASTOPEN, ("127.0.0.1", targets.control_port))
        return _greeted(targets, connection)


@case(SOCKETS)
def open_fast_by_option(targets: Targets) -> str:
    """Connect later than connect(2) says (TCP_FASTOPEN_CONNECT), to an address that was never checked."""
    with socket.socket() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, 30, 1)
        connection.connect(("127.0.0.1", targets.control_port))
        connection.send(b"x")
        return _greeted(targets, connection)


@case(SOCKETS)
def connect_again(targets: Targets) -> str:
    """Connect a socket to its own door, let go of it (AF_UNSPEC), and connect it elsewhere."""
    with socket.socket() as connection:
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", targets.door_port))
        library = ctypes.CDLL(None, use_errno=True)
        if library.connect(connection.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16):
            raise OSError(ctypes.get_errno(), "connect")
        connection.connect(("127.0.0.1", targets.control_port))
        return _greeted(targets, connection)


@case(SOCKETS)
def race_the_guard(targets: Targets) -> str:
    """Change the address in memory while its connection is being decided."""
    library = ctypes.CDLL(None, use_errno=True)
    address = ctypes.create_string_buffer(_address(targets.door_port), 16)
    own, forbidden = struct.pack("!H", targets.door_port), struct.pack("!H", targets.control_port)
    ends = threading.Event()

    def flip() -> None:
        while not ends.is_set():
            ctypes.memmove(ctypes.addressof(address) + 2, forbidden, 2)
            ctypes.memmove(ctypes.addressof(address) + 2, own, 2)

    flipping = threading.Thread(target=flip)
    flipping.start()
    latest = time.monotonic() + 4
    stopped = Stopped("every connection led to its own door, or was refused")
    try:
        for _ in range(RACES):
            if time.monotonic() > latest:
                break
            with socket.socket() as connection:
                if library.connect(connection.fileno(), address, 16):
                    continue
                with contextlib.suppress(OSError):
                    if connection.getpeername()[1] == targets.control_port:
                        return "reached a forbidden port"
        raise stopped
    finally:
        ends.set()
        flipping.join()


def _address(port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton("127.0.0.1"))


@case(SOCKETS)
def connect_from_a_thread(targets: Targets) -> str:
    """Connect from another thread than the first."""
    found: list[str] = []
    errors: list[OSError] = []

    def work() -> None:
        try:
            found.append(_reached(targets, ("127.0.0.1", targets.control_port)))
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return found[0]


@case(SOCKETS)
def connect_unreadably(targets: Targets) -> str:
    """Connect from a process that its supervisor cannot look into (PR_SET_DUMPABLE)."""

    def work() -> None:
        with contextlib.suppress(OSError):  # it may not: then readably
            prctl(4, 0)
        _reached(targets, ("127.0.0.1", targets.control_port))

    child(work)
    return "reached it"


@case(SOCKETS)
def send_a_datagram(targets: Targets) -> str:
    """Send a UDP datagram to this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"out", ("127.0.0.1", targets.datagram_port))
    return "sent it"


@case(SOCKETS)
def ask_a_name_server(targets: Targets) -> str:
    """Carry a secret out in a question to a name server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("198.51.100.1", 53))
    return "has a socket to it"


@case(SOCKETS)
def talk_to_the_kernel(targets: Targets) -> str:
    """Ask the kernel for the machine's addresses (netlink)."""
    socket.socket(16, socket.SOCK_RAW, 0).close()
    return "has a socket"


@case(SOCKETS, open_otherwise=False)
def talk_to_the_host(targets: Targets) -> str:
    """Talk to the host of a virtual machine (vsock)."""
    socket.socket(40, socket.SOCK_STREAM).close()
    return "has a socket"


@case(SOCKETS, open_otherwise=False)
def connect_by_sctp(targets: Targets) -> str:
    """Connect by SCTP."""
    socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).close()
    return "has a socket"


@case(SOCKETS, open_otherwise=False)
def connect_by_smc(targets: Targets) -> str:
    """Connect by SMC."""
    socket.socket(43, socket.SOCK_STREAM, 0).close()
    return "has a socket"


@case(SOCKETS, open_otherwise=False)
def use_the_kernels_ciphers(targets: Targets) -> str:
    """Use the kernel's ciphers (AF_ALG), which had many holes."""
    socket.socket(38, socket.SOCK_SEQPACKET, 0).close()
    return "has a socket"


@case(SOCKETS, open_otherwise=False)
def make_raw_packets(targets: Targets) -> str:
    """Make raw packets."""
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 255).close()
    return "has a socket"


@case(SOCKETS, open_otherwise=False)
def listen_to_the_wire(targets: Targets) -> str:
    """Read everything that crosses the network card (AF_PACKET)."""
    socket.socket(17, socket.SOCK_RAW, 0).close()
    return "has a socket"


@case(SOCKETS)
def listen_at_a_port(targets: Targets) -> str:
    """Bind a port and listen at it."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        return f"listens at {server.getsockname()[1]}"


@case(SOCKETS)
def listen_without_binding(targets: Targets) -> str:
    """Listen without binding, which Landlock's port rule does not see."""
    with socket.socket() as server:
        server.listen()
        return f"listens at {server.getsockname()[1]}"


@case(SOCKETS, open_otherwise=False)
def use_the_ring(targets: Targets) -> str:
    """Make an io_uring, whose operations no filter sees."""
    return f"descriptor {call('io_uring_setup', 4, ctypes.create_string_buffer(256))}"


@case(SOCKETS, open_otherwise=False)
def use_the_numbers_of_x32(targets: Targets) -> str:
    """Make a unix socket by the call's x32 number, which filters may overlook."""
    return f"descriptor {by_number(0x40000000 + 41, 1, 1, 0)}"


@case(SOCKETS, open_otherwise=False)
def use_the_numbers_of_32_bits(targets: Targets) -> str:
    """Make a unix socket through the gate of 32-bit programs (int 0x80)."""
    import mmap

    if platform.machine() != "x86_64":
        raise Stopped("this machine has no such gate")
    # mov eax, 359 (socket); mov ebx, 1; mov ecx, 1; xor edx, edx; int 0x80; with rbx kept.
    code = bytes.fromhex("53 b867010000 bb01000000 b901000000 31d2 cd80 5b c3".replace(" ", ""))
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    gate = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))

    def work() -> None:
        result = gate()
        if result < 0:
            raise OSError(-result, "socket")

    child(work)
    return "has a socket"


@case(SOCKETS, open_otherwise=False)
def type_into_a_terminal(targets: Targets) -> str:
    """Type a command into the operator's terminal (TIOCSTI)."""
    import fcntl

    for path in ("/dev/tty", "/dev/console", "/dev/pts/0"):
        with contextlib.suppress(OSError):
            terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
            fcntl.ioctl(terminal, 0x5412, b"x")
            return f"typed into {path}"
    raise OSError(13, "no terminal")


@case(SOCKETS)
def open_fast_by_sendmmsg(targets: Targets) -> str:
    """Connect with the first data (TCP fast open, sendmmsg)."""
    library = ctypes.CDLL(None, use_errno=True)
    address = ctypes.create_string_buffer(_address(targets.control_port), 16)
    data = ctypes.create_string_buffer(b"x", 1)
    part = ctypes.create_string_buffer(struct.pack("@PN", ctypes.addressof(data), 1))
    head = struct.pack("@PIPNPNi", ctypes.addressof(address), 16, ctypes.addressof(part), 1, 0, 0, 0)
    message = ctypes.create_string_buffer(head, 64)
    with socket.socket() as connection:
        if library.sendmmsg(connection.fileno(), message, 1, MSG_FASTOPEN) < 0:
            raise OSError(ctypes.get_errno(), "sendmmsg")
        return _greeted(targets, connection)
