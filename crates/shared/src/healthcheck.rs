//! What `healthcheck` asks: is the process that listens there ready?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// For the whole question.
const WITHIN: Duration = Duration::from_secs(8);

/// Why it is not ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// Nobody answered in time.
    #[error("nothing answers on {0}")]
    Silent(SocketAddr, #[source] reqwest::Error),
    /// It says that something is missing.
    #[error("not ready: {0}")]
    Says(String),
}

/// Asks `/readyz` of the process that was told to listen on `listen`.
///
/// # Errors
/// [`NotReady`].
pub async fn healthcheck(listen: SocketAddr) -> Result<(), NotReady> {
    let address = reachable(listen);
    let silent = |error| NotReady::Silent(address, error);
    let client = reqwest::Client::builder().timeout(WITHIN).build().map_err(silent)?;
    let answer = client.get(format!("http://{address}/readyz")).send().await.map_err(silent)?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(NotReady::Says(answer.text().await.map_err(silent)?))
}

/// Every address of this machine is also reached by its loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_asked_on_loopback() {
        for (listen, asked) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:2", "[::1]:2"), ("10.0.0.7:3", "10.0.0.7:3")] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
