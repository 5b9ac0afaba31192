//! Query parameters, read one by one so that every fault is told, unknown names included.

use std::convert::Infallible;
use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::error::{ApiError, ApiResult, Fault};

/// Parameters that are read of one query; no route has as many.
const MOST: usize = 32;

/// The parameters that are still to be read. Whoever reads the last one calls [`Params::end`].
#[derive(Debug)]
pub struct Params {
    left: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts.uri.query().unwrap_or_default()))
    }
}

/// Of a route that has no parameters: any is unknown.
#[derive(Debug, Clone, Copy)]
pub struct NoParams;

impl<S: Send + Sync> FromRequestParts<S> for NoParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        Params::of(parts.uri.query().unwrap_or_default()).end().map(|()| Self)
    }
}

impl Params {
    /// The parameters of a query.
    #[must_use]
    pub fn of(query: &str) -> Self {
        let mut params = Self { left: Vec::new(), faults: Vec::new() };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if params.left.len() + params.faults.len() == MOST {
                params.fault(&name, "is one too many");
                break;
            }
            if params.left.iter().any(|(known, _)| *known == name) {
                params.fault(&name, "is there more than once");
            } else {
                params.left.push((name.into_owned(), value.into_owned()));
            }
        }
        params
    }

    /// Takes a text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let index = self.left.iter().position(|(known, _)| known == name)?;
        Some(self.left.remove(index).1)
    }

    /// Takes a text that `read` understands; `expected` says what that is.
    pub fn parsed<T>(&mut self, name: &str, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.text(name)?;
        let value = read(&text);
        if value.is_none() {
            self.fault(name, format!("must be {expected}"));
        }
        value
    }

    /// Takes a whole number of a range.
    pub fn number(&mut self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.parsed(name, &expected, |text| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            text.parse().ok().filter(|number| digits && range.contains(number))
        })
    }

    /// Takes one of a closed list of words, each with what it means.
    pub fn word<T, const N: usize>(&mut self, name: &str, words: [(&str, T); N]) -> Option<T> {
        let expected = format!("one of {}", words.each_ref().map(|(word, _)| *word).join(", "));
        self.parsed(name, &expected, |text| words.into_iter().find(|(word, _)| *word == text).map(|(_, value)| value))
    }

    /// Takes `true` or `false`.
    pub fn truth(&mut self, name: &str) -> Option<bool> {
        self.parsed(name, "true or false", |text| text.parse().ok())
    }

    /// Takes `true` or `false`; absent is `false`.
    pub fn flag(&mut self, name: &str) -> bool {
        self.truth(name).unwrap_or(false)
    }

    /// Every parameter that nobody took is unknown.
    ///
    /// # Errors
    /// `invalid_request` with all faults.
    pub fn end(mut self) -> ApiResult<()> {
        for (name, _) in std::mem::take(&mut self.left) {
            self.fault(&name, "is not a known parameter");
        }
        if self.faults.is_empty() { Ok(()) } else { Err(ApiError::invalid(self.faults)) }
    }

    fn fault(&mut self, name: &str, detail: impl Into<String>) {
        // a name is told as it was sent, but not at any length
        let name: String = name.chars().take(100).collect();
        self.faults.push(Fault::new(format!("/{name}"), detail.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_thousands_of_parameters_is_not_read_to_its_end() {
        let query: String = (0..10_000).map(|at| format!("p{at}&")).collect();
        let faults = format!("{:?}", Params::of(&query).end().unwrap_err());
        assert!(faults.contains("/p32\", detail: \"is one too many\"") && !faults.contains("/p33\""), "{faults}");
    }

    #[test]
    fn every_fault_of_a_query_is_told() {
        let mut params = Params::of("limit=0&wait=+5&inline=yes&status=done&tag=a&tag=b&foo=1&ok=7");
        assert_eq!(params.number("limit", 1..=100), None);
        assert_eq!(params.number("wait", 0..=60), None);
        assert_eq!(params.number("ok", 1..=100), Some(7));
        assert!(!params.flag("inline"));
        assert_eq!(params.parsed("status", "a status", |_| None::<()>), None);
        assert_eq!(params.text("tag").as_deref(), Some("a"));
        let faults = format!("{:?}", params.end().unwrap_err());
        for name in ["/limit", "/wait", "/inline", "/status", "/tag", "/foo"] {
            assert!(faults.contains(name), "{faults}");
        }
    }
}
