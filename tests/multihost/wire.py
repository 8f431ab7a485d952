"""A wire between two taps that delays and loses frames: `tc netem` where the kernel has none.

Usage: wire.py NEAR FAR DELAY_TO_FAR DELAY_TO_NEAR JITTER LOSS   (s, s, s, share). Both taps are made in the namespace
that it starts in; it says `ready` then, and goes on when one is moved to another.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
FRAME_MAX = 65536


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def carry(near, far, delays, jitter, loss):
    """Frames come out when they are due, and so overtake each other, as with netem."""
    chance, waiting, number = random.Random(1), [], 0
    while True:
        patience = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select([near, far], [], [], patience)
        for fd in readable:
            try:
                frame = os.read(fd, FRAME_MAX)
            except BlockingIOError:
                continue
            except OSError:
                return  # A tap is gone, and the wire with it.
            if chance.random() < loss:
                continue
            due = time.monotonic() + max(0.0, delays[fd] + chance.uniform(-jitter, jitter))
            number += 1
            heapq.heappush(waiting, (due, number, far if fd == near else near, frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, fd, frame = heapq.heappop(waiting)
            try:
                os.write(fd, frame)
            except OSError:
                pass  # Down, or full: a wire loses what nobody takes.


def main():
    near, far = tap(sys.argv[1]), tap(sys.argv[2])
    to_far, to_near, jitter, loss = map(float, sys.argv[3:])
    print("ready", flush=True)
    carry(near, far, {near: to_far, far: to_near}, jitter, loss)


main()
