//! What each call costs Redis: what `INFO` says before and after some of a kind is divided by their number.
//!
//! Each is measured twice. **Alone**, with a pause before each, as in a small fleet, while one works beside it on the same
//! machine: Redis has to be woken, and others have used the caches meanwhile. What comes right after another call as a rule is
//! measured beside a heartbeat, or right after it, which has woken Redis for it. **In a crowd**: Redis is stopped until each of
//! many programs has sent one, and then finds the next call waiting whenever it is done with one, as when it is full. What
//! Redis takes by itself, and for `INFO`, is measured before and taken away.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::{join, join_all, try_join, try_join_all};
use haul_tests::redis::Redis;
use haul_tests::sim::{Call, Cost};
use redis::aio::MultiplexedConnection;
use rustix::process::Signal;
use tokio::time::{Instant, interval, sleep, timeout};

use super::desk::{Desk, MANY, PROGRAMS};
use super::shard::{self, Level};
use crate::stage;

/// Calls of a kind that come alone, in rounds of all kinds, since what goes on beside them changes; and the time between two:
/// ten a second, as the quietest small cases have.
const CALLS: usize = 16;
const ROUNDS: usize = 3;
const GAP: Duration = Duration::from_millis(100);

/// Crowds of a kind; in each every program makes a call.
const CROWDS: usize = 6;

/// Until all programs have sent their calls to a Redis that is stopped.
const SENDING: Duration = Duration::from_millis(40);

/// How long Redis is asked nothing, and how often after that what it has spent.
const QUIET: Duration = Duration::from_secs(5);
const ASKED: usize = 40;

/// APIs who listen, and whose ticks are looked at, for how long; and how long the first of them is waited for.
const APIS: usize = 20;
const TICKING: Duration = Duration::from_millis(5500);
const FIRST: Duration = Duration::from_millis(800);

/// What was found.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// What a call costs that comes alone.
    pub alone: [Cost; Call::ALL.len()],
    /// Microseconds of the processor that it costs in a crowd.
    pub crowded_us: [f64; Call::ALL.len()],
    /// Microseconds that Redis takes in a second in which it is asked nothing.
    pub idle_us: f64,
    /// Microseconds that a look at it takes by which the cases see whether all jobs have ended.
    pub glance_us: f64,
}

/// What it costs to ask in vain: whether it is time to audit some jobs, and to look at what is due.
#[derive(Debug, Clone, Copy)]
struct Ticks {
    audit: Cost,
    turn: Cost,
}

/// How calls come.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pace {
    Alone,
    Crowded,
}

/// A Redis, who makes the calls, and what has been found so far.
pub struct Calibration {
    redis: Redis,
    desk: Desk,
    info: MultiplexedConnection,
    /// What Redis takes in a second by itself.
    idle: Cost,
    /// What a question costs that comes alone.
    asking: Cost,
}

impl Calibration {
    /// Starts a Redis.
    ///
    /// # Errors
    /// When that does not come up, or a call fails.
    pub async fn open() -> Result<Self> {
        let redis = Redis::start().await?;
        let (desk, info) = (Desk::open(&redis).await?, redis.connection().await?);
        Ok(Self { redis, desk, info, idle: Cost::default(), asking: Cost::default() })
    }

    /// Measures all calls.
    ///
    /// # Errors
    /// When one fails.
    pub async fn run(&mut self) -> Result<Found> {
        self.keep_quiet().await?;
        let glance_us = self.glances().await?;
        let ticks = self.ticks().await?;
        let mut alone = [Cost::default(); Call::ALL.len()];
        for _ in 0..ROUNDS {
            let round = self.all(Pace::Alone, ticks).await?;
            alone.iter_mut().zip(round).for_each(|(sum, cost)| *sum = *sum + cost * (1.0 / ROUNDS as f64));
        }
        let crowded = self.all(Pace::Crowded, ticks).await?;
        let crowded_us = crowded.map(|cost| cost.cpu_us.max(0.0));
        Ok(Found { alone, crowded_us, idle_us: self.idle.cpu_us, glance_us })
    }

    /// How busy calls of this composition make Redis, at several rates.
    ///
    /// # Errors
    /// When one fails.
    pub async fn levels(mut self, mix: &[(Call, f64)]) -> Result<Vec<Level>> {
        shard::levels(&self.desk, &mut self.info, mix).await
    }

    /// What Redis takes by itself, and for a question: it is asked nothing for a while, and then nothing but that.
    async fn keep_quiet(&mut self) -> Result<()> {
        let before = spent(&mut self.info).await?;
        sleep(QUIET).await;
        let after = spent(&mut self.info).await?;
        let mut last = after;
        let mut pace = interval(GAP);
        for _ in 0..ASKED {
            pace.tick().await;
            last = spent(&mut self.info).await?;
        }
        let (quiet, asked) = (after + before * -1.0, (last + after * -1.0) * (1.0 / ASKED as f64));
        self.idle = (quiet + asked * -1.0) * (1.0 / (QUIET - GAP).as_secs_f64());
        self.asking = quiet + self.idle * -QUIET.as_secs_f64();
        Ok(())
    }

