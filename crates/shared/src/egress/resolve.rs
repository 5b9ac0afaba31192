//! What a name leads to, judged: the second half of the policy, which needs a resolver.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;
use url::Host;

use super::{Denied, EgressPolicy, NameKind, name_kind};
use crate::source::SourceUrl;

const RESOLVE_WITHIN: Duration = Duration::from_secs(5);
/// No honest name has more; those behind it are not dialled.
const MOST_ADDRESSES: usize = 32;

/// Why a URL leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The policy does not allow it.
    #[error("the policy does not allow it: it {0}")]
    Denied(Denied),
    /// The name has no address, or the resolver did not answer within 5 s.
    #[error("the host name could not be resolved")]
    Unresolved,
}

impl EgressPolicy {
    /// Judges a URL by what its name resolves to now. Every answer has to be reachable: whoever dials later
    /// chooses among them.
    ///
    /// # Errors
    /// [`Unreachable`].
    pub async fn judge_resolved(&self, url: &SourceUrl) -> Result<(), Unreachable> {
        self.judge_url(url).map_err(Unreachable::Denied)?;
        let name = match url.host() {
            Host::Ipv4(_) | Host::Ipv6(_) => return Ok(()),
            Host::Domain(name) => name,
        };
        if let NameKind::Loopback = name_kind(name) {
            // resolves to 127.0.0.1 and ::1 by definition, of which one is enough
            return Ok(());
        }
        self.judge_answers(look_up(name, url.port()).await?)
    }

    /// The addresses that a host leads to now, all of them judged.
    ///
    /// # Errors
    /// [`Unreachable`].
    pub async fn addresses(&self, host: Host<&str>, port: u16) -> Result<Vec<SocketAddr>, Unreachable> {
        self.judge_host(host.clone(), port).map_err(Unreachable::Denied)?;
        match host {
            Host::Ipv4(address) => Ok(vec![(address, port).into()]),
            Host::Ipv6(address) => Ok(vec![(address, port).into()]),
            Host::Domain(name) => {
                let mut answers = look_up(name, port).await?;
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

async fn look_up(name: &str, port: u16) -> Result<Vec<SocketAddr>, Unreachable> {
    let answers = timeout(RESOLVE_WITHIN, lookup_host((name, port))).await;
    let answers = answers.map_err(|_| Unreachable::Unresolved)?.map_err(|_| Unreachable::Unresolved)?;
    Ok(answers.take(MOST_ADDRESSES).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str]) -> EgressPolicy {
        EgressPolicy { allow: allow.iter().map(|net| net.parse().unwrap()).collect(), ports: vec![80] }
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

    #[tokio::test]
    async fn what_the_text_tells_needs_no_resolver() {
        for (allow, url, expected) in [
            ("10.0.0.0/8", "http://localhost/", Err(Unreachable::Denied(Denied::Name))),
            ("127.0.0.0/8", "http://localhost:9/", Ok(())),
            ("127.0.0.0/8", "http://127.0.0.1:9/", Ok(())),
            ("127.0.0.0/8", "http://169.254.169.254/", Err(Unreachable::Denied(Denied::Address))),
        ] {
            assert_eq!(policy(&[allow]).judge_resolved(&SourceUrl::read(url).unwrap()).await, expected, "{url}");
        }
    }
}
