//! Reading an object field by field, so that every fault is found and none hides another.

use super::node::Node;
use crate::error::Fault;

/// What a field's reader answers: the value, or what is wrong, for people.
pub(super) type Read<T> = Result<T, String>;

/// Fields of one object; none that is known has half as many. Each further one would be compared with all others, and told.
const MOST_FIELDS: usize = 100;

/// The fields of one object that are still to be read. Whoever reads the last one calls [`Fields::end`].
pub(super) struct Fields<'a, 'f> {
    at: String,
    left: Vec<(&'a str, &'a Node)>,
    faults: &'f mut Vec<Fault>,
}

impl<'a, 'f> Fields<'a, 'f> {
    /// The object at the pointer `at` (empty: the body). A fault, and no fields, if it is none.
    pub(super) fn of(node: &'a Node, at: &str, faults: &'f mut Vec<Fault>) -> Option<Self> {
        let Node::Object(entries) = node else {
            faults.push(Fault::new(at, "must be an object"));
            return None;
        };
        if entries.len() > MOST_FIELDS {
            faults.push(Fault::new(at, format!("has {} fields; at most {MOST_FIELDS} are read", entries.len())));
            return None;
        }
        let mut left: Vec<(&str, &Node)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            if left.iter().any(|(known, _)| known == key) {
                faults.push(Fault::new(pointer(at, key), "is there more than once"));
            } else {
                left.push((key, value));
            }
        }
        Some(Self { at: at.to_owned(), left, faults })
    }

    /// Takes a field. `None` when it is absent, or wrong (then the fault is noted).
    pub(super) fn take<T>(&mut self, key: &str, read: impl FnOnce(&Node) -> Read<T>) -> Option<T> {
        let node = self.take_node(key)?;
        match read(node) {
            Ok(value) => Some(value),
            Err(detail) => {
                self.fault(key, detail);
                None
            }
        }
    }

    /// Takes a field that may also be `null`, which means the same as leaving it out.
    pub(super) fn take_nullable<T>(&mut self, key: &str, read: impl FnOnce(&Node) -> Read<T>) -> Option<T> {
        self.take_or_null(key, read).flatten()
    }

    /// Takes a field that may also be `null`, which is a value of its own.
    pub(super) fn take_or_null<T>(&mut self, key: &str, read: impl FnOnce(&Node) -> Read<T>) -> Option<Option<T>> {
        self.take(key, |node| if *node == Node::Null { Ok(None) } else { read(node).map(Some) })
    }

    /// Takes an inner object that may also be `null`, and lets `read` take its fields.
    pub(super) fn take_object<T>(&mut self, key: &str, read: impl FnOnce(&mut Fields<'_, '_>) -> T) -> Option<T> {
        let node = self.take_node(key).filter(|node| **node != Node::Null)?;
        let mut inner = Fields::of(node, &pointer(&self.at, key), self.faults)?;
        let value = read(&mut inner);
        inner.end();
        Some(value)
    }

    /// Takes a list, each item with its own pointer. Faulty items are noted and left out.
    pub(super) fn take_list<T>(&mut self, key: &str, most: usize, read: impl Fn(&Node) -> Read<T>) -> Option<Vec<T>> {
        let node = self.take_node(key)?;
        let Node::List(items) = node else {
            self.fault(key, "must be a list");
            return None;
        };
        if items.len() > most {
            self.fault(key, format!("has {} items; at most {most} are allowed", items.len()));
        }
        let at = pointer(&self.at, key);
        let mut list = Vec::new();
        for (index, item) in items.iter().enumerate().take(most) {
            match read(item) {
                Ok(value) => list.push(value),
                Err(detail) => self.faults.push(Fault::new(format!("{at}/{index}"), detail)),
            }
        }
        Some(list)
    }

    /// Notes that a field is wrong.
    pub(super) fn fault(&mut self, key: &str, detail: impl Into<String>) {
        self.faults.push(Fault::new(pointer(&self.at, key), detail.into()));
    }

    /// How many faults are known, of all objects together.
    pub(super) fn fault_count(&self) -> usize {
        self.faults.len()
    }

    /// Every field that nobody took is unknown.
    pub(super) fn end(self) {
        for (key, _) in self.left {
            self.faults.push(Fault::new(pointer(&self.at, key), "is not a known field"));
        }
    }

    /// Takes a field as it is.
    pub(super) fn take_node(&mut self, key: &str) -> Option<&'a Node> {
        let index = self.left.iter().position(|(known, _)| *known == key)?;
        Some(self.left.remove(index).1)
    }
}

