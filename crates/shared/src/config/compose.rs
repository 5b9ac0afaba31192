//! What `docker-compose.yml` asks of `.env` beside the variables of the processes. No process reads it.
//!
//! Kept here so that `.env.example` explains everything that may stand in `.env`, from one place ([`super::render`]).
//! `tests/compose/check.py` holds both tables against the file, name by name and default by default.

/// A variable of `docker-compose.yml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Knob {
    /// Its name.
    pub(super) name: &'static str,
    /// The text that stands for it when it is not set.
    pub(super) default: &'static str,
    /// What it means, in Markdown.
    pub(super) doc: &'static str,
}

const fn knob(name: &'static str, default: &'static str, doc: &'static str) -> Knob {
    Knob { name, default, doc }
}

/// What the file says itself, whatever `.env` says: where its own parts are reached, and what its API may be.
pub(super) const FIXED: &[&str] = &[
    "HAUL_LISTEN",
    "HAUL_ADMIN_LISTEN",
    "HAUL_WORKER_LISTEN",
    "HAUL_OPEN",
    "HAUL_WORK_DIR",
    "HAUL_REDIS_URL",
    "HAUL_CACHE_REDIS_URL",
    "HAUL_STORAGE",
    "HAUL_S3_BUCKET",
    "HAUL_S3_ENDPOINT",
    "HAUL_S3_REGION",
    "HAUL_S3_PATH_STYLE",
    "AWS_SHARED_CREDENTIALS_FILE",
];

/// All that it asks for.
pub(super) const KNOBS: &[Knob] = &[
    knob(
        "COMPOSE_PROFILES",
        "",
        "What is started beside the service, separated by commas: `observe` (Prometheus and Grafana), `edge` (Caddy, with TLS and names), `next` (one worker of `WORKER_IMAGE_NEXT`).",
    ),
    knob("WORKERS", "2", "How many workers there are."),
    knob("API_PORT", "8080", "Port of the API on 127.0.0.1."),
    knob(
        "STORE_PORT",
        "3900",
        "Port of the store on 127.0.0.1: links lead there unless `HAUL_S3_PUBLIC_ENDPOINT` says otherwise.",
    ),
    knob("PROMETHEUS_PORT", "9090", "Port of Prometheus on 127.0.0.1, with the profile `observe`."),
    knob(
        "GRAFANA_PORT",
        "3000",
        "Port of Grafana on 127.0.0.1, with the profile `observe`: whoever reaches it may look.",
    ),
    knob("PROMETHEUS_RETENTION", "15d", "How long Prometheus remembers."),
    knob(
        "EDGE_ADDRESS",
        "127.0.0.1",
        "Address of this machine at which the edge is reached; `0.0.0.0` for all of them. Its names are those of `HAUL_PUBLIC_URL` and `HAUL_S3_PUBLIC_ENDPOINT`, both as `https://name` without a slash at the end; without them `https://haul.localhost` and `https://media.localhost`.",
    ),
    knob("EDGE_HTTP_PORT", "80", "Port of the edge that leads to the other one."),
    knob("EDGE_HTTPS_PORT", "443", "Port of the edge for TLS, by TCP and, for HTTP/3, by UDP."),
    knob(
        "EDGE_TLS",
        "internal",
        "Where certificates come from: `internal`, an authority of the edge's own, or your e-mail address: Let's Encrypt, for names that lead here.",
    ),
    knob(
        "EDGE_SUBNET",
        "10.219.87.0/28",
        "Network between the edge and the API, which believes it (`HAUL_TRUSTED_PROXIES`). Another one if this is taken.",
    ),
    knob("IPV6", "false", "`true`: workers and edge also speak IPv6. Docker 27 or newer."),
    knob(
        "KEYS_DIR",
        "keys",
        "Directory that the API sees as `/keys`, such as `./keys`, for `HAUL_API_KEYS_FILE=/keys/keys.toml`. The user 10001 has to be able to read it.",
    ),
    knob(
        "COOKIES_DIR",
        "cookies",
        "Directory that workers see as `/cookies`, such as `./cookies`, for `HAUL_COOKIES_DIR=/cookies`. The user 10001 has to be able to read it.",
    ),
    knob(
        "STOP_GRACE",
        "45s",
        "How long Docker waits for an API or a worker to end. Longer than `HAUL_SHUTDOWN_GRACE`, by ten seconds at least.",
    ),
    knob("API_MEMORY", "512m", "Memory that the API may take."),
    knob("API_CPUS", "1", "Cores that the API may use; 0: all."),
    knob("WORKER_MEMORY", "4g", "Memory that each worker and its programs may take together."),
    knob("WORKER_CPUS", "0", "Cores that each worker and its programs may use; 0: all."),
    knob("WORKER_PIDS", "1024", "Processes and threads that each worker may have."),
    knob(
        "QUEUE_MEMORY",
        "512mb",
        "Memory for the queue: beyond it, jobs are refused with 503. Half of `REDIS_MEMORY` at most.",
    ),
    knob(
        "REDIS_MEMORY",
        "1g",
        "Memory that the Redis of the queue may take, with what it needs to write its log anew.",
    ),
    knob("STORE_MEMORY", "1g", "Memory that the store may take."),
    knob("STORE_CPUS", "1", "Cores that the store may use; 0: all."),
    knob(
        "API_IMAGE",
        "haul-api",
        "Image of the API. Built here where it is missing; another one is fetched by `docker compose pull`.",
    ),
    knob(
        "WORKER_IMAGE",
        "haul-worker",
        "Image of a worker. Built here where it is missing; another one is fetched by `docker compose pull`.",
    ),
    knob(
        "WORKER_IMAGE_NEXT",
        "haul-worker-next",
        "Image of the one worker of the profile `next`, which tries another yt-dlp beside the others. Built here where it is missing; another one is fetched by `docker compose pull`.",
    ),
    knob("REDIS_IMAGE", "docker.io/library/redis:7-bookworm", "Image of both Redis."),
    knob("GARAGE_IMAGE", "docker.io/dxflrs/garage:v2.5.0", "Image of the store."),
    knob("CADDY_IMAGE", "docker.io/library/caddy:2.10-alpine", "Image of the edge."),
    knob("PROMETHEUS_IMAGE", "docker.io/prom/prometheus:v3.5.0", "Image of Prometheus."),
    knob("GRAFANA_IMAGE", "docker.io/grafana/grafana:12.0.2", "Image of Grafana."),
];
