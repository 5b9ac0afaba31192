//! A connection to what the policy allows, and to nothing else.
//!
//! The name is resolved here, every answer is judged, and the judged literal is dialled: nobody resolves it a second
//! time, so that a name which changes its mind in between gains nothing. With an upstream proxy it is that literal which
//! the proxy is asked for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use haul_shared::egress::Unreachable;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use url::Host;

use super::stream::{Seat, Speaker};
use super::upstream::NoWay;
use super::{Guard, Refusal, Stream};

/// To a host, whichever of its addresses answers.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// To one address of several.
const ONE_OF_SEVERAL_WITHIN: Duration = Duration::from_secs(4);
/// Addresses tried, one after the other, of both families where there are both.
const TRIED: usize = 3;
/// For one of the connections to become free. An excess waits: who asks for more at once than there may be goes on
/// more slowly, as with a site that serves only so many, and loses nothing. The wait ends, for what is kept open and idle
/// may never be let go of.
const SEAT_WITHIN: Duration = Duration::from_secs(30);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDialled {
    /// The host leads nowhere, or where it may not.
    #[error(transparent)]
    Unreachable(Unreachable),
    /// Nobody answered.
    #[error("could not connect")]
    Failed(#[source] io::Error),
    /// No connection became free.
    #[error(transparent)]
    Crowded(Refusal),
}

impl Guard {
    /// Connects a program to a host.
    pub(crate) async fn dial(&self, host: Host<&str>, port: u16) -> Result<Stream, NotDialled> {
        let seat = self.seat_for(host.clone(), port).await?;
        self.dial_for(Speaker::Program, seat, host, port).await
    }

    /// Waits for a place among the connections of this guard. Who also needs what other jobs want waits for this first:
    /// nobody else is to wait because this guard is crowded.
    pub(crate) async fn seat_for(&self, host: Host<&str>, port: u16) -> Result<Seat, NotDialled> {
        // what may not be reached takes nobody's seat
        let judged = self.inner.rules.policy.judge_host(host, port);
        judged.map_err(|denied| self.unreachable(Unreachable::Denied(denied)))?;
        let Ok(Ok(seat)) = timeout(SEAT_WITHIN, Arc::clone(&self.inner.seats).acquire_owned()).await else {
            self.refuse(Refusal::Connections);
            return Err(NotDialled::Crowded(Refusal::Connections));
        };
        Ok(Arc::new(seat))
    }

    /// Connects ourselves to a host on such a place.
    pub(crate) async fn dial_on(&self, seat: Seat, host: Host<&str>, port: u16) -> Result<Stream, NotDialled> {
        self.dial_for(Speaker::Ourselves, seat, host, port).await
    }

    /// Connects whoever speaks on such a place.
    pub(super) async fn dial_for(
        &self,
        speaker: Speaker,
        seat: Seat,
        host: Host<&str>,
        port: u16,
    ) -> Result<Stream, NotDialled> {
        let turn = Arc::clone(&self.inner.lookups).acquire_owned();
        let resolved = self.inner.rules.policy.addresses(host, port, turn).await;
        let addresses = by_turns(&resolved.map_err(|unreachable| self.unreachable(unreachable))?);
        self.first_that_answers(&addresses, speaker, &seat).await.map_err(|error| self.unreached(error))
    }

    async fn first_that_answers(&self, addresses: &[SocketAddr], speaker: Speaker, seat: &Seat) -> io::Result<Stream> {
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        let end = Instant::now() + CONNECT_WITHIN;
        for (at, address) in addresses.iter().enumerate() {
            let is_last = at + 1 == addresses.len();
            let end = if is_last { end } else { end.min(Instant::now() + ONE_OF_SEVERAL_WITHIN) };
            match timeout_at(end, self.connect(*address, speaker, seat)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed = error,
                Err(late) => failed = late.into(),
            }
        }
        Err(failed)
    }

    /// To one address, through the operator's proxy where there is one.
    async fn connect(&self, address: SocketAddr, speaker: Speaker, seat: &Seat) -> io::Result<Stream> {
        let stream = |socket: TcpStream| {
            // requests are small, and nothing is to wait for their acknowledgement; a socket without is fine
            let _ = socket.set_nodelay(true);
            Stream::new(socket, self.for_what_is_served(), speaker, Arc::clone(seat))
        };
        let Some(upstream) = &self.inner.rules.upstream else { return TcpStream::connect(address).await.map(stream) };
        let without = |error| {
            if !self.is_optional {
                self.inner.is_without_proxy.store(true, Ordering::Relaxed);
            }
            error
        };
        let socket = upstream.connect().await.map_err(without)?;
        // how long that may take is what whoever dials has left
        upstream.tunnel(stream(socket), address).await.map_err(|no_way| match no_way {
            NoWay::Proxy(error) => without(error),
            NoWay::Target(error) => error,
        })
    }

    fn unreachable(&self, unreachable: Unreachable) -> NotDialled {
        match unreachable {
            Unreachable::Denied(denied) => self.refuse(Refusal::Denied(denied)),
            Unreachable::Unresolved => {
                self.inner.is_unresolved.store(true, Ordering::Relaxed);
                self.note_unreached();
            }
        }
        NotDialled::Unreachable(unreachable)
    }

    fn unreached(&self, error: io::Error) -> NotDialled {
        self.note_unreached();
        NotDialled::Failed(error)
    }

    /// A host was not reached: a program calls that its proxy's fault.
    pub(super) fn note_unreached(&self) {
        if !self.is_optional {
            self.inner.is_unreached.store(true, Ordering::Relaxed);
        }
    }
}

/// The addresses that are tried, of both families by turns, beginning with the resolver's first (RFC 8305 §4): where one
/// family leads nowhere, the other is had in time.
fn by_turns(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_of_first = |address: &&SocketAddr| addresses[0].is_ipv6() == address.is_ipv6();
    let (first, other): (Vec<_>, Vec<_>) = addresses.iter().partition(is_of_first);
    let turns = (0..addresses.len()).flat_map(|at| [first.get(at), other.get(at)]);
    turns.flatten().copied().copied().take(TRIED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_addresses_of_one_family_hide_none_of_the_other() {
        let addresses = |text: &str| -> Vec<SocketAddr> {
            text.split_whitespace().map(|address| address.parse().expect("an address")).collect()
        };
        let four = "[2001:db8::1]:1 [2001:db8::2]:1 [2001:db8::3]:1 192.0.2.1:1";
        for (answers, tried) in [
            (four, "[2001:db8::1]:1 192.0.2.1:1 [2001:db8::2]:1"),
            ("192.0.2.1:1 192.0.2.2:1 [2001:db8::1]:1", "192.0.2.1:1 [2001:db8::1]:1 192.0.2.2:1"),
            ("192.0.2.1:1 192.0.2.2:1", "192.0.2.1:1 192.0.2.2:1"),
            ("", ""),
        ] {
            assert_eq!(by_turns(&addresses(answers)), addresses(tried));
        }
    }
}