/// A pointer one step deeper (RFC 6901: `~` and `/` in a key are written `~0` and `~1`).
fn pointer(at: &str, key: &str) -> String {
    // a key is named as it was sent, but not at any length
    let short: String = key.chars().take(100).collect();
    format!("{at}/{}", short.replace('~', "~0").replace('/', "~1"))
}

/// A text of `least` to `most` characters without control characters.
pub(super) fn text(node: &Node, least: usize, most: usize) -> Read<String> {
    written(node, least, most, &[])
}

/// The same of several lines, which tabs may indent.
pub(super) fn lines(node: &Node, least: usize, most: usize) -> Read<String> {
    written(node, least, most, &['\n', '\r', '\t'])
}

fn written(node: &Node, least: usize, most: usize, controls: &[char]) -> Read<String> {
    let Node::Text(text) = node else { return Err("must be a string".into()) };
    let length = text.chars().count();
    if !(least..=most).contains(&length) {
        return Err(format!("must have {least} to {most} characters"));
    }
    if text.chars().any(|c| c.is_control() && !controls.contains(&c)) {
        return Err("must not contain control characters".into());
    }
    Ok(text.clone())
}

/// `true` or `false`.
pub(super) fn flag(node: &Node) -> Read<bool> {
    match node {
        Node::Bool(value) => Ok(*value),
        _ => Err("must be true or false".into()),
    }
}

/// A whole number of a range; `5.0` is one.
pub(super) fn whole(node: &Node, least: u64, most: u64) -> Read<u64> {
    let Node::Number(number) = node else { return Err("must be a number".into()) };
    let value = number.as_u64().or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&float)).then_some(float as u64)
    });
    value
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

/// Seconds from 0 to `most`, to the millisecond.
pub(super) fn seconds(node: &Node, most: f64) -> Read<f64> {
    let Node::Number(number) = node else { return Err("must be a number".into()) };
    let value = number.as_f64().filter(|value| (0.0..=most).contains(value));
    value.map(|value| (value * 1000.0).round() / 1000.0).ok_or_else(|| format!("must be from 0 to {most}"))
}

/// A tag of a language, by the rule that all tags of BCP 47 keep: subtags of 1 to 8 ASCII letters or digits, the first
/// of letters only, 35 characters in all (RFC 5646 §2.1 and §4.4.1).
pub(super) fn language(node: &Node) -> Read<String> {
    let tag = text(node, 1, 35)?;
    let is_subtag =
        |subtag: &str| (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_named = |first: &str| first.bytes().all(|byte| byte.is_ascii_alphabetic());
    if tag.split('-').all(is_subtag) && tag.split('-').next().is_some_and(is_named) {
        Ok(tag)
    } else {
        Err("must be a tag of a language, such as en or pt-BR".into())
    }
}

/// One of a closed list of words, which name the values of `T`.
pub(super) fn word<T: serde::de::DeserializeOwned>(node: &Node, words: &[&str]) -> Read<T> {
    let known = match node {
        Node::Text(text) if words.contains(&text.as_str()) => {
            serde_json::from_value(serde_json::Value::String(text.clone())).ok()
        }
        _ => None,
    };
    known.ok_or_else(|| format!("must be one of {}", words.join(", ")))
}
