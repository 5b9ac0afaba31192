//! How one deployment's Redis is to be reached, as configured.

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisError, TlsMode};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

use std::time::Duration;

use super::RedisUnfit;
use super::reach::Reach;

/// One deployment's Redis. Each URL may hold a password.
#[derive(Debug, Clone)]
pub enum Deployment {
    /// One server.
    Single {
        /// Where, with user, password and database number.
        url: SecretString,
    },
    /// The master that the sentinels name, whichever it is at the time.
    Sentinel {
        /// Where the sentinels are. User, password, database number and TLS of the first are the servers'.
        urls: Vec<SecretString>,
        /// The name by which the sentinels know the master.
        master: String,
        /// What the sentinels themselves ask for.
        password: Option<SecretString>,
    },
    /// A Redis Cluster.
    Cluster {
        /// Some of its nodes, from which it learns of the others; all with the same user and password.
        urls: Vec<SecretString>,
    },
}

impl Deployment {
    /// Hosts and ports that it is looked for at; no users and no passwords.
    #[must_use]
    pub fn places(&self) -> Vec<(String, u16)> {
        let place = |info: ConnectionInfo| match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Some((host.clone(), *port)),
            _ => None,
        };
        self.urls().iter().filter_map(|url| info(url).ok().and_then(place)).collect()
    }

    /// Is it spoken to by TLS?
    #[must_use]
    pub fn wants_tls(&self) -> bool {
        let is_tls = |info: ConnectionInfo| matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        self.urls().iter().any(|url| info(url).is_ok_and(is_tls))
    }

    fn urls(&self) -> &[SecretString] {
        match self {
            Self::Single { url } => std::slice::from_ref(url),
            Self::Sentinel { urls, .. } | Self::Cluster { urls } => urls,
        }
    }

    pub(super) fn reach(&self) -> Result<Reach, RedisUnfit> {
        let reach = match self {
            Self::Single { url } => info(url).and_then(Reach::single),
            Self::Cluster { urls } => infos(urls).and_then(Reach::cluster),
            Self::Sentinel { urls, master, password } => {
                infos(urls).and_then(|infos| sentinel(infos, master, password.as_ref())).map(Reach::sentinel)
            }
        };
        reach.map_err(RedisUnfit::Url)
    }
}

fn infos(urls: &[SecretString]) -> Result<Vec<ConnectionInfo>, RedisError> {
    urls.iter().map(info).collect()
}

fn info(url: &SecretString) -> Result<ConnectionInfo, RedisError> {
    Ok(url.expose_secret().into_connection_info()?.set_tcp_settings(tcp()))
}

/// Commands follow one another without waiting, so none may be held back (Nagle); and a peer that has gone without a
/// word is noticed within half a minute, also by those who only listen.
pub(super) fn tcp() -> TcpSettings {
    let alive =
        TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5)).with_retries(3);
    TcpSettings::default().set_nodelay(true).set_keepalive(alive)
}

fn sentinel(
    urls: Vec<ConnectionInfo>,
    master: &str,
    password: Option<&SecretString>,
) -> Result<Mutex<SentinelClient>, RedisError> {
    let first = urls.first().cloned();
    let mut server = SentinelNodeConnectionInfo::default().set_tcp_settings(tcp());
    if let Some(first) = first {
        server = server.set_redis_connection_info(first.redis_settings().clone());
        if matches!(first.addr(), ConnectionAddr::TcpTls { .. }) {
            server = server.set_tls_mode(TlsMode::Secure);
        }
    }
    let sentinels = urls.into_iter().map(|url| {
        let mut settings = redis::RedisConnectionInfo::default();
        if let Some(password) = password {
            settings = settings.set_password(password.expose_secret());
        }
        url.set_redis_settings(settings)
    });
    SentinelClient::build(sentinels.collect(), master, Some(server), SentinelServerType::Master).map(Mutex::new)
}
