"""machine: what Docker would make of docker-compose.yml, made of the kernel's own parts: networks of bridges, and for each container
namespaces, a root of its own that cannot be written to, its volumes, its user and its capabilities. The programs are this
machine's. No knowledge of Haul, and nothing of images, builds and cgroups.

Everything lives in the namespaces of this process, and is gone with it.
"""

import contextlib
import ipaddress
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from model import TOP, Compose

PATH = "/usr/local/bin:/usr/bin:/bin"
SYSTEM = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "opt"]
ETC = ["passwd", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "protocols", "services", "mime.types"]
PATIENCE_S = 60


def sh(*command: str, check: bool = True, **more) -> subprocess.CompletedProcess:
    return subprocess.run(command, check=check, text=True, capture_output=True, timeout=PATIENCE_S, **more)


def until(what: str, condition: Callable[[], object], within_s: float = PATIENCE_S) -> object:
    end = time.monotonic() + within_s
    while not (answer := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} within {within_s} s")
        time.sleep(0.1)
    return answer


class Image:
    """What a Dockerfile would have brought: who runs what, with which files of this machine beside it."""

    def __init__(self, user: str = "0:0", entrypoint: list[str] | None = None, files: dict[str, str] | None = None,
                 env: dict[str, str] | None = None, owns: dict[str, int] | None = None) -> None:
        self.user, self.entrypoint, self.files = user, entrypoint or [], files or {}
        self.env, self.owns = env or {}, owns or {}


class Container:
    def __init__(self, machine: "Machine", service: str, name: str) -> None:
        self.machine, self.service, self.name = machine, service, name
        self.spec, self.image, self.joins = machine.file.all[service], machine.images[service], machine.file.joins(service)
        self.process: subprocess.Popen | None = None
        self.addresses: dict[str, str] = {}
        self.hosts = machine.work / "names" / name
        self.hosts.touch()
        script = "\n".join(["set -e", *self._root(), "echo ready", "exec sleep infinity"])
        network = self.spec.get("network_mode", "")
        self.shares = machine.containers[network.removeprefix("service:")][0] if network.startswith("service:") else None
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", *([] if self.shares else ["--net"]), "sh", "-c", script],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError(f"{name}: {self.holder.stderr.read()}")
        self.names: subprocess.Popen | None = None
        if not self.shares:
            inside = ["nsenter", "-t", str(self.holder.pid), "-n"]
            sh(*inside, "ip", "link", "set", "lo", "up")
            for setting, value in self.spec.get("sysctls", {}).items():
                sh(*inside, "sh", "-c", f"echo {value} > /proc/sys/{setting.replace('.', '/')}")
            for network in self.joins:
                machine.networks[network].join(self)
            known = [self.hosts, *([machine.world.names] if any(map(machine.file.leads_out, self.addresses)) else [])]
            self.names = subprocess.Popen([*inside, sys.executable, str(Path(__file__).with_name("names.py")), *known], stdout=subprocess.PIPE)
            self.names.stdout.readline()

    def _root(self) -> list[str]:
        root = self.machine.work / "roots" / self.name
        lines = [f"mkdir -p {root} && mount -t tmpfs -o mode=755 tmpfs {root} && cd {root} && mkdir -p etc dev proc sys .old"]
        for name in SYSTEM:
            if Path(f"/{name}").is_symlink():
                lines.append(f"cp -P /{name} {name}")
            elif Path(f"/{name}").is_dir():
                lines.append(f"mkdir {name} && mount --bind /{name} {name} && mount -o remount,bind,ro {name}")
        for name in "dev", "proc", "sys":
            lines.append(f"mount --rbind /{name} {name}")
        lines.append(f"cp -a {' '.join(f'/etc/{name}' for name in ETC if Path(f'/etc/{name}').exists())} etc/")
        lines.append("mkdir -p etc/ssl && mount --bind /etc/ssl etc/ssl")
        lines.append("echo 127.0.0.1 localhost > etc/hosts && echo nameserver 127.0.0.11 > etc/resolv.conf && echo hosts: files dns > etc/nsswitch.conf")
        binds = [(there, here, True) for here, there in self.image.files.items()]
        for source, target, read_only in self.machine.file.mounts(self.service):
            place = TOP / source if source.startswith((".", "/")) else self.machine.volume(source, self.image.owns.get(target, 0))
            binds.append((str(place), target, read_only))
        for text in self.spec.get("tmpfs", []):
            target, _, options = text.partition(":")
            lines.append(f"mkdir -p .{target} && mount -t tmpfs -o nosuid,nodev,noexec,{options} tmpfs .{target}")
        # /a before /a/b
        for source, target, read_only in sorted(binds, key=lambda bind: bind[1]):
            make = f"mkdir -p .{target}" if Path(source).is_dir() else f"mkdir -p $(dirname .{target}) && {{ [ -e .{target} ] || : > .{target}; }}"
            lines.append(f"{make} && mount --bind {source} .{target}" + (f" && mount -o remount,bind,ro .{target}" if read_only else ""))
        lines.append("mount -o remount,ro . && pivot_root . .old && cd / && umount -l /.old")
        return lines

    def _inside(self, command: list[str]) -> list[str]:
        network = self.shares or self
        user, _, group = (self.spec.get("user") or self.image.user).partition(":")
        capabilities = ",".join(["-all", *(f"+{name.lower()}" for name in self.spec.get("cap_add", []))])
        env = {"PATH": PATH, "HOME": "/", "HOSTNAME": self.name} | self.image.env | self.machine.file.environment(self.service)
        variables = [f"{name}={value}" for name, value in env.items()]
        return ["nsenter", "-t", str(network.holder.pid), "-n", "nsenter", "-t", str(self.holder.pid), "-m", "unshare", "--uts",
                "sh", "-c", 'hostname "$0" && exec "$@"', self.name,
                "setpriv", f"--reuid={user}", f"--regid={group or user}", "--clear-groups", f"--bounding-set={capabilities}",
                "--inh-caps=-all", "--no-new-privs", "env", "-i", *variables, *command]

    def run(self, *command: str) -> subprocess.CompletedProcess:
        """Like `docker compose exec`."""
        return sh(*self._inside(list(command)), check=False)

    def start(self) -> None:
        command = self.spec.get("entrypoint") or self.image.entrypoint
        given = self.spec.get("command", [])
        log = open(self.machine.work / "log" / f"{self.name}.log", "a")
        self.process = subprocess.Popen(self._inside([*command, *given]), stdout=log, stderr=log, start_new_session=True)

    def is_healthy(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} has ended:\n{self.log()}")
        kind, *test = self.spec["healthcheck"]["test"]
        command = ["sh", "-c", *test] if kind == "CMD-SHELL" else test
        return self.run(*command).returncode == 0

    def log(self) -> str:
        return "".join((self.machine.work / "log" / f"{self.name}.log").read_text().splitlines(keepends=True)[-25:])

    def stop(self, signal: str = "TERM") -> int:
        sh("kill", f"-{signal}", str(self.process.pid), check=False)
        try:
            return self.process.wait(timeout=int(self.spec["stop_grace_period"].removesuffix("s")))
        finally:
            self.process.kill()

    def remove(self) -> None:
        while self.addresses:
            self.machine.networks[self.addresses.popitem()[0]].leave(self)
        if self.names:
            self.names.kill()
            self.names.wait()
        self.holder.kill()
        self.holder.wait()


