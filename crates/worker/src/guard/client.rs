//! A client of HTTP for what we say ourselves to an address that a stranger named: the guard is its proxy, as it is that of
//! programs, so that every connection is judged and dialled there and nowhere else.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use reqwest::redirect::Policy;
use reqwest::{Client, Proxy};
use tokio::net::TcpListener;

use super::{Guard, Inner, Refusal};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoClient {
    /// No port of loopback is to be had.
    #[error("the guard can't listen")]
    Listen(#[from] std::io::Error),
    /// The library can't be set up.
    #[error("the client can't be made")]
    Build(#[from] reqwest::Error),
}

/// What kept a question from its host, where the guard knows it. It answers such a question itself, and the library can't tell
/// that from an answer of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It may not be reached.
    Denied,
    /// Its name has no address.
    Unresolved,
    /// Nobody could be spoken to there.
    Unreached,
    /// What was answered could not be understood.
    Unheard,
}

impl Guard {
    /// A client that trusts whom this guard trusts, follows no redirect, keeps no cookie, and knows no proxy but the guard. It
    /// is of use for as long as the guard is there.
    ///
    /// # Errors
    /// [`NoClient`].
    pub(crate) async fn client(&self) -> Result<Client, NoClient> {
        // programs may find the guard at an address that exists only where they are
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        self.serve(listener);
        let tls = self.inner.rules.tls.config().as_ref().clone();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .redirect(Policy::none())
            .proxy(Proxy::all(format!("http://{address}"))?);
        Ok(client.build()?)
    }

    /// Why the host of a client's only question did not answer it; `None`: it did, or why is not known here.
    pub(crate) fn kept(&self) -> Option<Kept> {
        let Inner { is_unresolved, is_unreached, answers, .. } = &*self.inner;
        if let Some(Refusal::Denied(_)) = self.refused() {
            Some(Kept::Denied)
        } else if self.is(is_unresolved) {
            Some(Kept::Unresolved)
        } else if self.is(is_unreached) {
            Some(Kept::Unreached)
        } else {
            (answers.load(Ordering::Relaxed) == 0).then_some(Kept::Unheard)
        }
    }
}
