//! How many jobs of a site run at once, and when its breaker opens, in the scripts that decide it.

use std::collections::{BTreeSet, HashMap};

use haul_shared::store::{Breaker, Deferral};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::*;

fn through(name: &str, running_limit: Option<u32>) -> Outlet {
    Outlet { name: name.parse().unwrap(), running_limit }
}

impl Bench {
    fn claims_through(&self, outlet: Outlet) -> Claims {
        self.claims().through(&outlet)
    }

    async fn breakers(&self) -> Result<Vec<Breaker>> {
        Ok(self.store.stats().await?.breakers)
    }

    /// The clock of Redis.
    async fn now(&self) -> Result<jiff::Timestamp> {
        let mut connection = self.redis.connection().await?;
        let (seconds, micros): (i64, i32) = redis::cmd("TIME").query_async(&mut connection).await?;
        Ok(jiff::Timestamp::new(seconds, micros * 1000)?)
    }

    /// Lets the time of every open breaker be over: they are half open.
    async fn end_openings(&self) -> Result<()> {
        let mut connection = self.redis.connection().await?;
        let key = "haul1:{0}:shut";
        let seconds = self.now().await?.as_second();
        let open: Vec<String> = redis::cmd("ZRANGE").arg(key).arg(0).arg(-1).query_async(&mut connection).await?;
        for way in open {
            redis::cmd("ZADD").arg(key).arg((seconds - 1) * 1000).arg(way).query_async::<()>(&mut connection).await?;
        }
        Ok(())
    }
}

fn url(site: &str, number: usize) -> String {
    format!("https://{site}.example/{number}")
}

fn site_of(leased: &Leased) -> String {
    match &leased.spec {
        Some(JobSpec::Download(spec)) => spec.url.site(),
        other => panic!("no download: {other:?}"),
    }
}

#[tokio::test]
async fn no_more_jobs_of_a_site_run_at_once_than_may() -> Result<()> {
    let bench = Bench::new().await?;
    for number in 0..6 {
        bench.submit("one", &url("busy", number)).await?;
    }
    bench.submit("one", &url("calm", 0)).await?;
    let mut claims = bench.claims_through(through("nat", Some(2)));
    let sites = |jobs: &[Leased]| jobs.iter().map(site_of).collect::<Vec<_>>().join(" ");
    let first = claims.take(8).await?;
    assert_eq!(sites(&first), "busy.example busy.example calm.example");
    assert!(bench.claims_through(through("nat", Some(2))).take(8).await?.is_empty(), "the address is shared");

    bench.store.complete(&first[0].lease, &artifact(&first[0]), &[]).await?;
    bench.end_delays().await?;
    let second = claims.take(8).await?;
    assert_eq!((sites(&second), second[0].attempt), ("busy.example".to_owned(), 1), "no attempt was spent");
    // a worker that is lost leaves the count with its jobs
    bench.run_out(second[0].lease.job).await?;
    bench.end_delays().await?;
    assert_eq!(sites(&claims.take(8).await?), "busy.example");
    bench.end_delays().await?;
    let elsewhere = bench.claims_through(through("other", Some(2))).take(8).await?;
    assert_eq!(sites(&elsewhere), "busy.example busy.example", "another address has its own count");
    let deferred = bench.store.stats().await?.deferred;
    assert!(deferred[&Deferral::SiteFull] >= 4 && deferred[&Deferral::SiteShut] == 0, "{deferred:?}");
    Ok(())
}

#[tokio::test]
async fn a_client_with_thousands_of_jobs_that_have_to_wait_keeps_nobody_waiting() -> Result<()> {
    let bench = Bench::new().await?;
    bench.submit("one", &url("calm", 0)).await?;
    for number in 0..300 {
        bench.submit("many", &url("busy", number)).await?;
    }
    let mut claims = bench.claims_through(through("nat", Some(1)));
    assert_eq!(claims.take(2).await?.len(), 2, "each had one turn");
    for number in 1..4 {
        bench.submit("one", &url(&format!("calm{number}"), 0)).await?;
        let jobs = claims.take(1).await?;
        assert_eq!(jobs.iter().map(site_of).collect::<Vec<_>>(), [format!("calm{number}.example")]);
    }
    let deferred = bench.store.stats().await?.deferred[&Deferral::SiteFull];
    assert!(deferred <= 3 * 17, "{deferred} were put off for three turns");
    Ok(())
}

