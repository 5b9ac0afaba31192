//! What a browser may load for a page, and what it may tell about it: headers of everything that is HTML here, also of a
//! `304`, whose headers take the place of those that a browser has kept.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use haul_shared::storage::{LinkSpec, ObjectKey};
use tokio::time::timeout;

use crate::app::App;

/// A link is signed here; only where credentials come over the network has it to wait.
const SIGNED_WITHIN: Duration = Duration::from_secs(1);

/// Layer: the policies of pages, in the place of those of data.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = HeaderValue::try_from(content_policy(media_origin(&app).await.as_deref()));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.expect("an origin is visible ASCII"));
    // with none at all a form would say that it comes from nowhere, and could not be told from another site's
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Nothing inline and nothing from elsewhere, but media from where links lead. Pictures that need a key are blobs.
fn content_policy(media: Option<&str>) -> String {
    let media = media.map_or_else(String::new, |origin| format!(" {origin}"));
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'{media}; \
         connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Where links to results lead. A link that is never handed out tells it: the store alone knows how it makes them.
async fn media_origin(app: &App) -> Option<String> {
    let key = ObjectKey::parse("m/00000000000000000000000000000000/0/media.mp4").ok()?;
    let spec = LinkSpec {
        expires_in: Duration::from_secs(1),
        filename: String::new(),
        content_type: "video/mp4".to_owned(),
        inline: true,
    };
    let link = timeout(SIGNED_WITHIN, app.results.link(&key, &spec)).await.ok()?.ok()?;
    Some(link.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inline_and_nobody_but_the_store_is_let_in() {
        let policy = content_policy(Some("https://bucket.example"));
        for forbidden in ["unsafe", "*", "data:", "http:"] {
            assert!(!policy.contains(forbidden), "{policy}");
        }
        assert!(policy.contains("media-src 'self' https://bucket.example;"), "{policy}");
        assert!(content_policy(None).contains("media-src 'self';"));
    }
}
