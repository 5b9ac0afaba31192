//! What clients ask, what each question needs, and which answers are right while a part of that is out of reach.

use std::fmt;
use std::time::Duration;

use haul_tests::house::DOWNLOADS;
use haul_tests::site::Answer;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// What a process may have lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Queue,
    Cache,
    Store,
    /// A worker of its region is away: what that one had begun for somebody who waits takes longer.
    Worker,
    /// It is away.
    Itself,
}

/// A question; all but [`Ask::Order`] change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    Order,
    Job,
    Wait,
    List,
    Link,
    Content,
    Thumbnail,
    Events,
    /// Of an address that nobody has asked for.
    Metadata,
    /// Of an address that was asked for before.
    Known,
    Plan,
    Usage,
    Stats,
    Ready,
    Alive,
    Metrics,
}

/// What is asked of each API all the time.
pub const ALL: [Ask; 15] = [
    Ask::Job,
    Ask::Wait,
    Ask::List,
    Ask::Link,
    Ask::Content,
    Ask::Thumbnail,
    Ask::Events,
    Ask::Metadata,
    Ask::Known,
    Ask::Plan,
    Ask::Usage,
    Ask::Stats,
    Ask::Ready,
    Ask::Alive,
    Ask::Metrics,
];

/// A download that has ended well, to ask about.
#[derive(Debug, Clone)]
pub struct Sample {
    pub id: String,
    pub url: String,
}

/// How a question ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// A status, the code of the problem or the parts that are not ready, and whether it says when to come back.
    Answer { status: u16, word: String, says_when: bool },
    /// There was nobody to ask.
    Nobody,
    /// The connection broke.
    BrokenOff,
    /// No answer came within the time of the route, and five seconds.
    Hang,
}

impl Told {
    /// What an answer says.
    pub fn by(ask: Ask, answer: &Answer) -> Self {
        let json = answer.json();
        let word = if ask == Ask::Ready {
            let failed = |part: &&str| json[*part].is_string() && json[*part] != "ok";
            let mut failed: Vec<_> = ["redis", "storage", "disk"].into_iter().filter(failed).collect();
            if json["status"] == "stopping" {
                failed = vec!["stopping"];
            }
            failed.join("+")
        } else {
            json["code"].as_str().unwrap_or_default().to_owned()
        };
        // a probe comes again by itself, and a worker's is told no more
        let says_when =
            ask == Ask::Ready || answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0);
        Self::Answer { status: answer.status.as_u16(), word, says_when }
    }

    /// What a failure to get one says.
    pub fn by_failure(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<reqwest::Error>() {
            Some(error) if error.is_timeout() => Self::Hang,
            Some(error) if error.is_connect() => Self::Nobody,
            _ => Self::BrokenOff,
        }
    }

    pub fn is_good(&self) -> bool {
        matches!(self, Self::Answer { status: 200..=299, .. })
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { status, word, says_when } => {
                let space = if word.is_empty() { "" } else { " " };
                let never = if *status >= 500 && !says_when { " without Retry-After" } else { "" };
                write!(f, "{status}{space}{word}{never}")
            }
            Self::Nobody => f.write_str("nobody there"),
            Self::BrokenOff => f.write_str("broken off"),
            Self::Hang => f.write_str("no answer in time"),
        }
    }
}

impl Ask {
    /// How long its route may take (`crates/api/src/router.rs`).
    pub fn limit(self) -> Duration {
        match self {
            Self::Job | Self::Wait | Self::Metadata | Self::Known | Self::Plan => Duration::from_secs(75),
            _ => Duration::from_secs(30),
        }
    }

    /// How long a refusal may take that was asked for while the part was away: twice what `docs/FAILURES.md` promises, for the
    /// machine may have other things to do. A wait is over first, and the store is given its twenty seconds.
    pub fn refused_within(self) -> Duration {
        match self {
            Self::Wait => Duration::from_secs(20 + 25),
            Self::Content | Self::Thumbnail => self.limit() + Duration::from_secs(5),
            _ => Duration::from_secs(25),
        }
    }