class Network:
    def __init__(self, machine: "Machine", name: str, number: int) -> None:
        self.machine, self.name, self.spec = machine, name, machine.file.networks[name]
        pool = self.spec.get("ipam", {}).get("config", [{}])[0].get("subnet", f"10.90.{number}.0/24")
        self.subnet = ipaddress.ip_network(pool)
        self.free = self.subnet.hosts()
        self.gateway = next(self.free)
        self.members: list[Container] = []
        sh("ip", "link", "add", "name", name, "type", "bridge")
        sh("ip", "link", "set", name, "up")
        if not self.spec.get("internal"):
            sh("ip", "address", "add", f"{self.gateway}/{self.subnet.prefixlen}", "dev", name)
        if machine.file.leads_out(name):
            sh("iptables", "-t", "nat", "-A", "POSTROUTING", "-s", str(self.subnet), "-o", "world", "-j", "MASQUERADE")

    def join(self, container: Container) -> None:
        address, pid = next(self.free), str(container.holder.pid)
        port, device = f"v{os.urandom(4).hex()}", f"eth{len(container.addresses)}"
        sh("ip", "link", "add", port, "type", "veth", "peer", "name", device, "netns", pid)
        sh("ip", "link", "set", port, "master", self.name, "up")
        if self.spec.get("driver_opts", {}).get("com.docker.network.bridge.enable_icc") == "false":
            sh("ip", "link", "set", "dev", port, "type", "bridge_slave", "isolated", "on")
        inside = ["nsenter", "-t", pid, "-n", "ip"]
        sh(*inside, "address", "add", f"{address}/{self.subnet.prefixlen}", "dev", device)
        sh(*inside, "link", "set", device, "up")
        if not self.spec.get("internal"):
            sh(*inside, "route", "replace", "default", "via", str(self.gateway))
        container.addresses[self.name] = str(address)
        self.members.append(container)
        self.tell()

    def leave(self, container: Container) -> None:
        self.members.remove(container)
        self.tell()

    def tell(self) -> None:
        """Each member of all that it may ask for, network by network: the first that has a name answers for all."""
        for member in self.members:
            networks = [self.machine.networks[network] for network in member.joins if network in member.addresses]
            known = [f"{network.name} {other.addresses[network.name]} {name}\n"
                     for network in networks for other in network.members for name in other.joins[network.name]]
            new = member.hosts.with_suffix(".new")
            new.write_text("".join(known))
            new.rename(member.hosts)


