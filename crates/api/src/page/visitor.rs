//! Who is visiting without scripts, and from where: what a form brings, the key in a cookie, and whether another site sent it.
//!
//! Why the key is in a cookie, and why no route of the API reads it: `docs/decisions/0031-a-key-in-a-cookie-is-for-pages.md`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use super::{index, status};
use crate::app::App;
use crate::audit;
use crate::auth::who;
use crate::body::whole;
use crate::error::{ApiError, ApiResult, Code, Fault, refusal_in};
use crate::observe::RequestId;

/// Holds the key of who has no scripts.
const COOKIE: &str = "haul_key";
/// How long a browser keeps it, in seconds: what most of them allow at most.
const KEPT_SECONDS: u64 = 400 * 24 * 3600;

/// What a form brought; a field that it has not is empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    fn read(body: &[u8]) -> Self {
        // no form of ours has as many
        Self(url::form_urlencoded::parse(body).take(32).map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// A field, without the space around it.
    #[must_use]
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.trim())
    }
}

/// Layer: takes the form, and finds out who is calling. Goes with [`refused`], which shows what was in the form again.
pub async fn receive(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let (form, mut answer) = match arrive(&app, &mut request).await {
        Ok(form) => (form, audit::followed(request, next).await),
        Err((form, refusal)) => (form, refusal.into_response()),
    };
    answer.extensions_mut().insert(form);
    answer
}

/// Layer: shows every refusal as a page, also that of a form which is too long to be taken, and of an answer that takes too
/// long.
pub async fn refused(State(app): State<Arc<App>>, id: RequestId, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut answer = next.run(request).await;
    let Some(refusal) = refusal_in(&mut answer) else { return answer };
    refusal.log(&id);
    let form = answer.extensions_mut().remove::<Form>().unwrap_or_default();
    let html = match &*path {
        "/" => index::refused(&app, &form, &refusal),
        path => status::refused(&app, path, &form, &refusal),
    };
    let mut answer = match html {
        Ok(html) => (refusal.status(), [(header::CONTENT_TYPE, super::assets::HTML)], html).into_response(),
        Err(fault) => return fault.into_response(),
    };
    answer.headers_mut().extend(refusal.headers().clone());
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = refusal.asks_to_wait() {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil() as u64));
    }
    answer
}

/// The form of a request, which then has its caller with it; or the refusal, with as much of the form as there is.
async fn arrive(app: &App, request: &mut Request) -> Result<Form, (Form, ApiError)> {
    let mut form = Form::default();
    if *request.method() == Method::POST {
        let sent_here = is_sent_here(request.headers(), &app.base_url);
        let read = if sent_here { read(request).await } else { Err(from_elsewhere()) };
        form = read.map_err(|refusal| (Form::default(), refusal))?;
    }
    let entered = Some(form.get("key")).filter(|key| !key.is_empty());
    let kept = kept_key(request.headers()).filter(|_| entered.is_none());
    let caller = who(app, request, entered.or(kept.as_deref())).map_err(|refusal| {
        let is_wrong = entered.is_some() || kept.is_some();
        let fault = Fault::new("/key", if is_wrong { "is not a key of this service" } else { "is needed here" });
        let refusal = refusal.detail("This service is for those who have a key.").faults(vec![fault]);
        (form.clone(), if kept.is_some() { forgetting(refusal, &app.base_url) } else { refusal })
    })?;
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(form.clone());
    Ok(form)
}

async fn read(request: &mut Request) -> ApiResult<Form> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(ApiError::new(Code::UnsupportedMediaType).detail("A form is sent as urlencoded."));
    }
    let body = whole(std::mem::replace(request.body_mut(), Body::empty())).await?;
    Ok(Form::read(&body))
}

/// What is kept is no key any more: it is not sent again.
fn forgetting(refusal: ApiError, base: &Url) -> ApiError {
    match HeaderValue::try_from(cookie(base, "")) {
        Ok(gone) => refusal.header(header::SET_COOKIE, gone),
        Err(_) => refusal,
    }
}

