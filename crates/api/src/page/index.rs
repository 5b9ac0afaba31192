//! `/`: the page over the API, which without scripts is a form.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use haul_shared::config::Mode;

use super::assets::rendered;
use super::visitor::{Form, cookie};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Code, Fault};
use crate::request::Node;
use crate::submit;

/// The whole page.
#[derive(Template)]
#[template(path = "index.html")]
struct Index<'a> {
    /// Are keys asked for?
    keys: bool,
    /// Can a list of downloads be had, at least with a key?
    lists: bool,
    /// Are there statistics?
    stats: bool,
    url: &'a str,
    format: &'a str,
    quality: &'a str,
    refusal: Option<&'a ApiError>,
    formats: &'static [Group],
    qualities: &'static [Choice],
}

/// A value and what people call it.
type Choice = (&'static str, &'static str);
/// What is told apart, and the choices in it.
type Group = (&'static str, &'static [Choice]);

const FORMATS: &[Group] = &[
    ("Video", &[("mp4", "MP4"), ("webm", "WebM"), ("mkv", "MKV"), ("original", "As the site has it")]),
    ("Audio", &[("mp3", "MP3"), ("m4a", "M4A"), ("opus", "Opus"), ("flac", "FLAC"), ("wav", "WAV")]),
];
const QUALITIES: &[Choice] = &[
    ("best", "Best"),
    ("4320p", "8K (4320p)"),
    ("2160p", "4K (2160p)"),
    ("1440p", "1440p"),
    ("1080p", "1080p"),
    ("720p", "720p"),
    ("480p", "480p"),
    ("360p", "360p"),
    ("240p", "240p"),
    ("144p", "144p"),
];

impl<'a> Index<'a> {
    fn of(app: &App, url: &'a str) -> Self {
        let keys = app.keys.is_some();
        Self {
            keys,
            lists: keys || app.config.mode == Mode::Private,
            stats: app.config.mode == Mode::Private,
            url,
            format: "mp4",
            quality: "best",
            refusal: None,
            formats: FORMATS,
            qualities: QUALITIES,
        }
    }

    /// What is wrong with a field.
    fn fault(&self, field: &str) -> Option<&str> {
        let faults: &[Fault] = self.refusal.map_or(&[], ApiError::places);
        faults.iter().find(|fault| fault.pointer[1..] == *field).map(|fault| &*fault.detail)
    }

    fn html(&self) -> ApiResult<String> {
        self.render().map_err(|error| ApiError::new(Code::Internal).because(&error))
    }
}

/// The page. What a phone shares, or a bookmarklet sends, is in its form already.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let shared = shared_address(query.as_deref().unwrap_or_default());
    Ok(rendered(&headers, Index::of(&app, &shared).html()?))
}

/// Queues what a form asks for, as the API does, and goes to its page.
pub(super) async fn submit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Extension(form): Extension<Form>,
) -> ApiResult<Response> {
    let text = |name: &str| Node::Text(form.get(name).to_owned());
    let mut fields = vec![("url".to_owned(), Node::Text(whole_address(form.get("url"))))];
    let chosen = ["format", "quality"].into_iter().filter(|name| !form.get(name).is_empty());
    fields.extend(chosen.map(|name| (name.to_owned(), text(name))));
    let queued = submit::submit(&app, &caller, &Node::Object(fields), None).await?;
    let location = [(header::LOCATION, format!("downloads/{}", queued.job.ticket))];
    if app.keys.is_none() || form.get("key").is_empty() {
        return Ok((StatusCode::SEE_OTHER, location).into_response());
    }
    let kept = [(header::SET_COOKIE, cookie(&app.base_url, form.get("key")))];
    Ok((StatusCode::SEE_OTHER, location, kept).into_response())
}

/// The form again, with what was in it and what is wrong with it.
///
/// # Errors
/// `internal`.
pub(super) fn refused(app: &App, form: &Form, refusal: &ApiError) -> ApiResult<String> {
    let known = |name: &str, usual: &'static str| match form.get(name) {
        "" => usual.to_owned(),
        value => value.to_owned(),
    };
    let (format, quality) = (known("format", "mp4"), known("quality", "best"));
    let index = Index { format: &format, quality: &quality, refusal: Some(refusal), ..Index::of(app, form.get("url")) };
    index.html()
}

/// An address as people write it: the scheme may be missing.
fn whole_address(text: &str) -> String {
    if text.is_empty() || text.contains("://") { text.to_owned() } else { format!("https://{text}") }
}

/// The first address in what is shared: most apps put it into the text, some after words, few where it belongs.
fn shared_address(query: &str) -> String {
    let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).take(32).collect();
    let value = |name: &str| pairs.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.trim());
    let words = ["url", "text", "title"].into_iter().flat_map(|name| value(name).split_whitespace());
    let mut addresses = words.filter(|word| word.starts_with("http://") || word.starts_with("https://"));
    addresses.next().unwrap_or_else(|| value("url")).chars().take(4096).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_has_its_address_anywhere() {
        let table = [
            ("", ""),
            ("url=https%3A%2F%2Fa.example%2Fv&text=x", "https://a.example/v"),
            ("title=Look&text=See+this:+https%3A%2F%2Fa.example%2Fv+now", "https://a.example/v"),
            ("title=http%3A%2F%2Fa.example", "http://a.example"),
            ("url=a.example%2Fv", "a.example/v"),
            ("text=nothing+here", ""),
        ];
        for (query, expected) in table {
            assert_eq!(shared_address(query), expected, "{query}");
        }
    }

    #[test]
    fn the_scheme_of_an_address_may_be_missing() {
        for (text, whole) in [("a.example/v", "https://a.example/v"), ("ftp://a", "ftp://a"), ("", "")] {
            assert_eq!(whole_address(text), whole);
        }
    }
}
