//! Customers: they order, and ask about everything, at both APIs all the time, and remember what they were told.
//!
//! An order has an `Idempotency-Key` and is sent until it is taken, to one API and then to the other. One in four has a
//! customer without patience, who gives up the first answer after a second.
//!
//! Not here: what is asked (`asks`), and whether what was told is right (`judge`).

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use haul_tests::house::DOWNLOADS;
use haul_tests::origin::{Fault, Origin};
use haul_tests::site::{Answer, send};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::asks::{self, Ask, Sample, Told};
use crate::machines::{APIS, Machine, WORKERS};
use crate::topology::{LARGE, Topology};

/// Between two orders at one API, of two cores beside everything else.
const ORDER_EVERY: Duration = Duration::from_secs(4);
/// Between two questions of a kind.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// Between two questions that make a worker look at a site.
const LOOK_EVERY: Duration = Duration::from_secs(12);
/// Of who has none.
const NO_PATIENCE: Duration = Duration::from_secs(1);
/// An order that was never taken by then is lost.
const TAKEN_WITHIN: Duration = Duration::from_secs(300);

/// What an order comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The file as its origin has it.
    Bytes(&'static str),
    /// A file that is made.
    File,
    /// A failure with this code.
    Failure(&'static str),
}

/// An order that was taken.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: String,
    pub key: String,
    pub body: Value,
    pub end: End,
    pub taken: Instant,
    /// How often it was sent until then.
    pub sent: usize,
}

/// Something that was asked, of whom and when.
#[derive(Debug, Clone)]
pub struct Heard {
    pub whom: Machine,
    pub ask: Ask,
    pub began: Instant,
    pub ended: Instant,
    pub told: Told,
}

/// What they remember.
#[derive(Debug, Default)]
pub struct Journal {
    pub heard: Vec<Heard>,
    pub orders: Vec<Order>,
    pub never_taken: usize,
}

/// Customers of one journey.
pub struct Customers {
    desk: Arc<Desk>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Desk {
    http: reqwest::Client,
    urls: Vec<(Machine, String)>,
    sample: Sample,
    tag: String,
    wares: Vec<(Value, End)>,
    journal: Mutex<Journal>,
}

/// A client for HTTP that asks nobody in between.
pub fn http() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(5)).build()?)
}

/// What is ordered: small and large, quick and slow, as it is and made, of both regions, and what does not exist.
fn wares(origin: &Origin) -> Vec<(Value, End)> {
    let original = |url: String| json!({ "url": url, "format": "original", "embed_metadata": false });
    let slow = origin.spoilt(Fault::Throttle(30_000), "/progressive.mp4");
    let mut elsewhere = original(origin.url("/progressive.mp4"));
    elsewhere["region"] = json!("us");
    vec![
        (original(origin.url("/progressive.mp4")), End::Bytes("/progressive.mp4")),
        (original(slow), End::Bytes("/progressive.mp4")),
        (json!({ "url": origin.url("/hls-ts/master.m3u8") }), End::File),
        (original(origin.url(LARGE)), End::Bytes(LARGE)),
        (json!({ "url": origin.url("/no-such-file.mp4") }), End::Failure("unavailable")),
        (elsewhere, End::Bytes("/progressive.mp4")),
    ]
}

impl Customers {
    /// They come. One thing is ordered and made first, so that there is something to ask about.
    pub async fn gather(topology: &Topology, tag: &str) -> Result<Self> {
        let urls = APIS.into_iter().chain(WORKERS).map(|machine| (machine, topology.url(machine, ""))).collect();
        let wares = wares(&topology.origin);
        let sample = Sample { id: String::new(), url: topology.origin.url(&format!("/progressive.mp4?{tag}")) };
        let (http, tag) = (http()?, tag.to_owned());
        let mut desk = Desk { http, urls, sample, tag, wares, journal: Mutex::default() };
        let body = json!({ "url": desk.sample.url, "tags": [desk.tag] });
        let first = (format!("{}-sample", desk.tag), body, End::File);
        desk.take(APIS[0], first, false).await;
        let journal = desk.journal.get_mut().expect("no holder panics");
        desk.sample.id = journal.orders.last().context("the first order was not taken")?.id.clone();
        let desk = Arc::new(desk);
        for ask in [Ask::Wait, Ask::Thumbnail] {
            // a picture is made behind its download
            haul_tests::processes::until("the sample is there", async || desk.ask(APIS[0], ask, "").await.is_good())
                .await?;
        }
        desk.journal().heard.clear();
        let customers = Self { desk, stop: CancellationToken::new(), tasks: TaskTracker::new() };
        for api in APIS {
            customers.tasks.spawn(order(
                Arc::clone(&customers.desk),
                api,
                customers.stop.clone(),
                customers.tasks.clone(),
            ));
            for ask in asks::ALL {
                customers.tasks.spawn(go_on(Arc::clone(&customers.desk), api, ask, customers.stop.clone()));
            }
        }
        for worker in WORKERS {
            customers.tasks.spawn(go_on(Arc::clone(&customers.desk), worker, Ask::Ready, customers.stop.clone()));
        }
        Ok(customers)
    }

