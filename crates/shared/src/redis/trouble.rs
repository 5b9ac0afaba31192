//! Why a server does not do what it is asked, told apart as far as a person does something else about it.

use std::error::Error;
use std::io;
use std::sync::Arc;

use deadpool::managed::PoolError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::CallError;

/// Why there is no answer, or not the one that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    Silent,
    /// It wants another password, or one at all.
    Password,
    /// Its user may not do this.
    Forbidden,
    /// TLS can't be agreed upon, or its certificate is trusted by nobody.
    Tls,
    /// Who answers speaks no Redis, or hangs up: TLS is wanted, say.
    Strange,
    /// It reads its files.
    Loading,
    /// The sentinels know no master of this name.
    NoMaster,
    /// It is no cluster, or none of its nodes can be reached.
    NoCluster,
    /// Anything else, in its own words.
    Other(String),
}

impl Trouble {
    /// What this error tells.
    #[must_use]
    pub fn of(error: &CallError) -> Self {
        match error {
            CallError::Connection(PoolError::Backend(error)) | CallError::Call(error) => of_redis(error),
            CallError::Connection(PoolError::Timeout(_)) => Self::Silent,
            CallError::Connection(_) | CallError::NotReplicated => Self::Other(error.to_string()),
        }
    }
}

fn of_redis(error: &RedisError) -> Trouble {
    let said = || error.detail().map_or_else(|| error.category().to_owned(), str::to_owned);
    match error.kind() {
        _ if error.is_connection_refusal() => Trouble::Refused,
        _ if error.is_timeout() => Trouble::Silent,
        ErrorKind::AuthenticationFailed => Trouble::Password,
        ErrorKind::Server(ServerErrorKind::NoPerm) => Trouble::Forbidden,
        ErrorKind::Server(ServerErrorKind::BusyLoading) => Trouble::Loading,
        ErrorKind::MasterNameNotFoundBySentinel => Trouble::NoMaster,
        ErrorKind::ClusterConnectionNotFound => Trouble::NoCluster,
        ErrorKind::Server(ServerErrorKind::ResponseError) if said().contains("cluster support disabled") => {
            Trouble::NoCluster
        }
        // rustls says everything that it minds by this kind
        ErrorKind::Io if of_io(error).is_some_and(|io| io.kind() == io::ErrorKind::InvalidData) => Trouble::Tls,
        ErrorKind::Parse => Trouble::Strange,
        _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) => Trouble::Password,
        ErrorKind::Io if error.is_connection_dropped() => Trouble::Strange,
        ErrorKind::Io => of_io(error).map_or_else(|| Trouble::Other(said()), |io| Trouble::Other(io.to_string())),
        _ => Trouble::Other(said()),
    }
}

fn of_io(error: &RedisError) -> Option<&io::Error> {
    let inner = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    inner.downcast_ref::<io::Error>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_reply(reply: &str) -> Trouble {
        let answer = redis::parse_redis_value(reply.as_bytes()).expect("a reply");
        Trouble::of(&CallError::Call(answer.extract_error().expect_err("an error")))
    }

    #[test]
    fn what_a_server_says_is_told_apart() {
        for (reply, trouble) in [
            ("NOAUTH Authentication required.", Trouble::Password),
            ("WRONGPASS invalid username-password pair", Trouble::Password),
            ("NOPERM this user has no permissions", Trouble::Forbidden),
            ("LOADING Redis is loading the dataset in memory", Trouble::Loading),
            ("ERR This instance has cluster support disabled", Trouble::NoCluster),
            ("ERR unknown command", Trouble::Other("unknown command".to_owned())),
        ] {
            assert_eq!(of_reply(&format!("-{reply}\r\n")), trouble, "{reply}");
        }
    }

    #[test]
    fn what_the_net_says_is_told_apart() {
        let of_io = |kind| Trouble::of(&CallError::Call(io::Error::from(kind).into()));
        assert_eq!(of_io(io::ErrorKind::ConnectionRefused), Trouble::Refused);
        assert_eq!(of_io(io::ErrorKind::TimedOut), Trouble::Silent);
        assert_eq!(of_io(io::ErrorKind::InvalidData), Trouble::Tls);
        assert_eq!(of_io(io::ErrorKind::ConnectionReset), Trouble::Strange);
        let named = Trouble::of(&CallError::Call(io::Error::other("no route").into()));
        assert_eq!(named, Trouble::Other("no route".to_owned()));
    }
}
