//! Clients that order, look and cancel while everything around them dies, and remember what they were promised.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::chaos::BUSY;
use crate::house::DOWNLOADS;
use crate::origin::{Fault, Origin};
use crate::site::{Answer, send};

/// Between two steps of one client.
const STEP: Duration = Duration::from_millis(80);

/// For an answer; who waits longer asks somebody else.
const ANSWER: Duration = Duration::from_secs(10);

/// Orders of a client for one that is done by real programs.
const REAL_EVERY: u32 = 40;

/// How a job may end that its client did not cancel, besides `worker_lost` where that happened three times.
pub type Ends = &'static [&'static str];

/// What a client was promised by a `202` or a `200`.
#[derive(Debug, Clone)]
pub struct Promise {
    /// How it may end.
    pub ends: Ends,
    /// Its client has asked for the end of it.
    pub is_cancelled: bool,
}

/// Clients, each with its own address and its own chance.
pub struct Crowd {
    promises: Promises,
    broken: Arc<Mutex<Vec<String>>>,
    tasks: Vec<JoinHandle<()>>,
}

type Promises = Arc<Mutex<BTreeMap<String, Promise>>>;

struct Client {
    doors: watch::Receiver<Vec<SocketAddr>>,
    http: reqwest::Client,
    address: String,
    orders: Vec<(String, Ends)>,
    chance: StdRng,
    promises: Promises,
    broken: Arc<Mutex<Vec<String>>>,
}

impl Crowd {
    /// So many clients, who order what is good and what is faulty at this site.
    ///
    /// # Panics
    /// When a client for HTTP cannot be made.
    #[must_use]
    pub fn gather(count: u8, seed: u64, doors: &watch::Receiver<Vec<SocketAddr>>, origin: &Origin) -> Self {
        let (promises, broken) = (Promises::default(), Arc::new(Mutex::default()));
        let client = |nth: u8| Client {
            doors: doors.clone(),
            http: reqwest::Client::builder().timeout(ANSWER).build().expect("a client for HTTP"),
            address: format!("203.0.113.{nth}"),
            orders: orders(origin),
            chance: StdRng::seed_from_u64(seed.wrapping_add(u64::from(nth))),
            promises: Arc::clone(&promises),
            broken: Arc::clone(&broken),
        };
        let tasks = (1..=count).map(|nth| tokio::spawn(client(nth).live())).collect();
        Self { promises, broken, tasks }
    }

    /// Sends them home: what they were promised, by id, and what was not kept meanwhile.
    ///
    /// # Panics
    /// When one of them did.
    #[must_use]
    pub fn leave(self) -> (BTreeMap<String, Promise>, Vec<String>) {
        self.tasks.iter().for_each(JoinHandle::abort);
        (lock(&self.promises).clone(), lock(&self.broken).clone())
    }
}

/// What is ordered for real, and how it may end.
fn orders(origin: &Origin) -> Vec<(String, Ends)> {
    vec![
        (origin.url("/progressive.mp4"), &["completed"]),
        (origin.spoilt(Fault::Throttle(120_000), "/progressive.mp4"), &["completed"]),
        (origin.url("/hls-ts/master.m3u8"), &["completed"]),
        (origin.spoilt(Fault::Status(503, 2), "/silent.mp4"), &["completed"]),
        (origin.url("/no-such-file.mp4"), &["unavailable"]),
        (origin.url("/page.html"), &["unsupported_url", "extractor_error"]),
    ]
}

impl Client {
    async fn live(mut self) {
        loop {
            tokio::time::sleep(STEP).await;
            match self.chance.random_range(0..100) {
                0..5 => self.cancel().await,
                5..15 => self.look().await,
                _ => self.order().await,
            }
        }
    }

    async fn order(&mut self) {
        let (request, ends): (Value, Ends) = if self.chance.random_ratio(1, REAL_EVERY) {
            let (url, ends) = self.orders.iter().choose(&mut self.chance).cloned().expect("there are orders");
            // mostly a thing of its own, now and then what others want as well
            let url =
                if self.chance.random_ratio(1, 3) { url } else { format!("{url}?{}", self.chance.random::<u32>()) };
            (json!({ "url": url }), ends)
        } else {
            let many = if self.chance.random_ratio(1, 10) { 20 } else { u32::MAX };
            let url = format!("http://127.0.0.1:1/{}.mp4", self.chance.random_range(0..many));
            (json!({ "url": url, "region": BUSY }), &["completed"])
        };
        let Some(answer) = self.ask(Method::POST, DOWNLOADS, &request).await else { return };
        match (answer.status, answer.json()["id"].as_str()) {
            (StatusCode::ACCEPTED | StatusCode::OK, Some(id)) => {
                lock(&self.promises).insert(id.to_owned(), Promise { ends, is_cancelled: false });
            }
            (StatusCode::SERVICE_UNAVAILABLE, _) => {}
            _ => self.complain(&format!("an order was answered with {}", answer.told())),
        }
    }

    async fn cancel(&mut self) {
        let Some(id) = self.one_of_mine() else { return };
        let path = format!("{DOWNLOADS}/{id}");
        let view = self.ask(Method::GET, &path, &Value::Null).await.map(|answer| answer.json());
        // a result would be deleted: here nobody does that
        if view.is_none_or(|view| !matches!(view["status"].as_str(), Some("queued" | "running"))) {
            return;
        }
        // whatever is answered, if anything is: it may have been done
        if let Some(promise) = lock(&self.promises).get_mut(&id) {
            promise.is_cancelled = true;
        }
        self.ask(Method::DELETE, &path, &Value::Null).await;
    }

    async fn look(&mut self) {
        let Some(id) = self.one_of_mine() else { return };
        let is_cancelled = lock(&self.promises).get(&id).is_some_and(|promise| promise.is_cancelled);
        let Some(answer) = self.ask(Method::GET, &format!("{DOWNLOADS}/{id}"), &Value::Null).await else { return };
        let is_known = answer.status == StatusCode::OK || answer.status == StatusCode::SERVICE_UNAVAILABLE;
        // a second DELETE of one that was cancelled in time removes its record, by the contract
        if !is_known && !is_cancelled {
            self.complain(&format!("{id} was answered with {}", answer.told()));
        }
    }

    /// The answer of one of the APIs, if there is one.
    async fn ask(&mut self, method: Method, path: &str, body: &Value) -> Option<Answer> {
        let door = self.doors.borrow().iter().copied().choose(&mut self.chance)?;
        let request =
            self.http.request(method, format!("http://{door}{path}")).header("x-forwarded-for", &self.address);
        send(if body.is_null() { request } else { request.json(body) }).await.ok()
    }

    fn one_of_mine(&mut self) -> Option<String> {
        lock(&self.promises).keys().choose(&mut self.chance).cloned()
    }

    fn complain(&self, what: &str) {
        lock(&self.broken).push(what.to_owned());
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().expect("no holder panics")
}
