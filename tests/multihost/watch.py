"""Says when each worker's requests went by on the wire: one clock for all of them, whatever theirs say.

Usage: watch.py PORT SPACING INTERFACE…   (SPACING: s between two requests of a worker, as planned)
Prints `ready`; when its stdin ends, `INTERFACE FIRST START` for each, s: its first request, and when its plan began. A
request may be late, and never early: the plan began when the one that was least late says so.
"""

import selectors
import socket
import struct
import sys

# Frames for a bridge are seen by those alone who ask for all of them.
ETH_P_ALL, ETH_P_IP, TCP = 0x0003, 0x0800, 6
# The kernel says when a frame came; whoever reads it may have had to wait for a core.
SO_TIMESTAMPNS = 35


def is_request(frame, port):
    """An IPv4 frame to this TCP port that carries something."""
    if len(frame) < 54 or int.from_bytes(frame[12:14], "big") != ETH_P_IP or frame[23] != TCP:
        return False
    ip = 14 + (frame[14] & 15) * 4
    total, tcp = int.from_bytes(frame[16:18], "big"), (frame[ip + 12] >> 4) * 4
    return int.from_bytes(frame[ip + 2 : ip + 4], "big") == port and total > ip - 14 + tcp


def requests(wire, port):
    """Instants of the requests that have come."""
    while True:
        try:
            frame, beside, _, _ = wire.recvmsg(2048, 64)
        except BlockingIOError:
            return
        if is_request(frame, port):
            seconds, ns = struct.unpack("qq", beside[0][2])
            yield seconds + ns / 1e9


def main():
    port, spacing, interfaces = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    seen, came = selectors.DefaultSelector(), {name: [] for name in interfaces}
    for name in interfaces:
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ALL))
        wire.bind((name, ETH_P_ALL))
        wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        seen.register(wire, selectors.EVENT_READ, name)
    seen.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    over = False
    while not over:
        for key, _ in seen.select():
            if key.data is None:
                over = True
            else:
                came[key.data].extend(requests(key.fileobj, port))
    for name, instants in came.items():
        if instants:
            start = min(at - number * spacing for number, at in enumerate(instants))
            print(f"{name} {instants[0]:.9f} {start:.9f}")


main()
