"""Tries to get out of the sandbox, and says what came of each try: `denied`, or what was possible.

Arguments: what belongs to others, as JSON (`sandbox.rs`).
"""

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import struct
import subprocess
import sys
import threading

libc = ctypes.CDLL(None, use_errno=True)
other = json.loads(sys.argv[1])
DENIED = (errno.EPERM, errno.EACCES, errno.ENOSYS)


def call(number, *arguments):
    if libc.syscall(number, *(ctypes.c_long(one) if isinstance(one, int) else one for one in arguments)) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def attempt(name, what, *also_denied):
    try:
        what()
        outcome = 'possible'
    except OSError as error:
        is_denied = error.errno in DENIED + also_denied
        outcome = 'denied' if is_denied else errno.errorcode.get(error.errno, repr(error))
    except Exception as error:
        outcome = repr(error)
    print(f'{name}: {outcome}')


def read(path):
    with open(path, 'rb') as file:
        file.read(1)


def write(path):
    with open(path, 'wb') as file:
        file.write(b'x')


def dial(address, *kind):
    with socket.socket(socket.AF_INET, *kind) as it:
        it.settimeout(5)
        it.connect(tuple(address))
        return it.recv(5)


def own_room():
    os.mkdir('folder')
    write('folder/a')
    os.rename('folder/a', 'folder/b')
    read('folder/b')
    os.truncate(os.open('folder/b', os.O_RDWR), 0)
    os.unlink('folder/b')
    write('c')


def guard():
    if other['greets']:
        if dial(other['guard']) != b'guard':
            raise ValueError('somebody else')
    else:
        socket.create_connection(tuple(other['guard']), 5).close()


def threads():
    one = threading.Thread(target=own_thread)
    one.start()
    one.join()


def own_thread():
    subprocess.run(['/bin/true'], check=True)


def run_own_program():
    write('program')
    os.fchmod(os.open('program', os.O_RDONLY), 0o755)
    subprocess.run(['./program'])


def fast_open():
    with socket.socket() as it:
        it.sendto(b'x', 0x20000000, tuple(other['elsewhere']))


def datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        it.sendto(b'x', tuple(other['elsewhere']))


def wait_for_guests():
    with socket.socket() as it:
        it.listen()


# what a program needs
attempt('own directory', own_room)
attempt('guard', guard)
attempt('threads and programs', threads)
attempt('/dev/urandom', lambda: read('/dev/urandom'))
print('--')
# files
attempt('/etc/passwd', lambda: read('/etc/passwd'))
attempt('environment of the worker', lambda: read(f'/proc/{other["worker"]}/environ'))
attempt('command line of the worker', lambda: read(f'/proc/{other["worker"]}/cmdline'))
attempt('file of another job', lambda: read(other['file']))
attempt('writing to it', lambda: write(other['file']))
attempt('cutting it', lambda: os.truncate(other['file'], 0))
attempt('linking it', lambda: os.link(other['file'], 'link'), errno.EXDEV)
attempt('its mode', lambda: os.chmod(other['file'], 0))
attempt('its times', lambda: os.utime(other['file']))
attempt('its attributes', lambda: os.setxattr(other['file'], 'user.x', b'x'))
attempt('list of jobs', lambda: os.listdir(other['home']))
attempt('watching them', lambda: call(254, libc.inotify_init(), other['home'].encode(), 0xfff))
attempt('/tmp', lambda: write('/tmp/escaped'))
attempt('symbolic link', lambda: os.symlink('/etc/passwd', 'link'))
attempt('moving to another folder', lambda: os.rename('c', 'folder/c'), errno.EXDEV)
attempt('named pipe', lambda: os.mkfifo('pipe'))
attempt('running what it wrote', run_own_program)
attempt('/dev/mem', lambda: read('/dev/mem'), errno.ENOENT)
# the net
attempt('another port', lambda: dial(other['elsewhere']))
attempt('another port, by a first packet with data', fast_open)
attempt('another port, by MPTCP', lambda: dial(other['elsewhere'], socket.SOCK_STREAM, 262))
attempt('datagram', datagram)
attempt('raw socket', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt('netlink', lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt('packets', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt('local socket', lambda: socket.socket(socket.AF_UNIX))
attempt('local datagrams', lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
attempt('cryptography of the kernel', lambda: socket.socket(38, socket.SOCK_SEQPACKET))
attempt('a port of its own', lambda: socket.socket().bind(('127.0.0.1', 0)))
attempt('guests', wait_for_guests)
# other processes
attempt('signal to the worker', lambda: os.kill(other['worker'], 0), errno.ESRCH)
attempt('limits of the worker', lambda: resource.prlimit(other['worker'], resource.RLIMIT_NOFILE, (1, 1)), errno.ESRCH)
attempt('turns of the worker', lambda: os.setpriority(os.PRIO_PROCESS, other['worker'], 19), errno.ESRCH)
attempt('turns of all', lambda: os.setpriority(os.PRIO_USER, 0, 19))
attempt('ptrace', lambda: call(101, 0, 0, 0, 0))
attempt('memory of the worker', lambda: call(310, other['worker'], 0, 0, 0, 0, 0))
attempt('shared memory', lambda: call(29, 0, 4096, 0o1600))
# memory that no limit counts
attempt('memory as a file', lambda: os.memfd_create('memory'))
attempt('memory that is shared', lambda: mmap.mmap(-1, 4096, mmap.MAP_SHARED))
attempt('memory that is a device', lambda: mmap.mmap(os.open('/dev/zero', os.O_RDWR), 4096, mmap.MAP_SHARED))
attempt('memory that grows like a stack', lambda: mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100))
attempt('to be spared when memory runs out', lambda: write('/proc/self/oom_score_adj'))
# the kernel
attempt('namespaces', lambda: call(272, 0x10000000))
attempt('namespaces by clone', lambda: call(56, 0x10000000 | 17, 0, 0, 0, 0))
attempt('clone3', lambda: call(435, bytes(88), 88))
attempt('other namespaces', lambda: call(308, 0, 0))
attempt('mount', lambda: call(165, b'none\0', b'/tmp\0', b'tmpfs\0', 0, 0))
attempt('new root', lambda: os.chroot('.'))
attempt('io_uring', lambda: call(425, 1, bytes(120)))
attempt('bpf', lambda: call(321, 0, bytes(48), 48))
attempt('keys', lambda: call(250, 0, -1, 0, 0, 0))
attempt('userfaultfd', lambda: call(323, 0))
attempt('perf', lambda: call(298, bytes(64), 0, -1, -1, 0))
attempt('handles', lambda: call(304, -100, bytes(8), 0))
attempt('modules', lambda: call(313, 0, b'\0', 0))
attempt('a call of x32', lambda: call(0x40000000 | 39))
attempt('a call that is newer than the sandbox', lambda: call(1000))
attempt('capabilities', lambda: libc.capset(struct.pack('=Ii', 0x20080522, 0), b'\xff' * 24) and call(165, 0, 0, 0, 0, 0))
