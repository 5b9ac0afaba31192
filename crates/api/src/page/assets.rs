//! The files of the page: inside this program, each with its type and a tag of its bytes.
//!
//! There is no build step and nothing is hashed into a name, so a browser asks again each time and is told `304`: a new
//! version of the service never meets scripts of the old one.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::conditional;
use crate::error::{ApiError, ApiResult, Code};

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
/// What is rendered.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// A file as it is kept.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

macro_rules! assets {
    ($($name:literal: $content_type:expr),* $(,)?) => {
        [$(Asset { name: $name, content_type: $content_type, body: include_bytes!(concat!("assets/", $name)) }),*]
    };
}

static ASSETS: [Asset; 24] = assets![
    "style.css": STYLE,
    "status.css": STYLE,
    "icon.svg": "image/svg+xml",
    "manifest.webmanifest": "application/manifest+json",
    "boot.js": SCRIPT,
    "deep.js": SCRIPT,
    "actions.js": SCRIPT,
    "api.js": SCRIPT,
    "app.js": SCRIPT,
    "composer.js": SCRIPT,
    "dom.js": SCRIPT,
    "events.js": SCRIPT,
    "format.js": SCRIPT,
    "jobs.js": SCRIPT,
    "key.js": SCRIPT,
    "list.js": SCRIPT,
    "live.js": SCRIPT,
    "options.js": SCRIPT,
    "outbox.js": SCRIPT,
    "pictures.js": SCRIPT,
    "prefs.js": SCRIPT,
    "preview.js": SCRIPT,
    "row.js": SCRIPT,
    "words.js": SCRIPT,
];

static TAGS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| ASSETS.iter().map(|asset| tag(asset.body)).collect());

/// A file of the page.
///
/// # Errors
/// `not_found`.
pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> ApiResult<Response> {
    let found = ASSETS.iter().zip(TAGS.iter()).find(|(asset, _)| asset.name == name);
    let (asset, tag) = found.ok_or_else(|| ApiError::new(Code::NotFound))?;
    Ok(unless_known(&headers, tag.clone(), asset.content_type, Bytes::from_static(asset.body)))
}

/// What was rendered for one visitor, who may have it already.
#[must_use]
pub(super) fn rendered(headers: &HeaderMap, html: String) -> Response {
    unless_known(headers, tag(html.as_bytes()), HTML, html.into())
}

fn unless_known(headers: &HeaderMap, tag: HeaderValue, content_type: &'static str, body: Bytes) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_known = known.zip(tag.to_str().ok()).is_some_and(|(known, tag)| conditional::lists(known, tag));
    let validators = [(header::ETAG, tag), (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    if is_known {
        return (StatusCode::NOT_MODIFIED, validators).into_response();
    }
    (validators, [(header::CONTENT_TYPE, content_type)], Body::from(body)).into_response()
}

/// Strong: of exactly these bytes.
fn tag(body: &[u8]) -> HeaderValue {
    let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..16]);
    HeaderValue::try_from(format!("\"{digest}\"")).expect("base64 in quotes")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use haul_shared::job::FailureKind;

    use super::*;

    const INDEX: &str = include_str!("assets/index.html");
    const STATUS: &str = include_str!("assets/status.html");

    fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
        let assets = ASSETS.iter().map(|asset| (asset.name, std::str::from_utf8(asset.body).expect("text")));
        assets.chain([("index.html", INDEX), ("status.html", STATUS)])
    }

    /// What `/` brings. The page of one download, whose these are, is another, and far smaller.
    #[test]
    fn the_whole_page_is_at_most_100_kb() {
        let of_it = texts().filter(|(name, _)| !["status.html", "status.css", "deep.js"].contains(name));
        let bytes: usize = of_it.map(|(_, text)| text.len()).sum();
        assert!(bytes <= 100_000, "{bytes}");
    }

    #[test]
    fn a_file_of_the_page_has_at_most_400_lines() {
        let long: Vec<_> = texts().filter(|(_, text)| text.lines().count() > 400).map(|(name, _)| name).collect();
        assert!(long.is_empty(), "{long:?}");
    }

    /// What begins with a host after `//`, but the name of SVG's own language, which nobody fetches.
    fn foreign(text: &str) -> Vec<&str> {
        let after = text.match_indices("//").map(|(at, _)| (at, &text[at + 2..]));
        after
            .filter(|(at, rest)| {
                let is_comment = text[..*at].trim_end_matches(' ').ends_with(['\n', ';']) || *at == 0;
                rest.starts_with(|first: char| first.is_ascii_alphanumeric()) && !is_comment
            })
            .map(|(_, rest)| rest.split(['"', '\'', ' ', '\n']).next().unwrap_or_default())
            .filter(|host| *host != "www.w3.org/2000/svg")
            .collect()
    }

    #[test]
    fn the_page_names_no_other_origin() {
        assert_eq!(foreign("a(\"https://cdn.example/x.js\")"), ["cdn.example/x.js"], "the test sees what it should");
        assert_eq!(foreign("<img src=\"//cdn.example\">"), ["cdn.example"]);
        for (name, text) in texts() {
            assert_eq!(foreign(text), [""; 0], "{name}");
        }
    }

    #[test]
    fn no_markup_of_the_page_has_a_script_or_a_style_within() {
        for (name, text) in [("index.html", INDEX), ("status.html", STATUS)] {
            let tags: Vec<&str> = text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or(rest)).collect();
            for tag in &tags {
                let words: Vec<&str> = tag.split_ascii_whitespace().collect();
                let is_inline =
                    |word: &&str| word.starts_with("on") && word.contains('=') || word.starts_with("style=");
                assert!(!words.iter().skip(1).any(is_inline), "{name}: <{tag}>");
                assert!(words.first() != Some(&"style"), "{name}: <{tag}>");
                assert!(words.first() != Some(&"script") || tag.contains(" src="), "{name}: <{tag}>");
            }
            assert!(tags.len() > 20, "{name}");
        }
        for (name, text) in texts().filter(|(name, _)| name.ends_with(".js")) {
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
                assert!(!text.contains(word), "{name}: {word}");
            }
        }
    }

    /// A file that is named is there, and one that is there is used.
    #[test]
    fn what_the_page_asks_for_is_what_there_is() {
        let mut named = BTreeSet::new();
        for (name, text) in texts() {
            let words = text.split(['"', '/']);
            named.extend(words.filter(|word| ASSETS.iter().any(|asset| asset.name == *word)));
            for import in text.lines().filter(|line| name.ends_with(".js") && line.contains(" from \"")) {
                let from = import.rsplit('"').nth(1).unwrap_or_default();
                assert!(ASSETS.iter().any(|asset| from.strip_prefix("./") == Some(asset.name)), "{name}: {import}");
            }
        }
        let all: BTreeSet<_> = ASSETS.iter().map(|asset| asset.name).collect();
        assert_eq!(named, all);
    }

    #[test]
    fn every_code_that_a_person_can_meet_has_words() {
        let words = include_str!("assets/words.js");
        let failures = FailureKind::ALL.map(FailureKind::code);
        let codes = failures.into_iter().chain(Code::ALL.map(Code::word));
        let missing: Vec<_> = codes.filter(|code| !words.contains(&format!("\n  {code}: ["))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
