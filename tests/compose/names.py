"""names: the server of names that Docker has in each container, at 127.0.0.11: all addresses of a service, and of the rest of the world
what a file says. usage: names.py HOSTS...     (read again for each question)
"""

import socket
import struct
import sys

A, IN, ANSWER, NO_SUCH_NAME = 1, 1, 0x8580, 3


def addresses(name: str) -> list[str]:
    lines = [line.split() for file in sys.argv[1:] for line in open(file)]
    return [line[0] for line in lines if len(line) == 2 and line[1] == name]


def answer(question: bytes) -> bytes:
    at, labels = 12, []
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode().lower())
        at += length + 1
    kind = struct.unpack("!H", question[at + 1 : at + 3])[0]
    found = addresses(".".join(labels))
    records = [struct.pack("!HHHIH4s", 0xC00C, A, IN, 1, 4, socket.inet_aton(it)) for it in found] if kind == A else []
    flags = ANSWER if found else ANSWER | NO_SUCH_NAME
    head = question[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
    return head + question[12 : at + 5] + b"".join(records)


server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.11", 53))
print("ready", flush=True)
while True:
    asked, client = server.recvfrom(4096)
    server.sendto(answer(asked), client)