class Machine:
    def __init__(self, work: Path, images: dict[str, Image]) -> None:
        self.work, self.images, self.containers, self.doors = work, images, {}, {}
        for name in "roots", "log", "volumes", "names":
            (work / name).mkdir()
        self.file = Compose()
        self.world = World(work / "names" / "world")
        self.networks = {name: Network(self, name, number) for number, name in enumerate(self.file.networks)}

    def volume(self, name: str, owner: int) -> Path:
        place = self.work / "volumes" / name
        if not place.exists():
            place.mkdir(mode=0o755)
            os.chown(place, owner, owner)
        return place

    def up(self, variables: dict[str, str] | None = None, profiles: tuple[str, ...] = ()) -> None:
        """Like `docker compose up -d --wait`, but that what is there stays as it is: `down` first what shall be another."""
        self.file = Compose(variables, profiles)
        for service in self.file.in_order():
            is_there = service in self.containers and self.file.all[service]["restart"] != "no"
            # of some there is no program here
            if service in self.images and not is_there:
                self.begin(service)

    def begin(self, service: str) -> None:
        spec = self.file.all[service]
        count = int(spec.get("deploy", {}).get("replicas", 1))
        made = [Container(self, service, f"{service}-{number + 1}") for number in range(count)]
        self.containers[service] = made
        for container in made:
            container.start()
        for container in made:
            if spec["restart"] == "no":
                if container.process.wait(timeout=PATIENCE_S) != 0:
                    raise RuntimeError(f"{container.name} has failed:\n{container.log()}")
                container.remove()
            else:
                until(f"{container.name} is healthy", container.is_healthy)
        for port in spec.get("ports", []):
            self.publish(port, made[0])

    def place(self, service: str, image: Image) -> Container:
        """A container in which nothing runs: what stands there of a service of which there is no program here."""
        self.images[service] = image
        self.containers[service] = [Container(self, service, f"{service}-1")]
        return self.containers[service][0]

    def down(self, service: str) -> list[int]:
        """Stops all of a service, at once as Compose does."""
        codes: list[int] = []
        stopping = [threading.Thread(target=lambda it=it: codes.append(it.stop())) for it in self.containers[service]]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        for container in self.containers.pop(service):
            container.remove()
        return codes

    def publish(self, port: str, container: Container) -> None:
        address, outer, inner = port.rsplit(":", 2)
        inner, _, protocol = inner.partition("/")
        network = next(name for name in container.addresses if not self.networks[name].spec.get("internal"))
        target = container.addresses[network], int(inner)
        if address == "127.0.0.1":
            is_new = outer not in self.doors
            self.doors[outer] = target
            if is_new:
                listener = socket.create_server((address, int(outer)))
                threading.Thread(target=self.door, args=(listener, outer), daemon=True).start()
        else:
            sh("iptables", "-t", "nat", "-A", "PREROUTING", "-i", "world", "-p", protocol or "tcp", "--dport", outer, "-j", "DNAT",
               "--to-destination", f"{target[0]}:{inner}")

    def door(self, listener: socket.socket, port: str) -> None:
        """Docker's own proxy for what is published on loopback."""
        while True:
            client, _ = listener.accept()
            threading.Thread(target=self.carry, args=(client, port), daemon=True).start()

    def carry(self, client: socket.socket, port: str) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self.doors[port], timeout=PATIENCE_S) as server:
            def copy(source: socket.socket, sink: socket.socket) -> None:
                with contextlib.suppress(OSError):
                    while data := source.recv(65536):
                        sink.sendall(data)
                    sink.shutdown(socket.SHUT_WR)
            back = threading.Thread(target=copy, args=(server, client), daemon=True)
            back.start()
            copy(client, server)
            back.join()


class World:
    """All that is outside: one machine that has many addresses, and no way to those of containers."""

    SITE, OURS = "93.184.215.77", "198.18.0.1"

    def __init__(self, names: Path) -> None:
        self.names = names
        names.write_text("".join(f"{self.SITE} {name}\n" for name in ("example.com", "media.example.com")))
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity"], stdout=subprocess.PIPE, text=True)
        self.holder.stdout.readline()
        pid = str(self.holder.pid)
        sh("ip", "link", "set", "lo", "up")
        sh("ip", "link", "add", "world", "type", "veth", "peer", "name", "eth0", "netns", pid)
        sh("ip", "address", "add", f"{self.OURS}/30", "dev", "world")
        sh("ip", "link", "set", "world", "up")
        self.inside("ip", "link", "set", "lo", "up")
        self.inside("ip", "address", "add", "198.18.0.2/30", "dev", "eth0")
        self.inside("ip", "link", "set", "eth0", "up")
        for address in self.SITE, "93.184.215.78", "192.168.77.5", "192.168.77.6":
            self.inside("ip", "address", "add", f"{address}/32", "dev", "lo")
            sh("ip", "route", "add", address, "via", "198.18.0.2")

    def command(self, *command: str) -> list[str]:
        return ["nsenter", "-t", str(self.holder.pid), "-n", *command]

    def inside(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        return sh(*self.command(*command), check=check)


def say(what: str) -> None:
    print(f"compose: {what}", file=sys.stderr, flush=True)


def which(name: str) -> str:
    found = shutil.which(name, path=f"{TOP}/.tools/bin:{PATH}:/usr/sbin:/sbin")
    if not found:
        sys.exit(f"compose: {name} is missing")
    return os.path.realpath(found)


def number(text: str) -> int:
    return int(re.search(r"\d+", text)[0])