#[tokio::test]
async fn what_a_site_asks_for_makes_its_opening_longer_and_never_shorter() -> Result<()> {
    for (asked, least, most) in [(None, 8, 10), (Some(300), 298, 300), (Some(1), 8, 10)] {
        let bench = Bench::new().await?;
        let mut claims = bench.claims();
        for number in 0..8 {
            bench.submit("one", &url("angry", number)).await?;
        }
        for leased in claims.take(8).await? {
            let failure = trouble(FailureKind::SiteRateLimited).after(asked.map(Duration::from_secs));
            bench.store.fail(&leased.lease, &failure, MINUTE).await?;
        }
        let breaker = bench.breakers().await?.pop().expect("it is open");
        let left = breaker.until.duration_since(jiff::Timestamp::now()).as_secs();
        assert!((least..=most).contains(&left), "{asked:?}: {left} s");
        assert_eq!((breaker.site.as_str(), breaker.failures), ("angry.example", 8));
    }
    Ok(())
}

/// One step. Indices count into what there is, round and round.
#[derive(Debug, Clone)]
enum Step {
    Submit {
        site: u8,
        jobs: u8,
    },
    Lease,
    Complete(usize),
    Fail {
        lease: usize,
        kind: FailureKind,
    },
    /// All that run, if any.
    FailAll {
        kind: FailureKind,
    },
    Lose(usize),
    EndDelays,
    EndOpenings,
}

const SITES: [&str; 2] = ["left", "right"];
const LIMIT: usize = 6;

fn step() -> impl Strategy<Value = Step> {
    let nth = 0..1000_usize;
    // mostly one kind, or no breaker would ever open
    let kind = prop_oneof![
        12 => Just(FailureKind::SiteBlocked),
        1 => Just(FailureKind::Network),
        2 => Just(FailureKind::CorruptMedia),
    ];
    prop_oneof![
        3 => (0..4_u8, 1..5_u8).prop_map(|(site, jobs)| Step::Submit { site: site / 3, jobs }),
        10 => Just(Step::Lease),
        1 => nth.clone().prop_map(Step::Complete),
        8 => (nth.clone(), kind.clone()).prop_map(|(lease, kind)| Step::Fail { lease, kind }),
        3 => kind.prop_map(|kind| Step::FailAll { kind }),
        1 => nth.prop_map(Step::Lose),
        3 => Just(Step::EndDelays),
        2 => Just(Step::EndOpenings),
    ]
}

/// The breaker of one site as it should be.
#[derive(Debug, Default)]
struct Way {
    running: Vec<Leased>,
    kind: Option<FailureKind>,
    failures: u64,
    jobs: BTreeSet<JobId>,
    opened: u32,
    state: State,
    probe: Option<JobId>,
    until: jiff::Timestamp,
}

#[derive(Debug, Default, PartialEq)]
enum State {
    #[default]
    Closed,
    Open,
    HalfOpen,
}

impl Way {
    fn lets_through(&self) -> bool {
        let is_probed = self.running.iter().any(|leased| Some(leased.lease.job) == self.probe);
        let is_closed = match self.state {
            State::Closed => true,
            State::Open => false,
            State::HalfOpen => !is_probed,
        };
        is_closed && self.running.len() < LIMIT
    }

    fn began(&mut self, leased: Leased) {
        if self.state == State::HalfOpen {
            self.probe = Some(leased.lease.job);
        }
        self.running.push(leased);
    }

    fn completed(&mut self) {
        let running = std::mem::take(&mut self.running);
        *self = Self { running, ..Self::default() };
    }

    /// Returns the seconds for which that opens it.
    fn failed(&mut self, job: JobId, kind: FailureKind) -> Option<i64> {
        if !kind.blames_site() {
            return None;
        }
        if self.kind != Some(kind) {
            (self.failures, self.jobs) = (0, BTreeSet::new());
        }
        self.kind = Some(kind);
        self.failures += 1;
        self.jobs.insert(job);
        let opens = match self.state {
            State::Closed => self.failures >= 8 && self.jobs.len() >= 5,
            State::Open => false,
            State::HalfOpen => true,
        };
        opens.then(|| {
            self.state = State::Open;
            self.opened += 1;
            600.min(10 * 2_i64.pow(self.opened - 1))
        })
    }
}

struct Model<'a> {
    bench: &'a Bench,
    claims: Claims,
    tickets: HashMap<Ticket, &'static str>,
    ways: HashMap<String, Way>,
}

