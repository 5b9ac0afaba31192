//! The web page: for people with a browser, with scripts and without.
//!
//! With scripts it is one page over the API, made of the files in [`mod@assets`]; they talk to `/api/v1` as any client does.
//! Without, it is a form ([`mod@index`]) and a page for each download ([`mod@status`]), rendered here, which queue, cancel and
//! retry by the same functions as the API. Who asks for these is found out in [`mod@visitor`].
//!
//! Not here: what a request may ask (`request`), who may see what (`auth`), how often (`limits`).

mod assets;
mod index;
mod policy;
mod status;
mod visitor;

pub use policy::guard;
pub(crate) use visitor::is_sent_here;
pub use visitor::{receive, refused};

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::app::App;

/// The files of the page, for everybody as often as they like.
pub fn files() -> Router<Arc<App>> {
    Router::new().route("/page/{*asset}", get(assets::file))
}

/// The page itself, the same for everybody.
pub fn open() -> Router<Arc<App>> {
    Router::new().route("/", get(index::show))
}

/// What is rendered for one visitor. To be put behind [`receive`] and [`refused`].
pub fn for_visitors() -> Router<Arc<App>> {
    Router::new()
        .route("/page/key", post(visitor::keep))
        .route("/downloads/{id}", get(status::show))
        .route("/downloads/{id}/file", get(status::file))
        .route("/downloads/{id}/cancel", post(status::cancel))
}

/// What puts work into the queue. To be put behind these as well.
pub fn queueing() -> Router<Arc<App>> {
    Router::new().route("/", post(index::submit)).route("/downloads/{id}/retry", post(status::retry))
}