fn from_elsewhere() -> ApiError {
    ApiError::new(Code::Forbidden).detail("Another site sent this form. Nothing was done.")
}

/// Did a page of ours send this? Browsers say it in `Sec-Fetch-Site` where the connection can be trusted, and in `Origin`
/// with every form. What says neither is no browser, and has no cookie that it was not given.
pub(crate) fn is_sent_here(headers: &HeaderMap, base: &Url) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text("origin") else { return true };
    let host = text("host").unwrap_or_default();
    let named = origin.split_once("://").is_some_and(|(_, authority)| authority == host);
    // a proxy may have put another host in the place of the one that was asked for
    named || origin == base.origin().ascii_serialization()
}

/// `POST /page/key`: keeps a key for the pages that follow, or forgets it. Behind [`receive`], so that it is a good one.
pub(super) async fn keep(State(app): State<Arc<App>>, axum::Extension(form): axum::Extension<Form>) -> Response {
    let forgets = form.get("key").is_empty();
    // only an id: where to go is not for a form to say
    let target = match form.get("id").parse::<haul_shared::ids::Ticket>() {
        Ok(id) if !forgets => format!("../downloads/{id}"),
        Ok(_) | Err(_) => "../".to_owned(),
    };
    let cookie = cookie(&app.base_url, form.get("key"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, target)], [(header::SET_COOKIE, cookie)]).into_response()
}

/// The cookie that keeps a key; an empty one is forgotten.
#[must_use]
pub(super) fn cookie(base: &Url, key: &str) -> String {
    let life = if key.is_empty() { 0 } else { KEPT_SECONDS };
    let secure = if base.scheme() == "https" { "; Secure" } else { "" };
    let (value, path) = (URL_SAFE_NO_PAD.encode(key), base.path());
    format!("{COOKIE}={value}; Path={path}; Max-Age={life}; HttpOnly; SameSite=Strict{secure}")
}

fn kept_key(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, value)| *name == COOKIE && !value.is_empty())?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn a_form_counts_only_when_a_page_of_ours_sent_it() {
        let base: Url = "https://dl.example/haul".parse().unwrap();
        let table: [(&[(&str, &str)], bool); 12] = [
            (&[], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://dl.example")], false),
            (&[("origin", "http://192.0.2.1:8080"), ("host", "192.0.2.1:8080")], true),
            (&[("origin", "http://192.0.2.1:8081"), ("host", "192.0.2.1:8080")], false),
            (&[("origin", "https://dl.example"), ("host", "inside:8080")], true),
            (&[("origin", "https://evil.example"), ("host", "dl.example")], false),
            (&[("origin", "https://dl.example.evil.example")], false),
            (&[("origin", "null"), ("host", "dl.example")], false),
            (&[("origin", "\u{e9}"), ("host", "dl.example")], false),
        ];
        for (sent, expected) in table {
            let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
            let headers: HeaderMap =
                sent.iter().map(|(name, text)| (name.parse::<HeaderName>().unwrap(), value(text))).collect();
            assert_eq!(is_sent_here(&headers, &base), expected, "{sent:?}");
        }
    }

    #[test]
    fn a_cookie_keeps_any_key_and_stays_with_its_pages() {
        let cookie = cookie(&"https://dl.example/haul".parse().unwrap(), "a; b=\u{fc}");
        assert!(cookie.ends_with("; Path=/haul; Max-Age=34560000; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
        let sent = format!("theme=dark; {}", cookie.split(';').next().unwrap());
        let headers = |text: &str| HeaderMap::from_iter([(header::COOKIE, text.parse().unwrap())]);
        assert_eq!(kept_key(&headers(&sent)).as_deref(), Some("a; b=\u{fc}"));
        for nothing in ["", "haul_key=", "haul_key=***", "x=haul_key"] {
            assert_eq!(kept_key(&headers(nothing)), None, "{nothing}");
        }
    }
}
