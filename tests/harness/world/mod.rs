//! A world of the test's own: a network in which every address is this machine, with a resolver that says what the
//! test wants and a canary that sees whatever is sent where nobody may reach.
//!
//! The service runs in it as it is shipped, with the policy of the public internet and no hook: public names and
//! addresses exist, offline. A test enters by running its own binary again in new namespaces, as root or where
//! unprivileged user namespaces are allowed; elsewhere it fails and says so.
//!
//! Not here: what is served (`origin`), what is public (`registries`).

mod canary;
mod enter;
mod names;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;

pub use canary::Canary;
pub use enter::{Ground, inside, on};
pub use names::Names;

use crate::house::{House, Store};
use crate::origin::Origin;
use crate::processes::Process;
use crate::redis::Redis;

/// Where `cdn.example.com` is, and whatever else a test wants to be public.
pub const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(93, 184, 215, 14));
/// The same in the other family.
pub const PUBLIC_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2606, 0x2800, 0x21f, 0xcb07, 0x6820, 0x80da, 0xaf6b, 0x8b2c));
/// Where clouds tell a machine its secrets.
pub const METADATA: &str = "169.254.169.254";
/// The name of the site that every world has.
pub const SITE: &str = "cdn.example.com";

/// The tiers of the sandbox that strangers are served in, each a region as well: an order says by that in which it is done.
pub const TIERS: [&str; 2] = ["a", "b"];

/// Ports of every address at which the site answers, wherever it is reached.
const SERVED: [u16; 4] = [80, 443, 8080, 9200];
/// The service alone knows its Redis by this address; by any other it is somebody else's, and watched.
const REDIS_HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 77, 7, 7));

/// A service in a world of its own.
pub struct World {
    /// What names lead to.
    pub names: Names,
    /// What was sent where.
    pub canary: Canary,
    /// The service. Its site answers at every address, on the ports 80, 443 (without TLS), 8080 and 9200: what a
    /// guard lets through finds something there.
    pub house: House,
}

impl World {
    /// Opens the service, told more by these variables.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn open(variables: &[(&str, &str)]) -> Result<Self> {
        let names = Names::serve().await?;
        names.set(SITE, &[PUBLIC, PUBLIC_V6]);
        let redis = Redis::with(&["--bind", "*"]).await?;
        let redis_at = SocketAddr::new(REDIS_HOST, redis.port());
        let canary = Canary::watch(&[redis_at], &[redis.port()])?;

        let origin = Origin::start().await;
        for port in SERVED {
            origin.serve_also(TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await.context("a port of the world")?);
        }
        let regions = TIERS.join(",");
        let redis_url = format!("redis://{redis_at}");
        let mut all = vec![
            ("HAUL_EGRESS_ALLOW", ""),
            ("HAUL_REDIS_URL", redis_url.as_str()),
            // what is tried again shows at the second time; by default that would be half a minute of pauses
            ("HAUL_MAX_ATTEMPTS", "2"),
            ("HAUL_RETRIES", "1"),
            ("HAUL_FRAGMENT_RETRIES", "1"),
            ("HAUL_REGION", TIERS[0]),
            ("HAUL_REGIONS", regions.as_str()),
        ];
        all.extend(variables);
        let house = House::over(redis, origin, Store::Disk, &all).await?;
        canary.begin()?;
        Ok(Self { names, canary, house })
    }

    /// A worker of each tier, with two slots.
    ///
    /// # Errors
    /// When one does not become ready, as where a tier can't be had.
    pub async fn worker_of_each_tier(&self) -> Result<[Process; 2]> {
        let [a, b] = TIERS.map(|tier| [("HAUL_SANDBOX", tier), ("HAUL_REGION", tier), ("HAUL_SLOTS", "2")]);
        tokio::try_join!(self.house.worker(&a), self.house.worker(&b)).map(Into::into)
    }

    /// The address of a path of the site, by its public name.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{SITE}{path}")
    }

    /// Where its Redis listens at every address, and where nobody may look for it but by the one that it is known by.
    #[must_use]
    pub fn redis_port(&self) -> u16 {
        self.house.redis.port()
    }

    /// A connection to its Redis that no canary minds.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn redis(&self) -> Result<redis::aio::MultiplexedConnection> {
        let url = format!("redis://{}", SocketAddr::new(REDIS_HOST, self.redis_port()));
        Ok(redis::Client::open(url)?.get_multiplexed_async_connection().await?)
    }
}
