//! The doctor of a worker: what it shares with an API's is in `haul_shared::doctor`, here is what only a worker needs.
//!
//! Programs are run as for a job, in the sandbox that works here, in scratch of their own. No stranger is asked for anything:
//! of the net, one name is looked up.

mod machine;
mod network;
mod programs;
mod sandbox;

use std::time::Duration;

use haul_shared::config::vars::{self, Group, Var};
use haul_shared::config::{Env, Fault, Process};
use haul_shared::doctor::{self, Check, Report};
use haul_shared::storage::Role;
use haul_shared::store::StoreSettings;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::WorkerConfig;

/// For what reads files of this machine.
const WITHIN: Duration = Duration::from_secs(10);

/// Looks at all that a worker of this environment needs. What a fault of the configuration leaves unknown is not looked at.
pub async fn examine(env: &Env) -> Report {
    // as at a start: whoever starts us may ignore the deaths of children, and then no program could be told to have ended
    let _deaths = signal(SignalKind::child());
    let (config, faults) = WorkerConfig::with_faults(env);
    let variables = doctor::configuration(env, &faults, remedy);
    let is_known = |group| !doctor::is_faulty(&faults, group);
    let are_known = |vars: &[Var]| doctor::are_known(&faults, vars);
    let mut checks = vec![Check::new("config.variables", WITHIN, async { variables })];

    if is_known(Group::Service) {
        checks.push(doctor::address("worker.address", vars::WORKER_LISTEN.name, Process::Worker, config.listen));
    }
    if are_known(&[vars::REGION, vars::REGIONS, vars::SLOTS, vars::SHUTDOWN_GRACE]) {
        checks.push(machine::regions(&config));
    }
    if is_known(Group::Redis) && is_known(Group::Queue) && is_known(Group::Lives) {
        checks.push(doctor::queue(&config.redis, StoreSettings::of(&config.lives, &config.queue)));
        checks.push(doctor::cache(&config.redis));
    }
    if is_known(Group::Storage) {
        checks.push(doctor::store(&config.storage, Role::Worker, config.orphan_sweep.is_some()));
    }
    let is_place_known = are_known(&[vars::WORK_DIR, vars::DATA_DIR]);
    if is_place_known && are_known(&[vars::SLOTS, vars::MIN_FREE_DISK]) {
        checks.push(machine::scratch(&config));
    }
    if are_known(&[vars::SLOTS]) {
        checks.push(machine::limits(&config));
    }
    // neither a program that is missing nor a fault in how one is used is a reason not to look at the others
    if is_place_known {
        checks.push(programs::check(&config, &faults));
    }
    if are_known(&[vars::COOKIES_DIR]) {
        checks.extend(machine::cookies(&config));
    }
    if are_known(&[vars::MODE, vars::EGRESS_ALLOW]) {
        checks.push(network::check(&config));
    }
    if is_known(Group::Logs) {
        checks.extend(doctor::log_directory(config.log.dir.clone()));
    }
    doctor::examine(checks).await
}

/// What is to be installed, rather than set.
fn remedy(fault: &Fault) -> Option<String> {
    let name = fault.var;
    if !fault.what.starts_with("there is no program") {
        return None;
    }
    if name == vars::YTDLP.name {
        return Some(format!(
            "deploy/local/tools installs it; or python3 -m venv DIR && DIR/bin/pip install 'yt-dlp[default]' deno, and {name}=DIR/bin/yt-dlp"
        ));
    }
    Some(format!("apt-get install ffmpeg, or name the path of it in {name}"))
}
