"""check: what docker-compose.yml promises, held against the file itself. Needs no Docker, and takes a second.

usage: .tools/checks/bin/python tests/compose/check.py
"""

import os
import re
import sys

from ruamel.yaml import YAML

from model import TOP, Compose, env_example, fixed_in_compose, seconds, size

WORKERS = {"worker", "worker-next"}
WAY_OUT = WORKERS | {"edge"}
PARTS = {"redis", "cache", "store"}
# who asks for whom, by the names that it is told
ASKS = {"api": PARTS, "worker": PARTS, "worker-next": PARTS, "prometheus": {"apis", "workers"}, "grafana": {"metrics"}, "edge": {"api", "garage"}}
ONCE = {"prepare", "bucket"}
CAPABILITIES = {"prepare": ["CHOWN"], "edge": ["NET_BIND_SERVICE"]}
# what Haul takes for a duration, and what it does not (the crate jiff reads it; each was asked of `haul-api doctor`)
DURATIONS = {"30s": 30, "90m": 5400, "24h": 86_400, "1h 30m": 5400, "1h30m": 5400, " 24h ": 86_400, "+24h": 86_400, "36hours": 129_600,
             "2 hours": 7200, "1hr": 3600, "24hrs": 86_400, "90min": 5400, "90 mins": 5400, "90 minutes": 5400, "5400sec": 5400,
             "5400 seconds": 5400, "3600000ms": 3600, "5400000 milliseconds": 5400, "1.5h": 5400, "1,5h": 5400, "1h, 30m": 5400,
             "24:00:00": 86_400, "PT24H": 86_400, "pt1h30m": 5400, "PT0.5H": 1800}
NO_DURATIONS = ("", "24", "h", "-24h", "24h ago", "24H", "1d", "1 d", "P1D", "PT", "1h30", "1:30", "1h,", "1h,30m", "30m 1h", "1h 1h",
                ".5h", "soon")
faults: list[str] = []


def hold(is_so: object, fault: str) -> None:
    if not is_so:
        faults.append(fault)


def each_is_confined(file: Compose) -> None:
    built_here = {it["image"] for it in file.all.values() if "build" in it}
    for name, it in file.all.items():
        hold(it.get("read_only") is True, f"{name}: its root can be written to")
        hold(it.get("cap_drop") == ["ALL"], f"{name}: keeps capabilities")
        hold(it.get("cap_add", []) == CAPABILITIES.get(name, []), f"{name}: has other capabilities than are known here")
        hold("no-new-privileges:true" in it.get("security_opt", []), f"{name}: may gain privileges")
        hold(it.get("privileged") is None and it.get("pid") is None, f"{name}: sees the machine")
        for limit in "mem_limit", "pids_limit", "cpus", "ulimits":
            hold(limit in it, f"{name}: has no {limit}")
        hold(it.get("logging", {}).get("options", {}).get("max-size"), f"{name}: its log grows for ever")
        hold(re.search(r":[^:@/]*\d", it["image"]) or it["image"] in built_here, f"{name}: its image has no version")
        for source, target, read_only in file.mounts(name):
            if source.startswith("."):
                hold(read_only, f"{name}: can write to {source}")
                hold((TOP / source).exists(), f"{name}: there is no {source}")
            else:
                hold(source in file.volumes, f"{name}: there is no volume {source}")
            hold("docker.sock" not in source, f"{name}: rules Docker")


def each_image_comes_from_one_place(file: Compose) -> None:
    """Who builds an image is one; its others neither build it at the same time nor ask a registry for it."""
    builders = {name: it["image"] for name, it in file.all.items() if "build" in it}
    for name, image in builders.items():
        others = {other for other in builders if builders[other] == image} - {name}
        hold(not others, f"{name}: {others} would build {image} at the same time")
    for name, it in file.all.items():
        if name not in builders and it["image"] in builders.values():
            hold(it.get("pull_policy") == "never", f"{name}: asks a registry for {it['image']}, which is built here")