    async fn glances(&mut self) -> Result<f64> {
        let mut line = self.redis.connection().await?;
        glance(&mut line).await?;
        let cost = self.alone(ASKED, async |_, _| glance(&mut line).await.map(drop)).await?;
        Ok(cost.cpu_us)
    }

    /// What it costs to ask in vain, but for the processor, of which some seconds tell too little. Every second an API asks
    /// whether it is its turn to look at what is due, and to audit some jobs. To the former one that is alone always hears
    /// yes; of many most hear that another has just looked.
    async fn ticks(&mut self) -> Result<Ticks> {
        let tend = self.alone(ASKED, async |desk, at| desk.make(Call::Tend, at).await).await?;
        let (all, ticks) = self.ticking(1).await?;
        let audit = all * (1.0 / ticks) + tend * -1.0;
        let (all, ticks) = self.ticking(APIS).await?;
        // of all of them two a second look
        let looked = 2.0 * (TICKING - FIRST).as_secs_f64();
        let turn = (all + audit * -ticks + tend * -looked) * (1.0 / (ticks - looked));
        Ok(Ticks { audit, turn })
    }

    /// What it costs that so many APIs look after the queue for a while, and how often they do.
    async fn ticking(&mut self, apis: usize) -> Result<(Cost, f64)> {
        // the next page of the audit is turned in ten seconds
        self.desk.make(Call::Audited, 0).await?;
        let stores: Vec<_> = (0..apis).map(|_| stage::store(&self.redis.url())).collect::<Result<_>>()?;
        let scripts = self.redis.carried_out("evalsha").await?;
        let (began, before) = (Instant::now(), spent(&mut self.info).await?);
        // they never end by themselves
        let _over = timeout(TICKING, join_all(stores.into_iter().map(haul_shared::store::JobStore::look_after))).await;
        let all = spent(&mut self.info).await? + before * -1.0 + self.meanwhile(began) * -1.0;
        // each time two scripts, and who has just come makes a connection for either
        let ticks = (self.redis.carried_out("evalsha").await? - scripts) as f64 / 2.0;
        Ok((all, ticks))
    }

    /// Measures all calls at a pace, but for those that ask in vain, of which all but the processor is known.
    async fn all(&mut self, pace: Pace, ticks: Ticks) -> Result<[Cost; Call::ALL.len()]> {
        let mut known = [Cost::default(); Call::ALL.len()];
        let (one, many) = (self.each(pace, Call::Beat).await?, self.each(pace, Call::Beaten).await?);
        let beaten = (many + one * -1.0) * (1.0 / (MANY - 1) as f64);
        known[Call::Beaten as usize] = beaten;
        known[Call::Beat as usize] = one + beaten * -1.0;
        let by_themselves = [Call::Lanes, Call::Tend, Call::Tell, Call::Announce, Call::Trial, Call::Submit];
        for call in by_themselves.into_iter().chain([Call::Lease, Call::Leased]) {
            known[call as usize] = self.each(pace, call).await?;
        }
        known[Call::Leased as usize] = known[Call::Leased as usize] + known[Call::Lease as usize] * -1.0;
        self.desk.give_tokens(CALLS.max(CROWDS * PROGRAMS)).await?;
        known[Call::Pop as usize] = self.each(pace, Call::Pop).await?;
        // an API that has somebody to tell hears of every change
        let mut listeners = Vec::new();
        for _ in 0..APIS {
            let mut listener = redis::Client::open(self.redis.url())?.get_async_pubsub().await?;
            listener.subscribe("haul1:{0}:changed").await?;
            listeners.push(listener);
        }
        let heard = self.each(pace, Call::Heard).await?;
        drop(listeners);
        let more = (heard + one * -1.0) * (1.0 / APIS as f64);
        known[Call::Heard as usize] =
            Cost { out_bytes: more.out_bytes, cpu_us: more.cpu_us.max(0.0), ..Cost::default() };

        for call in [Call::Look, Call::Peek, Call::Reserve, Call::Complete, Call::Thumbnail] {
            known[call as usize] = self.each(pace, call).await?;
        }
        // as small scripts as those: one that comes by itself, and two that come beside another
        known[Call::Told as usize] = known[Call::Reserve as usize];
        for (call, like, cost) in [(Call::Turn, Call::Tell, ticks.turn), (Call::Audit, Call::Reserve, ticks.audit)] {
            known[call as usize] = Cost { cpu_us: known[like as usize].cpu_us, ..cost };
        }
        let failing = self.number(pace);
        self.desk.stock(failing).await?;
        known[Call::Fail as usize] = self.each(pace, Call::Fail).await?;
        let tended = self.alone(1, async |desk, at| desk.make(Call::Tended, at).await).await?;
        let looked = if pace == Pace::Alone { known[Call::Tend as usize] } else { Cost::default() };
        known[Call::Tended as usize] = (tended + looked * -1.0) * (1.0 / failing as f64);

        let before = self.desk.audited();
        let page = self.each(pace, Call::Audited).await?;
        let jobs = (self.desk.audited() - before) as f64 / self.number(pace) as f64;
        known[Call::Audited as usize] = (page + known[Call::Audit as usize] * -1.0) * (1.0 / jobs);
        Ok(known)
    }

