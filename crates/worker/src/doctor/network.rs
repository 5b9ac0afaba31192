//! The way out: the resolver, the operator's proxy, and what strangers may reach. Nobody out there is contacted.

use std::time::Duration;

use haul_shared::config::Mode;
use haul_shared::doctor::{Check, Finding};
use haul_shared::egress::EgressPolicy;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::config::WorkerConfig;
use crate::guard::Upstream;

/// A name that is there for such purposes (RFC 2606).
const NAME: &str = "example.com";
const RESOLVED_WITHIN: Duration = Duration::from_secs(8);
const WITHIN: Duration = Duration::from_secs(15);

/// Whether there is a way out, and none too many.
pub(super) fn check(config: &WorkerConfig) -> Check {
    let (proxy, egress, mode) = (config.proxy.clone(), config.egress.clone(), config.mode);
    Check::new("network.resolver", WITHIN, async move {
        let (resolved, reached) = tokio::join!(resolver(&egress), through(proxy));
        std::iter::once(resolved).chain(reached).chain([allowed(&egress, mode)]).collect()
    })
}

async fn resolver(egress: &EgressPolicy) -> Finding {
    let name = "network.resolver";
    let looked_up = timeout(RESOLVED_WITHIN, lookup_host((NAME, 443))).await;
    match looked_up.map(|found| found.map(Iterator::count)) {
        Ok(Ok(1..)) => Finding::ok(name, format_args!("{NAME} leads to an address")),
        _ => {
            let found = format!("{NAME} leads to no address: sites cannot be reached by their names");
            let remedy = format!("mend /etc/resolv.conf, or the dns of the container: getent hosts {NAME}");
            // where only some addresses of one's own are wanted, there may be no resolver
            if egress.allow.is_empty() {
                Finding::fail(name, found, remedy)
            } else {
                Finding::warn(name, found, remedy)
            }
        }
    }
}

/// Who we are there is found out by the first job: to ask would be to ask for somebody.
async fn through(proxy: Option<Upstream>) -> Option<Finding> {
    let name = "network.proxy";
    Some(match proxy?.connect().await {
        Ok(_) => Finding::ok(name, "the proxy takes connections"),
        Err(error) => Finding::fail(
            name,
            format_args!("the proxy takes no connection: {error}"),
            "set HAUL_PROXY to http://[user:password@]host:port of one that runs, or leave it out",
        ),
    })
}

fn allowed(egress: &EgressPolicy, mode: Mode) -> Finding {
    let name = "network.egress";
    let blocks = egress.allow.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let all = egress.allow.iter().any(|block| block.prefix_len() == 0);
    let remedy = "leave HAUL_EGRESS_ALLOW out, or name only hosts of your own media in it";
    match mode {
        _ if egress.allow.is_empty() => Finding::ok(name, "public addresses can be reached, and no others"),
        Mode::Public if all => {
            Finding::fail(name, format_args!("strangers may reach everything here: {blocks}"), remedy)
        }
        Mode::Public => Finding::warn(name, format_args!("strangers may reach what is not public: {blocks}"), remedy),
        Mode::Private if all => {
            Finding::warn(name, format_args!("clients may reach everything here: {blocks}"), remedy)
        }
        Mode::Private => Finding::ok(name, format_args!("beside public addresses, {blocks} can be reached")),
    }
}

#[cfg(test)]
mod tests {
    use haul_shared::doctor::Status;

    use super::*;

    #[test]
    fn what_is_not_public_is_not_for_strangers() {
        let status = |allow: &[&str], mode| {
            let allow = allow.iter().map(|block| block.parse().unwrap()).collect();
            allowed(&EgressPolicy { allow, ports: vec![443] }, mode).status
        };
        let (some, all): (&[&str], &[&str]) = (&["10.0.0.0/8"], &["10.0.0.0/8", "0.0.0.0/0"]);
        assert_eq!([status(&[], Mode::Public), status(some, Mode::Private)], [Status::Ok, Status::Ok]);
        assert_eq!([status(some, Mode::Public), status(all, Mode::Private)], [Status::Warn, Status::Warn]);
        assert_eq!(status(all, Mode::Public), Status::Fail);
    }
}
