//! The service of a company, cut in two wherever it can be: each link between two of its machines for a minute, under
//! load, once so that what is sent is lost and once so that it is refused; and its processes killed and replaced.
//!
//! Whatever happens, what was accepted ends once and as it has to, what clients are told meanwhile is clear and comes in
//! time, and afterwards everything drains by itself. `tests/run --topology` runs this; it takes a quarter of an hour.

mod asks;
mod customers;
mod journey;
mod judge;
mod machines;
mod roads;
mod topology;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use haul_tests::world;

use asks::Part as P;
use journey::{HEAD, Happens, Journey, journey};
use machines::Machine as M;
use roads::{GROUND, How, Roads};
use topology::Topology;

/// How long each link is cut; `CUT_SECONDS` at build time says otherwise.
const SECONDS: Option<&str> = option_env!("CUT_SECONDS");

/// Which links are cut, what is told so, and what each process has lost meanwhile. Whoever is not named notices nothing.
const CUTS: [Journey; 8] = [
    Journey {
        what: "an API from the queue",
        happens: Happens::Cut(&[(M::EuApi, M::Queue)]),
        missing: &[(M::EuApi, &[P::Queue])],
    },
    Journey {
        what: "a worker from the queue",
        happens: Happens::Cut(&[(M::EuWorker1, M::Queue)]),
        missing: &[(M::EuWorker1, &[P::Queue]), (M::EuApi, &[P::Worker])],
    },
    Journey {
        what: "a worker from the store",
        happens: Happens::Cut(&[(M::EuWorker1, M::Store)]),
        missing: &[(M::EuWorker1, &[P::Store])],
    },
    Journey {
        what: "the only worker of a region from the store",
        happens: Happens::Cut(&[(M::UsWorker, M::Store)]),
        missing: &[(M::UsWorker, &[P::Store])],
    },
    Journey {
        what: "an API from the store",
        happens: Happens::Cut(&[(M::EuApi, M::Store)]),
        missing: &[(M::EuApi, &[P::Store])],
    },
    Journey {
        what: "the cache from everybody",
        happens: Happens::Cut(&[
            (M::EuApi, M::Cache),
            (M::UsApi, M::Cache),
            (M::EuWorker1, M::Cache),
            (M::EuWorker2, M::Cache),
            (M::UsWorker, M::Cache),
        ]),
        missing: &[(M::EuApi, &[P::Cache]), (M::UsApi, &[P::Cache])],
    },
    Journey {
        what: "one region from the other",
        happens: Happens::Cut(&[
            (M::UsApi, M::Queue),
            (M::UsApi, M::Cache),
            (M::UsApi, M::Store),
            (M::UsApi, M::EuApi),
            (M::UsWorker, M::Queue),
            (M::UsWorker, M::Cache),
            (M::UsWorker, M::Store),
            (M::UsWorker, M::EuApi),
        ]),
        missing: &[(M::UsApi, &[P::Queue, P::Cache, P::Store]), (M::UsWorker, &[P::Queue, P::Store])],
    },
    Journey {
        what: "the APIs from the workers",
        happens: Happens::Cut(&[
            (M::EuApi, M::EuWorker1),
            (M::EuApi, M::EuWorker2),
            (M::EuApi, M::UsWorker),
            (M::UsApi, M::EuWorker1),
            (M::UsApi, M::EuWorker2),
            (M::UsApi, M::UsWorker),
        ]),
        missing: &[],
    },
];

/// Who dies, and who is replaced.
const DEATHS: [Journey; 4] = [
    Journey {
        what: "a worker is killed",
        happens: Happens::Death(M::EuWorker1),
        missing: &[(M::EuWorker1, &[P::Itself]), (M::EuApi, &[P::Worker])],
    },
    Journey { what: "an API is killed", happens: Happens::Death(M::UsApi), missing: &[(M::UsApi, &[P::Itself])] },
    Journey {
        what: "a worker is replaced",
        happens: Happens::Replacement(M::EuWorker2),
        missing: &[(M::EuWorker2, &[P::Itself])],
    },
    Journey {
        what: "an API is replaced",
        happens: Happens::Replacement(M::EuApi),
        missing: &[(M::EuApi, &[P::Itself])],
    },
];

#[test]
fn a_minute_of_silence_on_any_link_loses_no_job_and_everything_drains_afterwards() -> Result<()> {
    all("silence", &CUTS, How::Silence)
}

#[test]
fn a_minute_of_refusal_on_any_link_loses_no_job_and_everything_drains_afterwards() -> Result<()> {
    all("refusal", &CUTS, How::Refusal)
}

#[test]
fn a_process_that_is_killed_or_replaced_under_load_costs_no_job() -> Result<()> {
    all("deaths", &DEATHS, How::Silence)
}

/// One journey after the other, through one topology.
fn all(name: &str, journeys: &[Journey], how: How) -> Result<()> {
    world::on(&GROUND, async |is_on_ground| {
        let time = Duration::from_secs(SECONDS.map_or(Ok(60), str::parse)?);
        let mut topology = Topology::open(name, is_on_ground).await?;
        let ground = match topology.roads {
            Roads::Network => "network namespaces, each with an address of its own",
            Roads::Wires { .. } => "cutting proxies on loopback, for namespaces are forbidden here",
        };
        println!("{name}: {ground}; what the processes say is in {}", topology.logs.display());
        let (mut rows, mut wrong) = (Vec::new(), Vec::new());
        for one in journeys {
            if let Happens::Cut(links) = one.happens
                && !topology.roads.lead(links)
            {
                println!("{name}: {}: left out, for no wire leads there", one.what);
                continue;
            }
            let report = journey(&mut topology, name, one, how, time).await.with_context(|| one.what.to_owned())?;
            wrong.extend(report.wrong.iter().map(|what| format!("{}: {what}", one.what)));
            rows.push(report.row());
        }
        println!("{name}:\n{HEAD}\n{}", rows.join("\n"));
        ensure!(wrong.is_empty(), "{name}:\n  {}", wrong.join("\n  "));
        Ok(())
    })
}
