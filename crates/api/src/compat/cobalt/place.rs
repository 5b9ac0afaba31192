//! Where the dialect is as its clients name it, and what its links are signed with.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use jiff::Timestamp;
use tokio::time::Instant;

use super::link::LinkSecret;
use crate::app::App;
use crate::compat::mount::Mount;
use crate::error::ApiResult;
use crate::host;

/// How long a secret is taken for the one that all APIs have: should Redis lose it, they agree on another one after so long.
const AGREED: Duration = Duration::from_secs(60);

/// The dialect's place in this process.
pub(super) struct Place {
    mount: Mount,
    /// When it was opened.
    pub(super) since: Timestamp,
    secret: Agreed,
}

/// The secret that this process knows, and when Redis said so.
#[derive(Default)]
struct Agreed(Mutex<Option<(LinkSecret, Instant)>>);

impl Place {
    pub(super) fn new(mount: Mount) -> Self {
        Self { mount, since: Timestamp::now(), secret: Agreed::default() }
    }

    /// Its address, with `/` at its end. At a host it has the port that this request came by, if the place has none of its own.
    pub(super) fn url(&self, app: &App, request: &Request) -> String {
        match &self.mount {
            Mount::Path(path) => format!("{}{path}/", app.base_url.as_str().trim_end_matches('/')),
            Mount::Host(host, port) => {
                let port = port.or_else(|| host::named(request)?.port_u16());
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                format!("{}://{host}{port}/", app.base_url.scheme())
            }
        }
    }

    /// What links are signed with. Asked for again now and then; where Redis has lost it, what this process knows is put there,
    /// and every link stays good, unless another API came first.
    ///
    /// # Errors
    /// `service_unavailable`.
    pub(super) async fn secret(&self, app: &App) -> ApiResult<LinkSecret> {
        let ask = async |own: Option<LinkSecret>| app.jobs.link_secret(own.map(Into::into)).await;
        Ok(self.secret.get(ask).await?)
    }
}

impl Agreed {
    /// What is known, or what is answered to who brings that.
    async fn get<E>(&self, ask: impl AsyncFnOnce(Option<LinkSecret>) -> Result<[u8; 32], E>) -> Result<LinkSecret, E> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((secret, _)) = known.filter(|(_, at)| at.elapsed() < AGREED) {
            return Ok(secret);
        }
        let agreed = LinkSecret::from(ask(known.map(|(secret, _)| secret)).await?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((agreed, Instant::now()));
        Ok(agreed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// Fault: a secret that was asked for once was kept for good, and two APIs signed with two once Redis had lost theirs.
    #[tokio::test(start_paused = true)]
    async fn a_secret_is_asked_for_again_after_a_minute_by_who_brings_the_one_that_it_knows() {
        let agreed = Agreed::default();
        let ask = async |brought: Option<u8>, answer: u8| {
            let asked = agreed.get(async |own| {
                assert_eq!(own.map(<[u8; 32]>::from), brought.map(|byte| [byte; 32]));
                Ok::<_, ()>([answer; 32])
            });
            <[u8; 32]>::from(asked.await.expect("a secret"))[0]
        };
        assert_eq!(ask(None, 1).await, 1);
        advance(AGREED - Duration::from_millis(1)).await;
        assert_eq!(ask(None, 2).await, 1, "nobody is asked");
        advance(Duration::from_millis(1)).await;
        assert_eq!(ask(Some(1), 2).await, 2, "another API came first");
        assert!(agreed.get(async |_| Err::<[u8; 32], _>(())).await.is_ok());
    }
}
