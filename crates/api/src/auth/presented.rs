//! The key that a request presents in its headers, by the scheme that it uses. Whose key it is, if anybody's, the ring says.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The key of `Authorization: Bearer KEY` (RFC 6750; the scheme in any case).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = credentials(headers)?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key)
}

/// The key by any scheme that clients of dialects have: `Bearer KEY`, `Api-Key KEY`, or the password of `Basic` (RFC 7617),
/// whatever the name of the user.
pub(crate) fn in_any_scheme(headers: &HeaderMap) -> Option<String> {
    let (scheme, sent) = credentials(headers)?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "api-key" => Some(sent.to_owned()),
        "basic" => {
            let pair = String::from_utf8(STANDARD.decode(sent).ok()?).ok()?;
            pair.split_once(':').map(|(_, password)| password.to_owned()).filter(|password| !password.is_empty())
        }
        _ => None,
    }
}

/// Scheme, and what follows it.
fn credentials(headers: &HeaderMap) -> Option<(&str, &str)> {
    let (scheme, sent) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some((scheme, sent.trim())).filter(|(_, sent)| !sent.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_as_a_bearer_token_and_to_dialects_also_otherwise() {
        let table = [
            ("Bearer k", Some("k"), Some("k")),
            ("bearer  k ", Some("k"), Some("k")),
            ("Api-Key k", None, Some("k")),
            ("api-key  k", None, Some("k")),
            ("Basic bWU6a2V5", None, Some("key")),
            ("basic OmtleQ==", None, Some("key")),
            ("Basic bWU6a2V5OndpdGg6Y29sb25z", None, Some("key:with:colons")),
            ("Basic bWU6", None, None),
            ("Basic bWU=", None, None),
            ("Basic ***", None, None),
            ("Basic /////w==", None, None),
            ("Digest k", None, None),
            ("Bearer", None, None),
            ("Bearer ", None, None),
            ("k", None, None),
        ];
        for (sent, native, any) in table {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, sent.parse().unwrap())]);
            assert_eq!(bearer(&headers), native, "{sent}");
            assert_eq!(in_any_scheme(&headers).as_deref(), any, "{sent}");
        }
        assert_eq!(in_any_scheme(&HeaderMap::new()), None);
    }
}
