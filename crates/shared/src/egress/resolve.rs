//! What a name leads to, judged: the second half of the policy, which needs a resolver.

use std::future::Future;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use url::Host;

use super::{Denied, EgressPolicy, NameKind, name_kind};

const RESOLVE_WITHIN: Duration = Duration::from_secs(5);
/// No honest name has more; those behind it are not dialled.
const MOST_ADDRESSES: usize = 32;

/// Of all jobs of a process: the threads for what blocks are for files, too.
static LOOKUPS: Semaphore = Semaphore::const_new(64);

/// Why a URL leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The policy does not allow it.
    #[error("the policy does not allow it: it {0}")]
    Denied(Denied),
    /// The name has no address, or the resolver was not asked or did not answer within 5 s.
    #[error("the host name could not be resolved")]
    Unresolved,
}

impl EgressPolicy {
    /// The addresses that a host leads to now, all of them judged. Who counts his lookups is asked for a turn before the
    /// resolver is, within the same time; it is dropped when the resolver has ended, which may be long after nobody waits for
    /// it any more.
    ///
    /// # Errors
    /// [`Unreachable`].
    pub async fn addresses<T: Send + 'static>(
        &self,
        host: Host<&str>,
        port: u16,
        turn: impl Future<Output = T>,
    ) -> Result<Vec<SocketAddr>, Unreachable> {
        self.judge_host(host.clone(), port).map_err(Unreachable::Denied)?;
        match host {
            Host::Ipv4(address) => Ok(vec![(address, port).into()]),
            Host::Ipv6(address) => Ok(vec![(address, port).into()]),
            Host::Domain(name) => {
                let mut answers = look_up(name, port, turn).await?;
                if let NameKind::Loopback = name_kind(name) {
                    // 127.0.0.1 and ::1, of which one may be allowed
                    answers.retain(|answer| self.judge_address(answer.ip(), port).is_ok());
                }
                self.judge_answers(answers.iter().copied())?;
                Ok(answers)
            }
        }
    }

    fn judge_answers(&self, answers: impl IntoIterator<Item = SocketAddr>) -> Result<(), Unreachable> {
        let mut answered = false;
        for answer in answers {
            self.judge_address(answer.ip(), answer.port()).map_err(Unreachable::Denied)?;
            answered = true;
        }
        if answered { Ok(()) } else { Err(Unreachable::Unresolved) }
    }
}

/// The resolver of the system holds a thread, and does not let go of it when nobody waits any more.
async fn look_up<T: Send + 'static>(
    name: &str,
    port: u16,
    turn: impl Future<Output = T>,
) -> Result<Vec<SocketAddr>, Unreachable> {
    let name = name.to_owned();
    let answers = async {
        let held = turn.await;
        let turn = LOOKUPS.acquire().await.map_err(|_| Unreachable::Unresolved)?;
        let looked = tokio::task::spawn_blocking(move || {
            let _held = (turn, held);
            (name.as_str(), port).to_socket_addrs().map(|answers| answers.take(MOST_ADDRESSES).collect())
        });
        looked.await.map_err(|_| Unreachable::Unresolved)?.map_err(|_| Unreachable::Unresolved)
    };
    timeout(RESOLVE_WITHIN, answers).await.map_err(|_| Unreachable::Unresolved)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str]) -> EgressPolicy {
        EgressPolicy { allow: allow.iter().map(|net| net.parse().unwrap()).collect(), ports: vec![80] }
    }

    /// Fault: whoever waited for its turn at a resolver that hangs held the seat of its host all the while.
    #[tokio::test(start_paused = true)]
    async fn the_wait_for_a_turn_at_the_resolver_ends_like_that_for_its_answer() {
        let host = Host::Domain("video.example");
        let found = policy(&[]).addresses(host, 80, std::future::pending::<()>()).await;
        assert_eq!(found, Err(Unreachable::Unresolved));
    }

    #[test]
    fn one_private_answer_among_public_ones_is_one_too_many() {
        let judge = |allow: &[&str], answers: &[&str]| {
            policy(allow).judge_answers(answers.iter().map(|answer| answer.parse::<SocketAddr>().unwrap()))
        };
        assert_eq!(judge(&[], &["8.8.8.8:80", "[2606:4700::1111]:80"]), Ok(()));
        assert_eq!(judge(&[], &["8.8.8.8:80", "127.0.0.1:80"]), Err(Unreachable::Denied(Denied::Address)));
        assert_eq!(judge(&[], &["8.8.8.8:22"]), Err(Unreachable::Denied(Denied::Port)));
        assert_eq!(judge(&["10.0.0.0/8"], &["8.8.8.8:80", "10.1.2.3:80"]), Ok(()));
        assert_eq!(judge(&["10.0.0.0/8"], &["10.1.2.3:22"]), Ok(()));
        assert_eq!(judge(&[], &[]), Err(Unreachable::Unresolved));
    }
}
