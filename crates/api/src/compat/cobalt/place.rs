//! Where the dialect is as its clients name it, and what its links are signed with.

use axum::extract::Request;
use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::link::LinkSecret;
use crate::app::App;
use crate::compat::mount::Mount;
use crate::error::ApiResult;
use crate::host;

/// The dialect's place in this process.
pub(super) struct Place {
    mount: Mount,
    /// When it was opened.
    pub(super) since: Timestamp,
    secret: OnceCell<LinkSecret>,
}

impl Place {
    pub(super) fn new(mount: Mount) -> Self {
        Self { mount, since: Timestamp::now(), secret: OnceCell::new() }
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

    /// What links are signed with, asked for once.
    ///
    /// # Errors
    /// `service_unavailable`.
    pub(super) async fn secret(&self, app: &App) -> ApiResult<&LinkSecret> {
        let asked = async || app.jobs.link_secret().await.map(LinkSecret::from);
        Ok(self.secret.get_or_try_init(asked).await?)
    }
}
