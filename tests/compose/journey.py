"""journey: docker-compose.yml from its first start to an update in place, without Docker (machine.py).

One POST, one link, one scrape; who reaches whom; a second start that changes nothing; a key made anew; API and workers replaced; a
worker that is killed; Prometheus, which finds them by their names, and is found where Grafana stands; then the edge, with TLS, as
clients of other addresses see it.
usage: tests/compose/run
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from email.message import Message
from pathlib import Path

from ruamel.yaml import YAML

from machine import Image, Machine, World, number, say, sh, until, which
from model import TOP

BIN = Path(sys.argv[1]).resolve()
API = "http://127.0.0.1:8080"
SITE = "http://media.example.com"
MEDIA = f"{SITE}/clip.mp4"


def hold(is_so: object, fault: str) -> None:
    if not is_so:
        raise AssertionError(fault)


def images() -> dict[str, Image]:
    redis = number(sh("id", "-u", "redis").stdout)
    venv = (TOP / ".tools/venv").resolve()
    base = sh(str(venv / "bin/python"), "-c", "import sys; print(sys.base_prefix)").stdout.strip()
    python = {str(venv): str(venv)} | ({} if base == "/usr" else {base: base})
    ours = {"/usr/local/bin": str(BIN)}
    worker = Image("10001:10001", ["haul-worker"], ours | python, {"HAUL_YTDLP": f"{venv}/bin/yt-dlp"}, {"/scratch": 10001})
    server = Image(owns={"/data": redis})
    return {
        "api": Image("10001:10001", ["haul-api"], ours),
        "worker": worker,
        "worker-next": worker,
        "prepare": worker,
        "bucket": worker,
        "redis": server,
        "cache": server,
        "garage": Image(files={"/garage": which("garage")}),
        "edge": Image(entrypoint=["/program", "run", "--config", "/etc/caddy/Caddyfile"], files={"/program": which("caddy")},
                      env={"XDG_CONFIG_HOME": "/config", "XDG_DATA_HOME": "/data"}),
        "prometheus": Image("65534:65534", ["/program"], {"/program": which("prometheus")}, owns={"/prometheus": 65534}),
    }


def lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def ask(method: str, url: str, body: object = None, headers: dict[str, str] | None = None) -> tuple[int, dict, bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} | (headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=70) as answer:
            return answer.status, lower(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, lower(error.headers), error.read()


def order(**more: object) -> str:
    status, _, body = ask("POST", f"{API}/api/v1/downloads", {"url": MEDIA, "format": "original"} | more)
    hold(status in (200, 202), f"an order is answered {status} {body}")
    return json.loads(body)["id"]


def completed(job: str) -> dict:
    def ended() -> dict | None:
        status, _, body = ask("GET", f"{API}/api/v1/downloads/{job}?wait=30")
        it = json.loads(body)
        return it if status == 200 and it["status"] not in ("queued", "running") else None

    it = until(f"job {job} ends", ended, 120)
    hold(it["status"] == "completed", f"job {job} is {it['status']}: {it['error']}")
    return it


def link(job: str) -> str:
    return json.loads(ask("GET", f"{API}/api/v1/downloads/{job}/link")[2])["url"]


def a_first_start(machine: Machine, original: bytes) -> str:
    machine.up()
    say("everything is healthy")
    job = order()
    completed(job)
    url = link(job)
    hold(url.startswith("http://127.0.0.1:3900/media/m/"), f"a link leads to {url.split('?')[0]}")
    status, headers, body = ask("GET", url)
    hold((status, body) == (200, original), f"the link is answered {status}, {len(body)} bytes")
    hold("immutable" in headers["cache-control"], f"a result may be kept: {headers['cache-control']}")
    hold("haul_build_info" in ask("GET", f"{API}/metrics")[2].decode(), "there is nothing to scrape")
    say("one POST, one link, one scrape")
    return job


def who_reaches_whom(machine: Machine) -> None:
    of = {service: made[0] for service, made in machine.containers.items()}
    inside = {service: of[service].addresses["inside"] for service in ("redis", "cache", "garage")}
    ports = {"redis": 6379, "cache": 6379, "garage": 3900}

    def reaches(service: str, address: str, port: int) -> bool:
        program = f"import socket; socket.create_connection(('{address}', {port}), 2)"
        return of[service].run("/usr/bin/python3", "-c", program).returncode == 0

    for service in of:
        hold(reaches(service, World.SITE, 80) == (service in ("worker", "edge")), f"{service} and the world")
    for service in "api", "worker":
        for other, address in inside.items():
            hold(reaches(service, address, ports[other]), f"{service} does not reach {other}")
        # what is administered on its own loopback stays there
        hold(not reaches(service, inside["garage"], 3903) and not reaches(service, inside["garage"], 3901), f"{service} administers the store")
    hold(not reaches("api", of["garage"].addresses["doors"], 3900), "what is published reaches each other where it is")
    workers = machine.containers["worker"]
    hold(not reaches("worker", workers[1].addresses["outside"], 9091), "workers reach each other where they go out")
    for service, made in machine.containers.items():
        for container in made:
            hold(container.run("touch", "/usr/here").returncode != 0 and container.run("touch", "/here").returncode != 0, f"{service} writes to its root")
    hold(of["api"].run("cat", "/secrets/rpc_secret").returncode != 0, "the API reads secrets of the store")
    say("only workers reach the world, and nobody what is not its own")


def garage(machine: Machine, call: str, **said: object) -> dict:
    answer = machine.containers["garage"][0].run("/garage", "json-api", call, json.dumps(said))
    hold(answer.returncode == 0, f"{call}: {answer.stderr}")
    return json.loads(answer.stdout)


def what_the_bucket_lets(machine: Machine) -> dict:
    info = garage(machine, "GetBucketInfo", globalAlias="media")
    info["keys"].sort(key=lambda key: key["name"])
    rights = {key["name"]: key["permissions"] for key in info["keys"]}
    hold(rights == {"haul-api": {"read": True, "write": False, "owner": False}, "haul-worker": {"read": True, "write": True, "owner": False}},
         f"the keys may {rights}")
    rules = {rule["ID"]: rule for rule in info["lifecycleRules"]}
    hold(rules["results"]["Expiration"]["Days"] == 3, f"results expire by {rules}")
    hold(rules["uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 1, f"uploads expire by {rules}")
    return info


def nothing_is_amiss(machine: Machine) -> None:
    for service, program in ("api", "haul-api"), ("worker", "haul-worker"):
        said = machine.containers[service][0].run(program, "doctor", "--json").stdout
        failed = [it for it in json.loads(said)["checks"] if it["status"] == "fail"]
        hold(not failed, f"the doctor of the {service}: {failed}")


def a_second_start_changes_nothing(machine: Machine, before: dict, first: str) -> None:
    def secrets() -> dict[str, str]:
        return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in (machine.work / "volumes").glob("*-secrets/*")}

    known = secrets()
    hold(len(known) == 4, f"there are {len(known)} secrets")
    machine.begin("prepare")
    machine.begin("bucket")
    hold(secrets() == known, "a second start has made other secrets")
    now = what_the_bucket_lets(machine)
    same = "id", "keys", "lifecycleRules"
    hold(all(now[it] == before[it] for it in same), f"a second start has changed the bucket: {now}")
    hold(ask("GET", link(first))[0] == 200, "a second start has lost a result")
    made = [line for name in ("prepare-1", "bucket-1") for line in (machine.work / "log" / f"{name}.log").read_text().splitlines() if "is made" in line]
    hold(len(made) == 7, f"made was {made}")
    say("a second start has changed nothing")


def a_key_is_made_anew(machine: Machine, first: str) -> None:
    """As docs/DEPLOYMENT.md says it. A key of the operator's (docs/OPERATIONS.md) stays, though its name begins as ours do."""
    before = link(first)
    bucket, other = garage(machine, "GetBucketInfo", globalAlias="media")["id"], garage(machine, "CreateKey", name="haul-2")["accessKeyId"]
    garage(machine, "AllowBucketKey", bucketId=bucket, accessKeyId=other, permissions={"read": True, "write": True, "owner": False})
    (machine.work / "volumes/api-secrets/credentials").unlink()
    for service in "prepare", "bucket":
        machine.begin(service)
    machine.down("api")
    machine.up(machine.file.variables)
    hold(ask("GET", link(first))[0] == 200, "the new key opens nothing")
    hold(ask("GET", before)[0] == 403, "a link of the former key opens something")
    keys = {key["accessKeyId"]: key["name"] for key in garage(machine, "GetBucketInfo", globalAlias="media")["keys"]}
    hold(keys.get(other) == "haul-2", f"a key of the operator's is gone: {keys}")
    garage(machine, "DeleteKey", id=other)
    what_the_bucket_lets(machine)
    say("a key is made anew, and the former one opens nothing")


