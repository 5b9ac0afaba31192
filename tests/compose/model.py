"""model: docker-compose.yml as Compose reads it: merged, with its variables put in. No knowledge of Haul."""

import re
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML

TOP = Path(__file__).resolve().parents[2]
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def closing(text: str, at: int) -> int:
    """Where the brace ends that is open at this place."""
    depth = 0
    for here in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[here], 0)
        if depth == 0:
            return here
    raise ValueError(f"a brace without its end: {text}")


def put_in(text: str, variables: dict[str, str], seen: dict[str, set[str]]) -> str:
    """`${NAME:-default}` and `$$`; what else Compose knows is not used here. Remembers each name with its defaults."""
    out, at = "", 0
    while (found := text.find("$", at)) >= 0:
        out += text[at:found]
        if text[found + 1 : found + 2] == "$":
            out, at = out + "$", found + 2
            continue
        if text[found + 1 : found + 2] != "{":
            raise ValueError(f"a dollar sign that is no variable: {text}")
        end = closing(text, found + 1)
        inner = text[found + 2 : end]
        name = NAME.match(inner).group()
        rest = inner[len(name) :]
        if not rest.startswith(":-"):
            raise ValueError(f"a variable without a default: {inner}")
        default = put_in(rest[2:], variables, seen)
        seen.setdefault(name, set()).add(rest[2:])
        out, at = out + (variables.get(name) or default), end + 1
    return out + text[at:]


def walk(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, dict):
        return {key: walk(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [walk(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value


class Compose:
    """The file with these variables; `knobs` has every name that it asks for, and the defaults it gives it."""

    def __init__(self, variables: dict[str, str] | None = None, profiles: tuple[str, ...] = ()) -> None:
        raw = YAML(typ="safe").load(TOP / "docker-compose.yml")
        self.variables, self.knobs = variables or {}, {}
        full = walk(raw, lambda text: put_in(text, self.variables, self.knobs))
        self.all = full["services"]
        self.networks, self.volumes = full["networks"], full["volumes"]
        asked = {name: it for name, it in self.all.items() if not set(it.get("profiles", [])) - set(profiles)}
        self.services = asked

    def environment(self, service: str) -> dict[str, str]:
        it = self.all[service]
        from_file = dict(self.variables) if "env_file" in it else {}
        return from_file | it.get("environment", {})

    def joins(self, service: str) -> dict[str, list[str]]:
        """Its networks, in the order in which Docker asks them for a name (Moby's `Endpoint.Less`), each with the names it has there itself."""
        given = self.all[service].get("networks", {})
        given = {name: more or {} for name, more in given.items()} if isinstance(given, dict) else dict.fromkeys(given, {})
        order = sorted(given, key=lambda name: (-given[name].get("gw_priority", 0), self.networks[name].get("internal", False), name))
        return {name: [service, *given[name].get("aliases", [])] for name in order}

    def mounts(self, service: str) -> list[tuple[str, str, bool]]:
        """Source, target, and whether it is read-only; a source of this tree begins with a dot."""
        found = []
        for text in self.all[service].get("volumes", []):
            source, target, *mode = text.split(":")
            found.append((source, target, mode == ["ro"]))
        return found

    def in_order(self) -> list[str]:
        """Each service after what it depends on."""
        done: list[str] = []

        def visit(name: str) -> None:
            if name not in done:
                for before in self.all[name].get("depends_on", {}):
                    visit(before)
                done.append(name)

        for name in self.services:
            visit(name)
        return done

    def leads_out(self, network: str) -> bool:
        it = self.networks[network]
        options = it.get("driver_opts", {})
        return not it.get("internal") and options.get("com.docker.network.bridge.enable_ip_masquerade") != "false"


def env_example() -> dict[str, str]:
    """Every knob that `.env.example` explains, with its default."""
    lines = (TOP / ".env.example").read_text().splitlines()
    assigned = (re.fullmatch(r"#([A-Z][A-Z0-9_]*)=(.*)", line) for line in lines)
    return {found[1]: found[2] for found in assigned if found}


def fixed_in_compose() -> set[str]:
    """Every variable of which the head of `.env.example` tells that docker-compose.yml sets it, whatever `.env` says."""
    head = (TOP / ".env.example").read_text().split("\n\n")[0]
    return set(re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", head))


def seconds(text: str) -> int:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(count) * units[unit] for count, unit in re.findall(r"(\d+)([hms])", text))


def size(text: str) -> int:
    count, unit = re.fullmatch(r"(\d+)([kmg])b?", text).groups()
    return int(count) << {"k": 10, "m": 20, "g": 30}[unit]
