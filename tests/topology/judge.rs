//! Whether all is as it has to be: what was told meanwhile, how what was taken has ended, and that nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use haul_tests::house::DOWNLOADS;
use haul_tests::processes::until;
use haul_tests::site::{Answer, send};
use reqwest::{Client, Method};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::asks::{Ask, Part, Told};
use crate::customers::{End, Heard, Order, http, id_of};
use crate::machines::{APIS, Machine};
use crate::topology::Topology;

/// What each process has lost meanwhile.
pub type Missing = [(Machine, &'static [Part])];

/// The time in which something was out of reach, or had not come back.
#[derive(Debug, Clone, Copy)]
pub struct Away {
    pub from: Instant,
    pub to: Instant,
}

impl Away {
    fn touches(self, heard: &Heard) -> bool {
        heard.began < self.to && heard.ended > self.from
    }
}

/// What was told and is not right.
pub fn wrongly_told(heard: &[Heard], away: Away, missing: &Missing) -> BTreeSet<String> {
    let mut wrong = BTreeSet::new();
    for one in heard {
        let lost = missing.iter().find(|(machine, _)| *machine == one.whom).map_or(&[][..], |(_, parts)| parts);
        let (lost, when) = if away.touches(one) { (lost, "meanwhile") } else { (&[][..], "before or after") };
        if !one.ask.may_be(&one.told, lost) {
            wrong.insert(format!("{} told {:?} {when}: {}", one.whom, one.ask, one.told));
        }
    }
    wrong
}

/// What has not shown although it had to: then nothing was cut.
pub fn not_shown(heard: &[Heard], away: Away, missing: &Missing) -> BTreeSet<String> {
    let mut hidden = BTreeSet::new();
    for (machine, parts) in missing {
        for ask in parts.iter().flat_map(|part| Ask::that_show(*part)) {
            let mut asked = heard.iter().filter(|one| one.whom == *machine && one.ask == *ask && away.touches(one));
            let is_asked = heard.iter().any(|one| one.whom == *machine && one.ask == *ask);
            if is_asked && asked.all(|one| one.told.is_good()) {
                hidden.insert(format!("{machine} never missed {parts:?}, asked for {ask:?}"));
            }
        }
    }
    hidden
}

/// What was refused too late.
pub fn late(heard: &[Heard], away: Away, missing: &Missing) -> BTreeSet<String> {
    let is_missing = |one: &&Heard| missing.iter().any(|(machine, _)| *machine == one.whom);
    let is_refused = |one: &&Heard| matches!(one.told, Told::Answer { status: 503, .. });
    let asked = heard.iter().filter(|one| one.began > away.from && away.touches(one));
    let late =
        asked.filter(is_missing).filter(is_refused).filter(|one| one.ended - one.began > one.ask.refused_within());
    late.map(|one| {
        let seconds = (one.ended - one.began).as_secs_f64();
        format!("{} told {:?} only after {seconds:.1} s: {}", one.whom, one.ask, one.told)
    })
    .collect()
}

/// What those who asked a process were told meanwhile, and what took longest.
pub fn told(heard: &[Heard], away: Away, machine: Machine) -> String {
    let mut counts: BTreeMap<&Told, BTreeMap<Ask, usize>> = BTreeMap::new();
    let mut longest: Option<&Heard> = None;
    for one in heard.iter().filter(|one| one.whom == machine && away.touches(one) && !one.told.is_good()) {
        *counts.entry(&one.told).or_default().entry(one.ask).or_default() += 1;
        longest = longest.filter(|other| other.ended - other.began > one.ended - one.began).or(Some(one));
    }
    let Some(longest) = longest else { return format!("{machine}: nothing") };
    let each = counts.into_iter().map(|(told, asks)| {
        let asks: Vec<_> = asks.into_iter().map(|(ask, times)| format!("{ask:?} {times}")).collect();
        format!("{told} ({})", asks.join(", "))
    });
    let each: Vec<_> = each.collect();
    let time = (longest.ended - longest.began).as_secs_f64();
    format!("{machine}: {}; the slowest, {:?}, after {time:.1} s", each.join("; "), longest.ask)
}

/// Waits until everything that was taken has ended, and looks what has become of it.
pub struct Reckoning<'a> {
    topology: &'a Topology,
    http: Client,
}

impl<'a> Reckoning<'a> {
    pub fn of(topology: &'a Topology) -> Result<Self> {
        Ok(Self { topology, http: http()? })
    }

    /// Waits until nothing waits, nothing runs and nobody holds a lease.
    pub async fn drained(&self) -> Result<()> {
        let mut queue = self.topology.redis_connection(Machine::Queue).await?;
        for list in ["live", "lease", "delay"] {
            until(&format!("{list} is empty"), async || {
                let count = redis::cmd("ZCARD").arg(format!("haul1:{{0}}:{list}")).query_async(&mut queue).await;
                matches!(count, Ok(0))
            })
            .await?;
        }
        until("all are ready", async || self.topology.is_well().await).await?;
        let stats = self.get(APIS[0], "/api/v1/stats").await?.json();
        let regions = stats["regions"].as_array().context("regions")?;
        let depths = regions.iter().flat_map(|region| region["depth"].as_object().into_iter().flatten());
        ensure!(depths.into_iter().all(|(_, depth)| *depth == 0), "something waits still: {regions:?}");
        let audit = redis::Script::new(include_str!("../it/store/audit.lua"));
        let wrong: Vec<String> = audit.arg("haul1:{0}:").invoke_async(&mut queue).await?;
        ensure!(wrong.is_empty(), "{wrong:#?}");
        Ok(())
    }

    /// Each has ended once, as it has to, with the right bytes behind its link, and is the same for who orders it again.
    pub async fn ended(&self, orders: &[Order], tag: &str) -> Result<BTreeSet<String>> {
        let mut wrong = BTreeSet::new();
        for order in orders {
            if let Err(error) = self.order(order).await {
                wrong.insert(format!("{} ({}): {error:#}", order.id, order.body["url"]));
            }
        }
        let ids: BTreeSet<_> = orders.iter().map(|order| order.id.clone()).collect();
        let listed = self.listed(tag).await?;
        if ids != listed || ids.len() != orders.len() {
            let more: Vec<_> = listed.difference(&ids).collect();
            wrong.insert(format!("{} orders are {} jobs, and the list has also {more:?}", orders.len(), listed.len()));
        }
        Ok(wrong)
    }

    /// Downloads that have been completed, ever: each once.
    pub async fn completed(&self) -> Result<u64> {
        let stats = self.get(APIS[0], "/api/v1/stats").await?.json();
        stats["jobs"]["completed"].as_u64().with_context(|| format!("no number of completed jobs: {stats}"))
    }

    /// Objects that belong to no job, and are not noted to be removed.
    pub async fn orphans(&self) -> Result<Vec<String>> {
        let mut queue = self.topology.redis_connection(Machine::Queue).await?;
        let jobs: Vec<String> = redis::cmd("KEYS").arg("haul1:{0}:j:*").query_async(&mut queue).await?;
        let mut known: Vec<String> =
            redis::cmd("ZRANGE").arg("haul1:{0}:gc").arg(0).arg(-1).query_async(&mut queue).await?;
        for job in jobs {
            let objects: Option<String> = redis::cmd("HGET").arg(job).arg("obj").query_async(&mut queue).await?;
            known.extend(objects);
        }
        let (mut orphans, mut survey) = (Vec::new(), self.topology.bucket().await.survey());
        while let Some(page) = survey.next().await? {
            let names = page.into_iter().map(|found| found.key.as_str().to_owned());
            orphans.extend(names.filter(|name| !known.iter().any(|entry| entry.contains(name.as_str()))));
        }
        Ok(orphans)
    }

    async fn order(&self, order: &Order) -> Result<()> {
        let job = self.get(APIS[0], &format!("{DOWNLOADS}/{}", order.id)).await?;
        let view = job.json();
        ensure!(job.status == 200, "{}", job.told());
        match order.end {
            End::Failure(code) => ensure!(view["error"]["code"] == code, "it is {} {}", view["status"], view["error"]),
            End::File | End::Bytes(_) => {
                ensure!(view["status"] == "completed", "it is {} {}", view["status"], view["error"]);
                self.result(order, &view).await?;
            }
        }
        for api in APIS {
            let again = self.http.request(Method::POST, self.topology.url(api, DOWNLOADS)).json(&order.body);
            let again = send(self.bounded(again).header("idempotency-key", &order.key)).await?;
            let id = id_of(&again);
            ensure!(id.as_deref() == Some(&order.id), "ordered again at {api} it is {id:?}: {}", again.told());
        }
        Ok(())
    }

    async fn result(&self, order: &Order, view: &Value) -> Result<()> {
        let link = self.get(APIS[1], &format!("{DOWNLOADS}/{}/link", order.id)).await?.json();
        let url = link["url"].as_str().with_context(|| format!("no link: {link}"))?;
        let file = send(self.bounded(self.http.get(url))).await?;
        ensure!(file.status == 200, "behind its link is {}", file.status);
        let sha256 = hex(&file.body);
        ensure!(link["sha256"] == sha256 && view["result"]["sha256"] == sha256, "its bytes have {sha256}: {link}");
        if let End::Bytes(path) = order.end {
            let path = self.topology.origin.url(path);
            let origin = send(self.bounded(self.http.get(path))).await?;
            ensure!(file.body == origin.body, "its bytes are not those of its origin: {sha256}");
        }
        Ok(())
    }

    /// All ids that the list has under a tag.
    async fn listed(&self, tag: &str) -> Result<BTreeSet<String>> {
        let (mut ids, mut cursor) = (BTreeSet::new(), String::new());
        loop {
            let page = self.get(APIS[1], &format!("{DOWNLOADS}?tag={tag}&limit=100{cursor}")).await?.json();
            let jobs = page["downloads"].as_array().with_context(|| format!("no list: {page}"))?;
            ids.extend(jobs.iter().filter_map(|job| job["id"].as_str().map(str::to_owned)));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(ids),
            }
        }
    }

    async fn get(&self, machine: Machine, path: &str) -> Result<Answer> {
        send(self.bounded(self.http.get(self.topology.url(machine, path)))).await
    }

    fn bounded(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.timeout(Duration::from_secs(60))
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
