//! The doctor of an API: what it shares with a worker's is in `haul_shared::doctor`, here is what only an API needs.
//!
//! Not here: how checks are made and shown, and what is wrong with Redis, the store and the machine.

mod access;
mod workers;

use std::time::Duration;

use haul_shared::config::vars::{self, Group};
use haul_shared::config::{Env, Process};
use haul_shared::doctor::{self, Check, Report};
use haul_shared::serve::files_wanted;
use haul_shared::storage::Role;
use haul_shared::store::StoreSettings;

use crate::config::ApiConfig;

/// For what reads files of this machine.
const WITHIN: Duration = Duration::from_secs(10);

/// Looks at all that an API of this environment needs. What a fault of the configuration leaves unknown is not looked at.
pub async fn examine(env: &Env) -> Report {
    let (config, faults) = ApiConfig::with_faults(env);
    let variables = doctor::configuration(env, &faults, |_| None);
    let is_known = |group| !doctor::is_faulty(&faults, group);
    let mut checks = vec![Check::new("config.variables", WITHIN, async { variables })];

    if is_known(Group::Service) {
        checks.push(doctor::address("api.address", vars::LISTEN.name, Process::Api, config.listen));
        let admin = config.admin_listen.filter(|admin| *admin != config.listen);
        checks.extend(admin.map(access::admin_address));
    }
    checks.extend(access::checks(&config, &faults));
    if is_known(Group::Redis) && is_known(Group::Queue) && is_known(Group::Lives) {
        let settings = StoreSettings::of(&config.lives, &config.queue);
        checks.push(doctor::queue(&config.redis, settings));
        checks.push(doctor::cache(&config.redis));
        if doctor::are_known(&faults, &[vars::MODE, vars::REGION, vars::REGIONS]) {
            checks.push(workers::check(&config, settings));
        }
    }
    if is_known(Group::Storage) {
        let role = Role::Api { public_url: config.base_url(config.listen) };
        checks.push(doctor::store(&config.storage, role, true));
    }
    checks.push(Check::new("limits.files", WITHIN, async { vec![doctor::open_files(files_wanted(), true)] }));
    if is_known(Group::Logs) {
        checks.extend(doctor::log_directory(config.log.dir.clone()));
    }
    doctor::examine(checks).await
}