def each_says_how_it_is(file: Compose) -> None:
    for name, it in file.all.items():
        if name in ONCE:
            hold(it["restart"] == "no", f"{name}: runs again and again")
            continue
        hold(it["restart"] == "unless-stopped", f"{name}: stays away after a fault")
        hold(it.get("healthcheck", {}).get("test"), f"{name}: nobody knows whether it is ready")
        hold("stop_grace_period" in it, f"{name}: is killed after Docker's ten seconds")
    for name, it in file.all.items():
        for before, how in it.get("depends_on", {}).items():
            ready = "service_completed_successfully" if before in ONCE else "service_healthy"
            hold(how["condition"] == ready, f"{name}: does not wait until {before} is ready")
    # who runs once has to be waited for by somebody, or `up --wait` takes its end for a fault
    waited_for = {before for it in file.services.values() for before in it.get("depends_on", {})}
    hold(ONCE <= waited_for, f"nobody waits for {ONCE - waited_for}")


def only_some_have_a_way_out(file: Compose) -> None:
    for name, it in file.all.items():
        networks = set(it.get("networks", []))
        hold(networks or "network_mode" in it, f"{name}: is in Compose's default network")
        out = {network for network in networks if file.leads_out(network)}
        hold(not out or name in WAY_OUT, f"{name}: reaches the world through {out}")
    for name in "redis", "cache":
        hold(file.all[name]["networks"] == ["inside"], f"{name}: is in another network than inside")
    insiders = {name for name, it in file.all.items() if "inside" in it.get("networks", [])}
    hold(insiders == {"api", "redis", "cache", "garage"} | WORKERS, f"inside are {insiders}")
    hold(set(file.all["edge"]["networks"]) == {"front", "outside"}, "edge: reaches more than what it leads to")
    for network in "doors", "outside":
        options = file.networks[network]["driver_opts"]
        hold(options.get("com.docker.network.bridge.enable_icc") == "false", f"{network}: its members reach each other")
    front = file.networks["front"]["ipam"]["config"][0]["subnet"]
    hold(file.environment("api")["HAUL_TRUSTED_PROXIES"] == front, "api: believes others than the network of the edge")


