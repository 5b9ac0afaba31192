//! Strangers' URLs, against the running service in a world of its own: every address and name of the internet is there,
//! and the canary sees whatever is sent where nobody may reach.

mod addresses;
mod bites;
mod environment;
mod fuzz;
mod manifests;
mod names;
mod posing;
mod redirects;
mod traced;
mod urls;

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use haul_tests::house::request;
use haul_tests::media;
use haul_tests::world::{self, World};
use reqwest::Method;
use serde_json::{Value, json};

/// Addresses inside, each in another way: by number, in the other family, by a name that leads there, by a name of this
/// machine, and the service's own Redis.
fn inside_addresses(world: &World) -> Vec<String> {
    world.names.set("inner.example.com", &[world::METADATA.parse().expect("an address")]);
    vec![
        format!("http://{}", world::METADATA),
        "http://[fd00:ec2::254]".to_owned(),
        "http://inner.example.com".to_owned(),
        "http://localhost:9200".to_owned(),
        format!("http://127.0.0.1:{}", world.redis_port()),
        "http://0x7f.1:8080".to_owned(),
    ]
}

/// The same order, to be done in one of the two tiers, in turn.
fn in_tier(mut order: Value, at: usize) -> Value {
    order["region"] = json!(world::TIERS[at % world::TIERS.len()]);
    order
}

/// The same order twice: each in its tier, with words of its own, or it would be done already.
fn in_each_tier(world: &World, path: &str, more: &Value) -> [Value; 2] {
    [0, 1].map(|at| in_tier(request(&world.url(&format!("{path}?{at}")), more.clone()), at))
}

/// Orders all of these, waits for them, and says of each that ended otherwise than it was to, or was tried again.
async fn ended_so(world: &World, orders: Vec<(Value, &[&str])>) -> Result<Vec<String>> {
    let mut jobs = Vec::new();
    for (order, expected) in orders {
        jobs.push((world.house.order(&order).await?, order, expected));
    }
    let mut wrong = Vec::new();
    for (job, order, expected) in jobs {
        let view = world.house.end(&job).await?;
        let said = if view["status"] == "failed" { &view["error"]["code"] } else { &view["status"] };
        let said = said.as_str().unwrap_or_default();
        let again = matches!(said, "egress_denied" | "unsupported_url") && view["attempt"] != 1;
        let is_elsewhere = !order["region"].is_null() && view["region"] != order["region"];
        if !expected.contains(&said) || again || is_elsewhere {
            wrong.push(format!(
                "{}: {said} in attempt {} in {}, not {expected:?}: {}",
                order["url"], view["attempt"], view["region"], view["error"]
            ));
        }
    }
    Ok(wrong)
}
