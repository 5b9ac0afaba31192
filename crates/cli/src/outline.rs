//! An answer of the API for people, whatever fields it has: lines of names and values, and tables.
//!
//! A field that a later version adds is shown like the others. Its name says its unit, as the contract has it.

use std::time::Duration;

use indicatif::{FormattedDuration, HumanBytes};
use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr as _;

use crate::table;
use crate::text::plain;

/// Columns of a cell.
const WIDEST_CELL: usize = 60;

/// Columns of a table: those of the widest that the API has, and some that it may have one day.
const MOST_COLUMNS: usize = 40;

/// Fields and rows of an answer, of all its objects and tables together: a row is a few bytes of an answer, and a line of
/// all columns here.
const MOST_LINES: usize = 1000;

/// Lines of an answer; the fields that are named come first, in that order, the others by their names.
#[must_use]
pub fn outline(value: &Value, first: &[&str]) -> Vec<String> {
    of_value(value, first, &mut { MOST_LINES })
}

/// `room` is what is left of [`MOST_LINES`].
fn of_value(value: &Value, first: &[&str], room: &mut usize) -> Vec<String> {
    match value {
        Value::Object(fields) => of_fields(fields, first, room),
        other => vec![shown("", other)],
    }
}

fn of_fields(fields: &Map<String, Value>, first: &[&str], room: &mut usize) -> Vec<String> {
    let mut ordered = in_order(fields, first);
    let left_out = cut_off(&mut ordered, *room, "more");
    *room -= ordered.len();
    let is_nested = |value: &Value| match value {
        Value::Object(_) => true,
        Value::Array(items) => items.iter().any(Value::is_object),
        _ => false,
    };
    let (nested, plain_ones): (Vec<_>, Vec<_>) = ordered.into_iter().partition(|(_, value)| is_nested(value));
    let widest = plain_ones.iter().map(|(name, _)| title(name).width()).max().unwrap_or_default();
    let mut lines: Vec<String> = plain_ones
        .into_iter()
        .map(|(name, value)| format!("{}{}", table::padded(&title(name), widest + 2), shown(name, value)))
        .collect();
    for (name, value) in nested {
        let inner = match value {
            Value::Array(items) => of_items(items, first, room),
            other => of_value(other, first, room),
        };
        lines.push(format!("{}:", plain(&name.replace('_', " "))));
        lines.extend(inner.into_iter().map(|line| format!("  {line}")));
    }
    lines.extend(left_out);
    lines
}

/// A table of objects, with a column for each field that any of them has, as far as that is one for people.
fn of_items(items: &[Value], first: &[&str], room: &mut usize) -> Vec<String> {
    let mut items: Vec<&Value> = items.iter().collect();
    let left_out = cut_off(&mut items, *room, "more");
    *room -= items.len();
    if items.is_empty() {
        return left_out.into_iter().collect();
    }
    let mut all = Map::new();
    for fields in items.iter().filter_map(|item| item.as_object()) {
        all.extend(fields.iter().map(|(name, _)| (name.clone(), Value::Null)));
    }
    let mut names: Vec<&str> = in_order(&all, first).into_iter().map(|(name, _)| name).collect();
    let columns_left_out = cut_off(&mut names, MOST_COLUMNS, "more columns");
    let cell = |item: &Value, name: &str| table::cut(&shown(name, item.get(name).unwrap_or(&Value::Null)), WIDEST_CELL);
    let rows: Vec<Vec<String>> = items.iter().map(|item| names.iter().map(|name| cell(item, name)).collect()).collect();
    let heads: Vec<String> = names.iter().map(|name| title(name)).collect();
    let mut lines = table::lines(&heads.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
    lines.extend(left_out.into_iter().chain(columns_left_out));
    lines
}

/// Leaves so many, and a line that says how many of what there were beside them.
fn cut_off<T>(all: &mut Vec<T>, most: usize, what: &str) -> Option<String> {
    let more = all.len().saturating_sub(most);
    all.truncate(most);
    (more > 0).then(|| format!("… and {more} {what}; --json shows all"))
}

fn in_order<'a>(fields: &'a Map<String, Value>, first: &[&str]) -> Vec<(&'a str, &'a Value)> {
    let rank = |name: &str| first.iter().position(|known| *known == name).unwrap_or(first.len());
    let mut ordered: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value)).collect();
    ordered.sort_by_key(|(name, _)| rank(name));
    ordered
}