def each_is_found_where_it_answers(file: Compose) -> None:
    """Docker looks a name up in one network after the other, `doors` before those that are internal, and ends at the first that has it."""
    asks = {name: {found[1] for value in file.environment(name).values() if (found := re.match(r"\w+://([a-z][a-z-]*):\d", value))} for name in file.all}
    read = YAML(typ="safe")
    for job in read.load(TOP / "deploy/prometheus/compose.yml")["scrape_configs"]:
        asks["prometheus"] |= {name for it in job["dns_sd_configs"] for name in it["names"]}
    sources = read.load(TOP / "deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    asks["grafana"] |= {re.fullmatch(r"http://([a-z]+):\d+", it["url"])[1] for it in sources}
    asks["edge"] |= set(re.findall(r"reverse_proxy ([a-z]+):\d", (TOP / "deploy/edge/Caddyfile").read_text()))
    hold({name: names for name, names in asks.items() if names} == ASKS, f"who asks for whom is {asks}")
    for asker, names in asks.items():
        for name in names:
            known = [network for network in file.joins(asker) if any(name in file.joins(other).get(network, []) for other in file.all)]
            hold(len(known) == 1 and file.networks[known[0]].get("internal"), f"{asker}: looks for {name} in {known}")


def all_is_published_on_loopback(file: Compose) -> None:
    for name, it in file.all.items():
        for port in it.get("ports", []):
            hold(port.startswith("127.0.0.1:"), f"{name}: publishes {port}")
    published = {name for name, it in file.services.items() if it.get("ports")}
    hold(published == {"api", "garage"}, f"published are {published}")


def the_default_is_what_is_promised(file: Compose) -> None:
    hold(set(file.services) == {"api", "worker", "redis", "cache", "garage"} | ONCE, f"up starts {set(file.services)}")
    hold(file.services["worker"]["deploy"]["replicas"] == "2", "there are not two workers")
    queue, cache = (TOP / f"deploy/redis/{name}.conf" for name in ("redis", "cache"))
    for conf, lines in (queue, ["appendonly yes", "maxmemory-policy noeviction"]), (cache, ["appendonly no", "maxmemory-policy allkeys-lru"]):
        text = conf.read_text().splitlines()
        hold(set(lines) <= set(text), f"{conf.name}: lacks one of {lines}")
    command = file.services["redis"]["command"]
    limit = size(command[command.index("--maxmemory") + 1])
    # its log is written anew by a copy of itself, which shares what is not written to meanwhile
    hold(2 * limit <= size(file.services["redis"]["mem_limit"]), "redis: is killed before it refuses")
    evicts_at = re.search(r"^maxmemory (\d+)mb$", cache.read_text(), re.M)
    hold(2 * int(evicts_at[1]) << 20 <= size(file.services["cache"]["mem_limit"]), "cache: is killed before it evicts")
    grace = seconds(env_example()["HAUL_SHUTDOWN_GRACE"])
    for name in "api", "worker":
        hold(seconds(file.services[name]["stop_grace_period"]) >= grace + 10, f"{name}: is killed while it hands its jobs back")


def no_secret_is_written_down(file: Compose) -> None:
    for name in file.all:
        for variable, value in file.environment(name).items():
            is_secret = re.search(r"SECRET|PASSWORD|TOKEN|ACCESS_KEY", variable) and not variable.endswith(("_FILE", "_CREATION"))
            hold(not is_secret, f"{name}: {variable} is in its environment")
    readers = {"api-secrets": {"api", "bucket"}, "worker-secrets": WORKERS | {"bucket"}, "store-secrets": {"garage", "bucket"}}
    for volume, known in readers.items():
        read_by = {name for name in file.all if any(source == volume for source, _, _ in file.mounts(name))}
        hold(read_by == known | {"prepare"}, f"{volume}: is read by {read_by}")


def every_knob_is_explained(file: Compose) -> None:
    explained = env_example()
    for name, defaults in file.knobs.items():
        hold(name in explained, f"{name}: .env.example does not explain it")
        if not name.startswith("HAUL_") and name in explained:
            hold(defaults == {explained[name]}, f"{name}: is {defaults} here, and {explained[name]} in .env.example")
    unused = {name for name in explained if not name.startswith(("HAUL_", "COMPOSE_"))} - set(file.knobs)
    hold(not unused, f".env.example explains {unused}, which nobody reads")
    # what is set in .env has to arrive, but for what the file says for good; .env.example tells which these are
    fixed = {name for it in file.all.values() if "env_file" in it for name in it.get("environment", {})} - set(file.knobs)
    told = fixed_in_compose()
    hold(fixed == told, f"docker-compose.yml sets for good what .env.example does not tell, or the other way round: {fixed ^ told}")


def lives_are_read_as_haul_reads_them(_: Compose) -> None:
    os.environ["HAUL_S3_BUCKET"] = "media"
    sys.path.append(str(TOP / "deploy/compose"))
    import bucket

    for text, expected in DURATIONS.items():
        hold(bucket.duration(text) == expected, f"bucket: {text!r} is {bucket.duration(text)} s, not {expected}")
    for text in NO_DURATIONS:
        hold(bucket.duration(text) is None, f"bucket: {text!r} is taken for a duration")
    for lives in bucket.LIVES, bucket.LONGEST:
        for name, default in lives.items():
            hold(default == env_example()[name], f"bucket: {name} is {default} by default")


def main() -> None:
    file = Compose()
    for check in (each_is_confined, each_image_comes_from_one_place, each_says_how_it_is, only_some_have_a_way_out,
                  each_is_found_where_it_answers, all_is_published_on_loopback, the_default_is_what_is_promised, no_secret_is_written_down,
                  every_knob_is_explained, lives_are_read_as_haul_reads_them):
        check(file)
    for fault in faults:
        print(f"check: {fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


main()