    /// What it can't do without.
    pub fn needs(self) -> &'static [Part] {
        use Part as P;
        match self {
            Self::Order | Self::Job | Self::Wait | Self::List | Self::Link | Self::Events => &[P::Queue],
            Self::Usage | Self::Stats => &[P::Queue],
            Self::Content | Self::Thumbnail => &[P::Queue, P::Store],
            Self::Metadata | Self::Known | Self::Plan => &[P::Queue, P::Cache, P::Worker],
            Self::Ready => &[P::Queue, P::Store],
            Self::Alive | Self::Metrics => &[],
        }
    }

    /// Is this a right answer while these parts are out of reach? A good one always is: something may be remembered, and
    /// a link be cut a moment later.
    pub fn may_be(self, told: &Told, missing: &[Part]) -> bool {
        let lacks = |part| missing.contains(&part) && (self.needs().contains(&part) || part == Part::Itself);
        let lacks_any = missing.iter().any(|part| lacks(*part));
        match told {
            told if told.is_good() => true,
            Told::Nobody | Told::BrokenOff => lacks(Part::Itself),
            Told::Answer { status: 503, word, .. } if self == Self::Ready => word.split('+').all(|part| match part {
                "redis" => lacks(Part::Queue),
                "storage" => lacks(Part::Store),
                "stopping" => lacks(Part::Itself),
                _ => false,
            }),
            // what a worker has found has no way to whoever waits
            Told::Answer { status: 503, says_when: true, word } if word == "storage_unavailable" => lacks(Part::Cache),
            // numbers are waited for three seconds, for which a machine that builds and tests may stand still
            Told::Answer { status: 503, says_when: true, word } => {
                (lacks_any || self == Self::Stats) && word == "service_unavailable"
            }
            // whoever was to look at it is away, and there was not time enough for another one
            Told::Answer { status: 504, word, .. } => lacks(Part::Worker) && word == "timeout",
            Told::Answer { .. } | Told::Hang => false,
        }
    }

    /// The questions to which a long cut from this part must show.
    pub fn that_show(part: Part) -> &'static [Self] {
        match part {
            Part::Queue => &[Self::Order, Self::Job, Self::List, Self::Link, Self::Ready],
            Part::Store => &[Self::Content, Self::Ready],
            Part::Itself => &[Self::Ready],
            // of an address that nobody has asked for: no API can remember it
            Part::Cache => &[Self::Metadata],
            Part::Worker => &[],
        }
    }

    /// The request, to whom `url` leads; `fresh` is a number that nobody has asked for.
    pub fn request(self, http: &Client, url: &dyn Fn(&str) -> String, sample: &Sample, fresh: &str) -> RequestBuilder {
        let of_job = |rest: &str| http.get(url(&format!("{DOWNLOADS}/{}{rest}", sample.id)));
        let post = |path: &str, body: Value| http.post(url(path)).json(&body);
        let request = match self {
            Self::Order => post(DOWNLOADS, Value::Null),
            Self::Job => of_job(""),
            Self::Wait => of_job("?wait=20"),
            Self::List => http.get(url(&format!("{DOWNLOADS}?limit=10"))),
            Self::Link => of_job("/link"),
            Self::Content => of_job("/content"),
            Self::Thumbnail => of_job("/thumbnail"),
            Self::Events => of_job("/events"),
            Self::Metadata => post("/api/v1/metadata", json!({ "url": format!("{}&{fresh}", sample.url) })),
            Self::Known => post("/api/v1/metadata", json!({ "url": sample.url })),
            Self::Plan => post("/api/v1/plan", json!({ "url": sample.url })),
            Self::Usage => http.get(url("/api/v1/usage")),
            Self::Stats => http.get(url("/api/v1/stats")),
            Self::Ready => http.get(url("/readyz")),
            Self::Alive => http.get(url("/healthz")),
            Self::Metrics => http.get(url("/metrics")),
        };
        request.timeout(self.limit() + Duration::from_secs(5))
    }
}