    fn number(&self, pace: Pace) -> usize {
        match pace {
            Pace::Alone => CALLS,
            Pace::Crowded => CROWDS * PROGRAMS,
        }
    }

    /// What a call of a kind costs.
    async fn each(&mut self, pace: Pace, call: Call) -> Result<Cost> {
        match pace {
            Pace::Alone if Desk::follows(call) => {
                // who asks for jobs waits for an answer before; the others come in the same moment
                let waits = matches!(call, Call::Lease | Call::Leased | Call::Pop);
                let beat = async |desk: &Desk, at: usize| desk.make(Call::Beat, at).await;
                let both = async |desk: &Desk, at: usize| {
                    let beat = desk.make(Call::Beat, at);
                    if waits {
                        beat.await?;
                        return desk.make(call, at).await;
                    }
                    try_join(beat, desk.make(call, at + 1)).await.map(drop)
                };
                // what a heartbeat costs is not the same a quarter of a minute later
                let together = self.alone(CALLS, both).await?;
                Ok(together + self.alone(CALLS, beat).await? * -1.0)
            }
            Pace::Alone => self.alone(CALLS, async |desk, at| desk.make(call, at).await).await,
            Pace::Crowded => self.crowded(call).await,
        }
    }

    async fn alone(&mut self, calls: usize, mut call: impl AsyncFnMut(&Desk, usize) -> Result<()>) -> Result<Cost> {
        let mut pace = interval(GAP);
        pace.tick().await;
        let (began, before) = (Instant::now(), spent(&mut self.info).await?);
        for at in 0..calls {
            pace.tick().await;
            call(&self.desk, at).await?;
        }
        // the last one is followed by as long a pause as the others
        pace.tick().await;
        let all = spent(&mut self.info).await? + before * -1.0;
        Ok((all + self.meanwhile(began) * -1.0) * (1.0 / calls as f64))
    }

    async fn crowded(&mut self, call: Call) -> Result<Cost> {
        let before = spent(&mut self.info).await?;
        for crowd in 0..CROWDS {
            self.redis.signal(Signal::STOP)?;
            let calls = try_join_all((0..PROGRAMS).map(|at| self.desk.make(call, crowd * PROGRAMS + at)));
            let go_on = async {
                sleep(SENDING).await;
                self.redis.signal(Signal::CONT)
            };
            let (made, went_on) = join(calls, go_on).await;
            went_on.and(made)?;
        }
        let after = spent(&mut self.info).await?;
        let asking = spent(&mut self.info).await? + after * -1.0;
        Ok((after + before * -1.0 + asking * -1.0) * (1.0 / (CROWDS * PROGRAMS) as f64))
    }

    /// What Redis has spent since then for itself, and for a question.
    fn meanwhile(&self, began: Instant) -> Cost {
        self.idle * began.elapsed().as_secs_f64() + self.asking
    }
}

/// Are there still jobs?
///
/// # Errors
/// When Redis does not tell.
pub async fn glance(line: &mut MultiplexedConnection) -> Result<bool> {
    let open: u64 = redis::cmd("ZCARD").arg("haul1:{0}:live").query_async(line).await?;
    Ok(open > 0)
}

/// What Redis has spent so far.
///
/// # Errors
/// When it does not tell.
pub async fn spent(info: &mut MultiplexedConnection) -> Result<Cost> {
    let text: String = redis::cmd("INFO").arg(&["stats", "cpu"]).query_async(info).await?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        anyhow::Ok(line.with_context(|| format!("no {name}"))?.trim().parse::<f64>()?)
    };
    Ok(Cost {
        commands: field("total_commands_processed")?,
        in_bytes: field("total_net_input_bytes")?,
        out_bytes: field("total_net_output_bytes")?,
        cpu_us: (field("used_cpu_user_main_thread")? + field("used_cpu_sys_main_thread")?) * 1e6,
    })
}