    /// Orders that were taken since.
    pub fn taken_since(&self, since: Instant) -> usize {
        self.desk.journal().orders.iter().filter(|order| order.taken > since).count()
    }

    /// They go, when the last order was taken, and tell what they remember.
    pub async fn leave(self) -> Result<Journal> {
        self.stop.cancel();
        self.tasks.close();
        timeout(TAKEN_WITHIN, self.tasks.wait()).await.context("a customer still waits for an answer")?;
        Ok(std::mem::take(&mut *self.desk.journal()))
    }
}

/// Orders one thing after the other.
async fn order(desk: Arc<Desk>, api: Machine, stop: CancellationToken, tasks: TaskTracker) {
    for number in 0.. {
        let (mut body, end) = desk.wares[number % desk.wares.len()].clone();
        let (key, has_no_patience) = (format!("{}-{api}-{number}", desk.tag), number % 4 == 1);
        body["url"] = json!(format!("{}?{key}", body["url"].as_str().unwrap_or_default()));
        body["tags"] = json!([desk.tag]);
        let desk = Arc::clone(&desk);
        tasks.spawn(async move { desk.take(api, (key, body, end), has_no_patience).await });
        if timeout(ORDER_EVERY, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

/// Asks the same again and again.
async fn go_on(desk: Arc<Desk>, whom: Machine, ask: Ask, stop: CancellationToken) {
    let every = if ask == Ask::Metadata { LOOK_EVERY } else { ASK_EVERY };
    for number in 0.. {
        desk.ask(whom, ask, &format!("{whom}-{number}")).await;
        if timeout(every, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

impl Desk {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().expect("no holder panics")
    }

    fn url(&self, whom: Machine, path: &str) -> String {
        let base = self.urls.iter().find(|(machine, _)| *machine == whom).map(|(_, url)| url.as_str());
        format!("{}{path}", base.unwrap_or_default())
    }

    async fn ask(&self, whom: Machine, ask: Ask, fresh: &str) -> Told {
        let request = ask.request(&self.http, &|path| self.url(whom, path), &self.sample, fresh);
        self.hear(whom, ask, request, true).await.0
    }

    async fn hear(
        &self,
        whom: Machine,
        ask: Ask,
        request: reqwest::RequestBuilder,
        counts: bool,
    ) -> (Told, Option<Answer>) {
        let began = Instant::now();
        let (told, answer) = match send(request).await {
            Ok(answer) => (Told::by(ask, &answer), Some(answer)),
            Err(error) => (Told::by_failure(&error), None),
        };
        // who gave up has heard nothing
        if counts || told != Told::Hang {
            self.journal().heard.push(Heard { whom, ask, began, ended: Instant::now(), told: told.clone() });
        }
        (told, answer)
    }

    /// Sends an order until it is taken.
    async fn take(&self, api: Machine, (key, body, end): (String, Value, End), has_no_patience: bool) {
        let began = Instant::now();
        let turns = APIS.into_iter().cycle().skip_while(|turn| *turn != api);
        for (nth, turn) in turns.enumerate() {
            let gives_up = has_no_patience && nth == 0;
            let patience = if gives_up { NO_PATIENCE } else { Ask::Order.limit() + Duration::from_secs(5) };
            let request = self.http.post(self.url(turn, DOWNLOADS)).json(&body).timeout(patience);
            let (told, answer) = self.hear(turn, Ask::Order, request.header("idempotency-key", &key), !gives_up).await;
            if let Some(id) = answer.filter(|_| told.is_good()).and_then(|answer| id_of(&answer)) {
                let order = Order { id, key, body, end, taken: Instant::now(), sent: nth + 1 };
                return self.journal().orders.push(order);
            }
            if began.elapsed() > TAKEN_WITHIN {
                break;
            }
            let mut pause = tokio::time::interval(NO_PATIENCE);
            pause.tick().await;
            pause.tick().await;
        }
        self.journal().never_taken += 1;
    }
}

pub fn id_of(answer: &Answer) -> Option<String> {
    answer.json()["id"].as_str().map(str::to_owned)
}
