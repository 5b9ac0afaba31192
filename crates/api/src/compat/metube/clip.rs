//! Moments of a medium as people write them for `MeTube`, in seconds.

use serde_json::Value;
use url::Url;

/// The latest moment there is, in seconds; as in a request of our own.
const LATEST: f64 = 10_000_000.0;

/// Reads `clip_start` or `clip_end`: seconds as a number or text, `1h2m3s`, `MM:SS.x`, `H:MM:SS`. `None`: nothing is said.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn moment(value: Option<&Value>) -> Result<Option<f64>, String> {
    let seconds = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => of_text(text.trim()),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
    };
    let seconds = seconds.filter(|seconds| (0.0..=LATEST).contains(seconds));
    let expected = || "must be seconds, or like 90s, 1h2m3s, 1:30 or 1:02:03".to_owned();
    seconds.map(|seconds| Some((seconds * 1000.0).round() / 1000.0)).ok_or_else(expected)
}

fn of_text(text: &str) -> Option<f64> {
    if text.contains(':') { of_clock(text) } else { of_units(text) }
}

/// `MM:SS` or `H:MM:SS`, each with a fraction.
fn of_clock(text: &str) -> Option<f64> {
    let parts: Vec<f64> = text.split(':').map(|part| decimal(part.trim())).collect::<Option<_>>()?;
    (2..=3).contains(&parts.len()).then(|| parts.iter().fold(0.0, |sum, part| sum * 60.0 + part))
}

/// `90`, `90.5`, `90s`, `14m45s`, `1h2m3s`, `1h`: the units in this order, the last of them may be unsaid if it is seconds.
fn of_units(text: &str) -> Option<f64> {
    if let Some(seconds) = decimal(text) {
        return Some(seconds);
    }
    if text.is_empty() {
        return None;
    }
    let (mut rest, mut sum) = (text.to_ascii_lowercase(), 0.0);
    for (unit, seconds) in [('h', 3600.0), ('m', 60.0), ('s', 1.0)] {
        if let Some((count, after)) = rest.split_once(unit) {
            sum += whole(count)? * seconds;
            rest = after.to_owned();
        }
    }
    if rest.is_empty() { Some(sum) } else { whole(&rest).map(|seconds| sum + seconds) }
}

fn whole(text: &str) -> Option<f64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| decimal(text))?
}

/// Digits, perhaps with a fraction: not all that Rust takes for a number.
fn decimal(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_plain)
}

/// The address without the moment in which `YouTube` is to begin, and that moment. Elsewhere `t` may mean anything, and stays.
pub(super) fn split_start(address: &str) -> (String, Option<f64>) {
    let whole = || (address.to_owned(), None);
    let Ok(mut url) = Url::parse(address) else { return whole() };
    let host = url.host_str().unwrap_or_default();
    if !(matches!(host, "youtu.be" | "youtube.com") || host.ends_with(".youtube.com")) {
        return whole();
    }
    let start = url.query_pairs().find(|(name, _)| name == "t").and_then(|(_, value)| of_units(value.trim()));
    let Some(start) = start.filter(|start| *start <= LATEST) else { return whole() };
    let others: Vec<(String, String)> =
        url.query_pairs().filter(|(name, _)| name != "t").map(|(name, value)| (name.into(), value.into())).collect();
    if others.is_empty() {
        url.set_query(None);
    } else {
        url.query_pairs_mut().clear().extend_pairs(others);
    }
    (url.into(), Some(start))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_moment_is_written_in_every_way_that_metube_takes() {
        let table = [
            (json!(null), Some(None)),
            (json!(""), Some(None)),
            (json!("  "), Some(None)),
            (json!(0), Some(Some(0.0))),
            (json!(90), Some(Some(90.0))),
            (json!(90.5), Some(Some(90.5))),
            (json!(0.0004), Some(Some(0.0))),
            (json!("90"), Some(Some(90.0))),
            (json!(" 90.25 "), Some(Some(90.25))),
            (json!("90s"), Some(Some(90.0))),
            (json!("14m45s"), Some(Some(885.0))),
            (json!("14m45"), Some(Some(885.0))),
            (json!("1h2m3s"), Some(Some(3723.0))),
            (json!("1H2M"), Some(Some(3720.0))),
            (json!("1h"), Some(Some(3600.0))),
            (json!("1h3s"), Some(Some(3603.0))),
            (json!("1:30"), Some(Some(90.0))),
            (json!("01:30.5"), Some(Some(90.5))),
            (json!("1:02:03"), Some(Some(3723.0))),
            (json!("90:00"), Some(Some(5400.0))),
            (json!(-1), None),
            (json!("-1"), None),
            (json!("-1:30"), None),
            (json!("1:2:3:4"), None),
            (json!("1:"), None),
            (json!("x"), None),
            (json!("h"), None),
            (json!("1m1h"), None),
            (json!("1.5h"), None),
            (json!("1e3"), None),
            (json!("inf"), None),
            (json!("nan:1"), None),
            (json!(1e9), None),
            (json!(true), None),
            (json!([1]), None),
        ];
        for (value, expected) in table {
            assert_eq!(moment(Some(&value)).ok(), expected, "{value}");
        }
        assert_eq!(moment(None), Ok(None));
    }

    #[test]
    fn where_youtube_begins_is_no_part_of_its_address() {
        let table = [
            ("https://youtu.be/x?t=90", "https://youtu.be/x", Some(90.0)),
            ("https://www.youtube.com/watch?v=x&t=1m30s", "https://www.youtube.com/watch?v=x", Some(90.0)),
            ("https://m.youtube.com/watch?t=5&v=x&list=y#z", "https://m.youtube.com/watch?v=x&list=y#z", Some(5.0)),
            ("https://youtu.be/x?t=", "https://youtu.be/x?t=", None),
            ("https://youtu.be/x?t=soon", "https://youtu.be/x?t=soon", None),
            ("https://youtu.be/x", "https://youtu.be/x", None),
            ("https://a.example/x?t=90", "https://a.example/x?t=90", None),
            ("https://notyoutube.com/x?t=90", "https://notyoutube.com/x?t=90", None),
            ("no address", "no address", None),
        ];
        for (address, left, start) in table {
            assert_eq!(split_start(address), (left.to_owned(), start), "{address}");
        }
    }
}