def running(url: str) -> tuple[str, str]:
    job = order(url=url)

    return job, until(f"job {job} runs", lambda: view(job)["worker"])


def view(job: str) -> dict:
    return json.loads(ask("GET", f"{API}/api/v1/downloads/{job}")[2])


def all_are_replaced(machine: Machine, first: str) -> None:
    """`docker compose up -d --build` after a change of .env, too: a worker that is asked to end finishes what it has begun."""
    before = link(first)
    job, _ = running(f"{SITE}/slow/clip.mp4?drained")
    codes = machine.down("worker") + machine.down("api")
    hold(codes == [0, 0, 0], f"they end with {codes}")
    logs = [log.read_text() for log in (machine.work / "log").glob("worker-*")]
    hold(sum(log.count(" done\"") for log in logs) == 2, "a worker that was asked to end has not finished its job")
    machine.up({"WORKERS": "3", "HAUL_LEASE": "4s"})
    hold(view(job)["status"] == "completed", "what was finished is not told")
    hold(ask("GET", before)[0] == 200, "a link does not survive an update")
    say("API and workers are replaced in place: what runs is finished, and nothing is lost")


def a_worker_dies(machine: Machine) -> None:
    job, was = running(f"{SITE}/slow/clip.mp4?killed")
    dead = next(it for it in machine.containers["worker"] if was.startswith(f"w-{it.name}-"))
    dead.stop("KILL")
    until("another worker has it", lambda: view(job)["worker"] not in (None, was))
    completed(job)
    # as `restart: unless-stopped` has it
    dead.start()
    until(f"{dead.name} is healthy again", dead.is_healthy)
    say("a worker is killed, and another does its work")