impl Model<'_> {
    async fn take(&mut self, step: &Step) -> Result<()> {
        let (store, now) = (&self.bench.store, self.bench.now().await?);
        for way in self.ways.values_mut().filter(|way| way.state == State::Open && way.until <= now) {
            way.state = State::HalfOpen; // on a machine that was busy for so long
        }
        match *step {
            Step::Submit { site, jobs } => {
                let site = SITES[usize::from(site)];
                for _ in 0..jobs {
                    let mut order = order("one", &url(site, self.tickets.len()));
                    order.max_attempts = 50;
                    let ticket = order.ticket;
                    accepted(store.submit(&order).await?, ticket);
                    self.tickets.insert(ticket, site);
                }
            }
            Step::Lease => self.lease().await?,
            Step::Complete(at) => {
                let Some((way, leased)) = self.running(at) else { return Ok(()) };
                store.complete(&leased.lease, &artifact(&leased), &[]).await?;
                self.ways.get_mut(&way).expect("it was found").completed();
            }
            Step::FailAll { kind } => {
                for _ in 0..self.ways.values().map(|way| way.running.len()).sum() {
                    Box::pin(self.take(&Step::Fail { lease: 0, kind })).await?;
                }
            }
            Step::Fail { lease, kind } => {
                let Some((way, leased)) = self.running(lease) else { return Ok(()) };
                store.fail(&leased.lease, &trouble(kind), Duration::ZERO).await?;
                let opening = self.ways.get_mut(&way).expect("it was found").failed(leased.lease.job, kind);
                if let Some(seconds) = opening {
                    let breakers = self.bench.breakers().await?;
                    let breaker = breakers.iter().find(|breaker| breaker.site == way).expect("it is open");
                    let left = breaker.until.duration_since(self.bench.now().await?).as_secs();
                    self.ways.get_mut(&way).expect("it was found").until = breaker.until;
                    assert!((seconds - 3..=seconds).contains(&left), "{left} s of {seconds}");
                }
            }
            Step::Lose(at) => {
                let Some((_, leased)) = self.running(at) else { return Ok(()) };
                self.bench.run_out(leased.lease.job).await?;
            }
            Step::EndDelays => self.bench.end_delays().await?,
            Step::EndOpenings => {
                self.bench.end_openings().await?;
                for way in self.ways.values_mut().filter(|way| way.state == State::Open) {
                    way.state = State::HalfOpen;
                }
            }
        }
        Ok(())
    }

    /// Takes one of the running jobs from the model; the site is told, too.
    fn running(&mut self, at: usize) -> Option<(String, Leased)> {
        let all: Vec<(String, usize)> = SITES
            .iter()
            .map(|site| format!("{site}.example"))
            .flat_map(|way| (0..self.ways.get(&way).map_or(0, |one| one.running.len())).map(move |n| (way.clone(), n)))
            .collect();
        let (way, nth) = all.get(at.checked_rem(all.len())?)?.clone();
        let leased = self.ways.get_mut(&way)?.running.remove(nth);
        Some((way, leased))
    }

    /// Takes a job, and looks whether it is one that may go, and whether those that were passed over may not.
    async fn lease(&mut self) -> Result<()> {
        let queued = self.in_state(StateKind::Queued).await?;
        let mut leased = self.claims.take(1).await?;
        let waiting = self.in_state(StateKind::Waiting).await?;
        for ticket in queued.iter().filter(|ticket| waiting.contains(ticket)) {
            let way = self.ways.entry(format!("{}.example", self.tickets[ticket])).or_default();
            assert!(!way.lets_through(), "put off although it may go: {way:?}");
        }
        match leased.pop() {
            Some(leased) => {
                let way = self.ways.entry(site_of(&leased)).or_default();
                assert!(way.lets_through(), "leased although it may not go: {way:?}");
                way.began(leased);
            }
            None => assert!(self.in_state(StateKind::Queued).await?.is_empty(), "a job in line was not looked at"),
        }
        Ok(())
    }

    async fn in_state(&self, state: StateKind) -> Result<Vec<Ticket>> {
        let mut found = Vec::new();
        for ticket in self.tickets.keys() {
            if self.bench.kind(*ticket).await? == state {
                found.push(*ticket);
            }
        }
        Ok(found)
    }

    async fn check(&self) -> Result<()> {
        self.bench.recount().await?;
        let open = self.ways.values().filter(|way| way.state != State::Closed).count();
        assert_eq!(self.bench.breakers().await?.len(), open, "{:?}", self.ways);
        Ok(())
    }
}

#[test]
fn the_breaker_of_a_site_is_what_its_model_says() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bench = runtime.block_on(Bench::new())?;
    let sequence = |steps: Vec<Step>| {
        runtime.block_on(async {
            let mut connection = bench.redis.connection().await?;
            redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await?;
            let claims = bench.claims_through(through("nat", Some(LIMIT as u32)));
            let mut model = Model { bench: &bench, claims, tickets: HashMap::new(), ways: HashMap::new() };
            for step in &steps {
                model.take(step).await?;
                model.check().await?;
            }
            anyhow::Ok(())
        })
    };
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&proptest::collection::vec(step(), 40..120), |steps| {
        sequence(steps).map_err(|error: anyhow::Error| TestCaseError::fail(error.to_string()))
    });
    outcome.map_err(|failure| anyhow::anyhow!("{failure}"))
}
