"""How a rival in Python speaks with the benchmark that started it (`tests/bench/roles.rs`), and the job that is nothing.

A part says "ready", is told a line for each thing that it is to do, and says a line for each result. It ends when its
standard input does, so that none outlives a benchmark that was killed.
"""

import ctypes
import os
import signal
import threading
import time

# what the job does beside nothing: "say" when it begins, or "hang" after it has said that
mode = None


def noop():
    if mode:
        say(now_ms())
    if mode == "hang":
        time.sleep(3600)


def now_ms():
    """By the machine's monotonic clock, as node's `process.hrtime` tells it."""
    return time.monotonic_ns() / 1e6


def say(line):
    # not print: a forked child has a copy of its buffer
    os.write(1, f"{line}\n".encode())


def orders():
    """The lines that it is told."""
    # not sys.stdin: a child that is forked meanwhile would inherit its lock
    rest = b""
    while some := os.read(0, 65536):
        *lines, rest = (rest + some).split(b"\n")
        yield from (line.decode() for line in lines)


def end_with_input(children=lambda: ()):
    def wait():
        for _ in orders():
            pass
        for child in children():
            child.kill()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def die_with_parent():
    """A part that is killed takes its children along (`PR_SET_PDEATHSIG` of prctl(2))."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