def each_is_read(machine: Machine) -> None:
    """With a worker on trial. Whoever is found is read: what Prometheus finds and does not reach is told as down, and somebody is called."""
    machine.up({}, ("observe", "next"))
    expected = {("haul-api", "up"): 1, ("haul-worker", "up"): 4}

    def seen() -> list[dict] | None:
        targets = json.loads(ask("GET", "http://127.0.0.1:9090/api/v1/targets")[2])["data"]["activeTargets"]
        jobs = {target["labels"]["job"] for target in targets}
        return targets if len(targets) >= 5 and len(jobs) == 2 and all(it["health"] != "unknown" for it in targets) else None

    targets = until("one API and four workers are found", seen)
    found = Counter((target["labels"]["job"], target["health"]) for target in targets)
    hold(found == expected, f"read are {[(it['scrapeUrl'], it['health'], it['lastError']) for it in targets]}")
    groups = json.loads(ask("GET", "http://127.0.0.1:9090/api/v1/rules")[2])["data"]["groups"]
    hold({"haul-queue", "haul-processes-alerts"} <= {group["name"] for group in groups}, "Prometheus does not know the rules")

    # Grafana is not here, but where it stands its source of data has an answer
    grafana = machine.place("grafana", Image("472:0"))
    [source] = YAML(typ="safe").load(grafana.run("cat", "/etc/grafana/provisioning/datasources/prometheus.yml").stdout)["datasources"]
    said = grafana.run("curl", "-sS", "--max-time", "5", f"{source['url']}/api/v1/query?query=count(up==1)")
    hold(said.returncode == 0, f"Grafana at {source['url']}: {said.stderr}")
    [count] = json.loads(said.stdout)["data"]["result"]
    hold(count["value"][1] == "5", f"Grafana would show {count}")
    say("Prometheus reads the API, each of three workers and the one on trial, and Grafana's questions reach it")


class Visitor:
    """curl at another address, which trusts the edge's own authority."""

    def __init__(self, machine: Machine, address: str) -> None:
        self.machine, self.address = machine, address

    def command(self, url: str, *options: str) -> list[str]:
        authority = self.machine.work / "volumes/edge/caddy/pki/authorities/local/root.crt"
        names = [part for name in ("haul.localhost", "media.localhost") for port in (80, 443) for part in ("--connect-to", f"{name}:{port}:{World.OURS}:{port}")]
        return ["curl", "-sS", "-D", "-", "--max-time", "60", "--interface", self.address, "--cacert", str(authority), *names, *options, url]

    def get(self, url: str, *options: str) -> tuple[int, str]:
        said = self.machine.world.inside(*self.command(url, *options), check=False)
        hold(said.returncode == 0, f"{url}: {said.stderr}")
        head = said.stdout.splitlines()
        return int(head[0].split()[1]), said.stdout


