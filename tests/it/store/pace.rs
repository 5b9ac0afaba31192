//! Whose turn it is under load, told in jobs handed out instead of seconds: with sixteen slots, a job's length is sixteen
//! of them.

use std::collections::VecDeque;

use futures::{StreamExt as _, TryStreamExt as _};

use super::*;

const SLOTS: usize = 16;

/// All slots are taken, and the job that began first ends first.
struct Pace {
    bench: Bench,
    claims: Claims,
    running: VecDeque<Leased>,
}

impl Pace {
    /// One client has more than anybody will live to see, with so many of them at once at most.
    async fn behind(jobs: usize, max_running: Option<u32>) -> Result<Self> {
        let bench = Bench::new().await?;
        let orders = (0..jobs).map(|n| Submission {
            limits: ClientLimits { max_queued: None, max_running, weight: 1, rate: None, bytes_per_day: None },
            ..order("greedy", &format!("https://example.com/{n}"))
        });
        let store = &bench.store;
        let sent = futures::stream::iter(orders).map(|order| async move { store.submit(&order).await });
        sent.buffer_unordered(32).try_for_each(|_| async { Ok(()) }).await?;
        let (claims, running) = (bench.claims(), VecDeque::new());
        let mut pace = Self { bench, claims, running };
        while pace.running.len() < max_running.map_or(SLOTS, |most| most as usize) {
            pace.hand_out().await?;
        }
        Ok(pace)
    }

    async fn hand_out(&mut self) -> Result<JobId> {
        let leased = self.claims.take(1).await?.pop().ok_or_else(|| anyhow::anyhow!("no job to lease"))?;
        let job = leased.lease.job;
        self.running.push_back(leased);
        Ok(job)
    }

    async fn end_the_first(&mut self) -> Result<()> {
        let first = self.running.pop_front().expect("all slots are taken");
        self.bench.store.complete(&first.lease, &artifact(&first), &[]).await?;
        Ok(())
    }

    /// How many jobs are handed out until that of a ticket is, itself included.
    async fn turns_until(&mut self, ticket: Ticket) -> Result<usize> {
        for turn in 1..=1000 {
            if self.running.len() == SLOTS {
                self.end_the_first().await?;
            }
            self.hand_out().await?;
            if self.bench.kind(ticket).await? == StateKind::Running {
                return Ok(turn);
            }
        }
        anyhow::bail!("it starves")
    }
}

#[tokio::test]
async fn twenty_small_clients_are_served_at_once_beside_one_with_ten_thousand_jobs() -> Result<()> {
    let mut pace = Pace::behind(10_000, None).await?;
    // one after the other: each has one of the next two turns, an eighth of a job's length
    for n in 0..20 {
        let ticket = pace.bench.submit(&format!("small {n}"), &format!("https://example.com/small/{n}")).await?;
        let turns = pace.turns_until(ticket).await?;
        assert!(turns <= 2, "client {n} waited {turns} turns");
    }
    // all at once: each has one turn, and so has the greedy one
    let mut tickets = Vec::new();
    for n in 0..20 {
        tickets.push(pace.bench.submit(&format!("other {n}"), &format!("https://example.com/other/{n}")).await?);
    }
    let mut turns = 0;
    for ticket in tickets {
        if pace.bench.kind(ticket).await? == StateKind::Queued {
            turns += pace.turns_until(ticket).await?;
        }
    }
    assert!((20..=22).contains(&turns), "{turns} turns for 21 clients");
    Ok(())
}

#[tokio::test]
async fn where_a_client_may_run_four_jobs_at_once_others_do_not_wait_at_all() -> Result<()> {
    let mut pace = Pace::behind(1000, Some(4)).await?;
    for n in 0..12 {
        let ticket = pace.bench.submit(&format!("small {n}"), &format!("https://example.com/small/{n}")).await?;
        assert_eq!(pace.turns_until(ticket).await?, 1);
    }
    Ok(())
}

/// Leaving the ring and joining it again would be a way past everybody.
#[tokio::test]
async fn who_submits_one_job_at_a_time_gets_no_more_turns_than_who_has_many_waiting() -> Result<()> {
    let mut pace = Pace::behind(500, None).await?;
    for client in ["b", "c"] {
        for n in 0..200 {
            pace.bench.submit(client, &format!("https://example.com/{client}/{n}")).await?;
        }
    }
    let (mut served, mut waiting) = (0, pace.bench.submit("sly", "https://example.com/sly").await?);
    for n in 0..200 {
        pace.end_the_first().await?;
        pace.hand_out().await?;
        if pace.bench.kind(waiting).await? == StateKind::Running {
            served += 1;
            waiting = pace.bench.submit("sly", &format!("https://example.com/sly/{n}")).await?;
        }
    }
    assert!(served <= 200 / 4 + 1, "{served} of 200 turns among four clients");
    assert!(served >= 200 / 4 - 2, "{served} of 200 turns among four clients");
    Ok(())
}
