//! A connection to what the policy allows, and to nothing else.
//!
//! The name is resolved here, every answer is judged, and the judged literal is dialled: nobody resolves it a second
//! time, so that a name which changes its mind in between gains nothing.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Host;

use super::{EgressPolicy, Unreachable};

/// One address.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Addresses tried, one after the other.
const TRIED: usize = 3;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NotDialled {
    /// The host leads nowhere, or where it may not.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Nobody answered.
    #[error("could not connect")]
    Failed(#[source] io::Error),
}

impl EgressPolicy {
    /// Connects to a host, within half a minute.
    ///
    /// # Errors
    /// [`NotDialled`].
    pub async fn dial(&self, host: Host<&str>, port: u16) -> Result<TcpStream, NotDialled> {
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for address in self.addresses(host, port).await?.into_iter().take(TRIED) {
            match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // requests are small, and nothing is to wait for their acknowledgement; a socket without is fine
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => failed = error,
                Err(late) => failed = late.into(),
            }
        }
        Err(NotDialled::Failed(failed))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::Denied;
    use super::*;

    #[tokio::test]
    async fn what_the_policy_refuses_is_never_dialled() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let open = EgressPolicy { allow: vec!["127.0.0.0/8".parse().expect("a block")], ports: vec![] };
        let closed = EgressPolicy { allow: vec![], ports: vec![port] };
        for host in ["127.0.0.1", "localhost"] {
            let host = Host::parse(host).expect("a host");
            let host = match &host {
                Host::Domain(name) => Host::Domain(name.as_str()),
                Host::Ipv4(address) => Host::Ipv4(*address),
                Host::Ipv6(address) => Host::Ipv6(*address),
            };
            open.dial(host.clone(), port).await.expect("allowed");
            let refused = closed.dial(host, port).await;
            let denied =
                matches!(refused, Err(NotDialled::Unreachable(Unreachable::Denied(Denied::Address | Denied::Name))));
            assert!(denied, "{refused:?}");
        }
    }
}