def through_the_edge(machine: Machine, first: str) -> None:
    variables = {"HAUL_PUBLIC_URL": "https://haul.localhost", "HAUL_S3_PUBLIC_ENDPOINT": "https://media.localhost", "EDGE_ADDRESS": "0.0.0.0"}
    # both processes and `bucket` read it
    variables["HAUL_RESULT_TTL"] = "36 hours"
    machine.down("api")
    machine.up(variables, ("edge",))
    neighbour, other, stranger = (Visitor(machine, address) for address in ("192.168.77.5", "192.168.77.6", "93.184.215.78"))
    until("the edge has its certificate", lambda: (machine.work / "volumes/edge/caddy/pki/authorities/local/root.crt").exists())

    hold(neighbour.get("http://haul.localhost/")[0] == 308, "http is not led to https")
    status, page = neighbour.get("https://haul.localhost/", "--compressed")
    hold(status == 200 and page.lower().count("content-encoding:") == 1, f"the page is not compressed once: {page[:900]}")
    hold("h3=" in page and "strict-transport-security" in page.lower(), f"HTTP/3 is not offered: {page[:900]}")
    hold(stranger.get("https://haul.localhost/")[0] == 403, "a service without keys serves strangers")
    for path in "/metrics", "/api/v1/stats":
        hold(neighbour.get(f"https://haul.localhost{path}")[0] == 404, f"{path} is told outside")

    # three downloads a minute and client: whoever has had them is refused whatever it says it is, and nobody else is
    forged = ["-H", "X-Forwarded-For: 192.168.77.9", "-H", "Forwarded: for=192.168.77.9"]
    body = ["-H", "Content-Type: application/json", "--data", json.dumps({"url": MEDIA, "format": "original"})]
    codes = [neighbour.get("https://haul.localhost/api/v1/downloads", *body, *(forged if turn > 2 else []))[0] for turn in range(5)]
    hold(codes[:3] == [200] * 3 and codes[3:] == [429] * 2, f"orders of one client: {codes}")
    hold(other.get("https://haul.localhost/api/v1/downloads", *body)[0] == 200, "one client is taken for another")

    status, answer = neighbour.get(f"https://haul.localhost/api/v1/downloads/{first}/link")
    url = json.loads(answer.split("\n\n", 1)[-1])["url"]
    hold(status == 200 and url.startswith("https://media.localhost/media/m/"), f"a link leads to {url.split('?')[0]}")
    status, got = neighbour.get(url, "-o", "/dev/null")
    hold(status == 200 and "immutable" in got, f"a link through the edge: {got[:500]}")
    for wrong in url.split("?")[0], "https://media.localhost/media", f"https://media.localhost/other/m/x?{url.split('?')[1]}":
        hold(neighbour.get(wrong)[0] == 403, f"the edge opens {wrong.split('?')[0]}")

    machine.down("api")
    waits = machine.world.command(*neighbour.command("https://haul.localhost/healthz"))
    with subprocess.Popen(waits, stdout=subprocess.PIPE, text=True) as waiting:
        machine.begin("api")
        hold(waiting.stdout.readline().split()[1] == "200", "who comes while the API is replaced is sent away")
    say("through the edge: TLS, the client's own address, links of the store, and no numbers")


def site(folder: Path) -> bytes:
    clip = folder / "clip.mp4"
    sh("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=10:duration=3", "-f", "lavfi", "-i", "sine=duration=3",
       "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart", str(clip))
    return clip.read_bytes()


def main() -> None:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="haul-compose.") as folder:
        os.chmod(folder, 0o755)
        work = Path(folder)
        (work / "site").mkdir()
        original = site(work / "site")
        machine = Machine(work, images())
        program = Path(__file__).with_name("site.py")
        serve = machine.world.command(sys.executable, str(program), World.SITE, str(work / "site"))
        server = subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            first = a_first_start(machine, original)
            who_reaches_whom(machine)
            nothing_is_amiss(machine)
            bucket = what_the_bucket_lets(machine)
            a_second_start_changes_nothing(machine, bucket, first)
            a_key_is_made_anew(machine, first)
            all_are_replaced(machine, first)
            a_worker_dies(machine)
            each_is_read(machine)
            through_the_edge(machine, first)
        except BaseException:
            for name in sorted((work / "log").iterdir()):
                say(f"the end of {name.name}:\n" + "".join(name.read_text().splitlines(keepends=True)[-12:]))
            raise
        finally:
            server.kill()
            for made in machine.containers.values():
                for container in made:
                    if container.process and container.process.poll() is None:
                        container.process.kill()
                    container.remove()
    say(f"all is as docker-compose.yml says, after {time.monotonic() - begun:.0f} s")


main()
