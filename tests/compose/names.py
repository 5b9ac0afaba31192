"""names: the server of names that Docker has in each container, at 127.0.0.11. Of the networks of the container the first that knows a name
answers, with the addresses there and no others; names of the rest of the world are those of a file, for who has one.

usage: names.py KNOWN [WORLD]     (both read again for each question; KNOWN: lines of network, address and name, in the order of Docker)
"""

import random
import socket
import struct
import sys

A, IN, TTL_S = 1, 1, 600
ANSWER, NOT_ANSWERED, NO_SUCH_NAME = 0x8180, 2, 3


def lines(file: str) -> list[list[str]]:
    return [line.split() for line in open(file)]


def addresses(name: str) -> list[str]:
    """Moby's `Sandbox.resolveName`: it ends at the first network that has the name, whoever can be reached there."""
    known = [(network, address) for network, address, its in lines(sys.argv[1]) if its == name]
    found = [address for network, address in known if network == known[0][0]]
    random.shuffle(found)
    return found or [address for file in sys.argv[2:] for address, its in lines(file) if its == name]


def answer(question: bytes) -> bytes:
    at, labels = 12, []
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode().lower())
        at += length + 1
    kind = struct.unpack("!H", question[at + 1 : at + 3])[0]
    found = addresses(".".join(labels))
    records = [struct.pack("!HHHIH4s", 0xC00C, A, IN, TTL_S, 4, socket.inet_aton(it)) for it in found] if kind == A else []
    # without a way out there is nobody to ask about the others
    flags = ANSWER if found else ANSWER | (NO_SUCH_NAME if sys.argv[2:] else NOT_ANSWERED)
    head = question[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
    return head + question[12 : at + 5] + b"".join(records)


server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.11", 53))
print("ready", flush=True)
while True:
    asked, client = server.recvfrom(4096)
    server.sendto(answer(asked), client)