/// A field's name without its unit, which the value has.
fn title(name: &str) -> String {
    let name = name.strip_suffix("_bytes").or_else(|| name.strip_suffix("_seconds")).unwrap_or(name);
    table::cut(&plain(&name.replace('_', " ")), WIDEST_CELL)
}

/// A value, with the unit that its field's name says.
#[must_use]
pub fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::String(text) => plain(text),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(|item| shown(name, item)).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let pairs = fields.iter().map(|(name, value)| format!("{} {}", title(name), shown(name, value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        Value::Number(number) => match (number.as_u64(), number.as_f64().unwrap_or_default()) {
            (Some(bytes), _) if name.contains("bytes") => bytes_of(bytes),
            (_, seconds) if name.ends_with("_seconds") => length_of(seconds),
            (Some(whole), _) => whole.to_string(),
            (None, value) => format!("{value:.2}"),
        },
    }
}

/// A size for people, in units of 1024.
#[must_use]
pub fn bytes_of(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// A length of time for people: `2.5 s`, and from a minute on `00:01:30`.
#[must_use]
pub fn length_of(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds) {
        Ok(long) if seconds >= 60.0 => FormattedDuration(long).to_string(),
        _ => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_shown_with_units_tables_and_what_nobody_knew_of() {
        let answer = json!({
            "title": "Ein\u{1b}[2J Vortrag", "duration_seconds": 90.4, "is_live": false, "thumbnail_url": null,
            "qualities": ["720p", "360p"], "entries": [],
            "formats": [{"format_id": "18", "size_bytes": 2_097_152, "fps": 25.0}, {"format_id": "22", "moon": 3}],
            "stage_seconds": {"download": {"p50": 1.25}},
        });
        let expected = expect![[r#"
            title          Ein[2J Vortrag
            duration       00:01:30
            entries        -
            is live        no
            qualities      720p, 360p
            thumbnail url  -
            formats:
              FORMAT ID  SIZE      FPS    MOON
              18         2.00 MiB  25.00  -
              22         -         -      3
            stage seconds:
              download:
                p50  1.25"#]];
        expected.assert_eq(&outline(&answer, &["title", "duration_seconds", "format_id", "size_bytes"]).join("\n"));
        assert_eq!(
            (length_of(2.54), length_of(-1.0), length_of(f64::NAN)),
            ("2.5 s".into(), "-1.0 s".into(), "NaN s".into())
        );
    }

    /// A table of each field that any row has was as large as the answer's square; then many tables were, each within bounds.
    #[test]
    fn however_many_fields_of_whatever_length_a_server_invents_what_is_shown_has_a_size() {
        let rows: Vec<Value> = (0..1500).map(|at| json!({ format!("field{at}"): at, "a": "x".repeat(5000) })).collect();
        let fields: Map<String, Value> = (0..1500).map(|at| (format!("{at:0>100}"), json!(at))).collect();
        let wide: Map<String, Value> = (0..MOST_COLUMNS).map(|at| (at.to_string(), json!("x".repeat(60)))).collect();
        let row = |at| if at == 0 { json!(wide) } else { json!({}) };
        let tables: Map<String, Value> = (0..50).map(|at| (format!("table{at}"), (0..50).map(row).collect())).collect();
        for (answer, left_out) in [
            (json!({ "rows": rows }), &["… and 501 more;", "… and 960 more columns;"][..]),
            (json!({ "rows": [], "fields": fields, "more": [{"a": 1}] }), &["… and 503 more;", "… and 1 more;"]),
            (json!(tables), &["… and 50 more;"]),
        ] {
            let lines = outline(&answer, &[]);
            let is_told = |what: &&str| lines.iter().any(|line| line.trim() == format!("{what} --json shows all"));
            assert!(left_out.iter().all(is_told), "{left_out:?} in {lines:?}");
            let widest = lines.iter().map(|line| line.width()).max().unwrap_or_default();
            assert!(widest < MOST_COLUMNS * (WIDEST_CELL + 4), "{widest}");
            // each of the tables has a head, or says what it has not
            assert!(lines.len() < MOST_LINES + 3 * 50, "{}", lines.len());
        }
    }
}
