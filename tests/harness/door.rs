//! The door of a site: who is let in by a cookie, and what cookies came.

use std::collections::BTreeSet;
use std::sync::Mutex;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

/// Open to all until it is told otherwise.
#[derive(Debug, Default)]
pub struct Door(Mutex<Rules>);

#[derive(Debug, Default)]
struct Rules {
    wanted: Option<String>,
    /// Host and cookies.
    brought: Vec<(String, String)>,
}

impl Door {
    /// Lets in from now on only those who bring this cookie (`name=value`); others have to log in.
    pub fn wants(&self, cookie: &str) {
        self.0.lock().expect("no holder panics").wanted = Some(cookie.to_owned());
    }

    /// The headers `Cookie` that came until now.
    #[must_use]
    pub fn cookies(&self) -> Vec<String> {
        let rules = self.0.lock().expect("no holder panics");
        rules.brought.iter().map(|(_, cookies)| cookies.clone()).collect()
    }

    /// The hosts that any were brought to, as they were named.
    #[must_use]
    pub fn hosts_with_cookies(&self) -> BTreeSet<String> {
        let rules = self.0.lock().expect("no holder panics");
        rules.brought.iter().map(|(host, _)| host.clone()).collect()
    }

    /// What is said at the door; `None`: come in.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Option<Response> {
        let mut rules = self.0.lock().expect("no holder panics");
        let brought = headers.get_all(header::COOKIE).iter();
        let brought: Vec<_> = brought.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned()).collect();
        let is_wanted = |wanted: &String| brought.iter().flat_map(|it| it.split("; ")).any(|it| it == wanted);
        let is_let_in = rules.wanted.as_ref().is_none_or(is_wanted);
        let host = headers.get(header::HOST).map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
        let host = host.unwrap_or_default();
        rules.brought.extend(brought.into_iter().map(|cookies| (host.clone(), cookies)));
        (!is_let_in).then(|| StatusCode::UNAUTHORIZED.into_response())
    }
}
