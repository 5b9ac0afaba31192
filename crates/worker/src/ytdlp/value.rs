//! Reading JSON that a site has filled: any field may be absent, null, of another type, or enormous.
//!
//! One level at a time. What nobody asks for stays text, however much it is and however deep, and what cannot be read
//! spoils no more than itself.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Characters kept of a word: a codec, a protocol, an extension.
pub(super) const WORD: usize = 64;
/// Characters kept of an id.
pub(super) const ID: usize = 500;
/// Characters kept of a title or a name.
pub(super) const TITLE: usize = 500;
/// Characters of the longest link; a longer one is of no use when cut, and is dropped.
pub(super) const LINK: usize = 2048;

/// Fields of one object that are known; yt-dlp has a hundred, and there are languages in hundreds.
const MOST_FIELDS: usize = 2000;

/// The fields of an object.
pub(super) struct Fields<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Fields<'a> {
    /// `None`: it is no object.
    pub(super) fn of(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }

    /// The only field, of an object that is an event.
    pub(super) fn only(self) -> Option<(Cow<'a, str>, &'a RawValue)> {
        self.0.into_iter().next()
    }

    /// Text, or a number as text, cut to so many characters; `None` when empty.
    pub(super) fn text(&self, name: &str, limit: usize) -> Option<String> {
        let value = *self.0.get(name)?;
        let text: String = match value.get().as_bytes().first()? {
            b'"' => string(value)?.chars().take(limit).collect(),
            b'-' | b'0'..=b'9' => value.get().chars().take(limit).collect(),
            _ => return None,
        };
        Some(text).filter(|text| !text.is_empty())
    }

    /// Text as it stands; `None` when it is longer than so many bytes.
    pub(super) fn whole_text(&self, name: &str, limit: usize) -> Option<Cow<'a, str>> {
        string(self.0.get(name)?).filter(|text| !text.is_empty() && text.len() <= limit)
    }

    /// A link to the web; never cut.
    pub(super) fn link(&self, name: &str) -> Option<String> {
        let text = self.whole_text(name, LINK)?;
        let is_link = text.starts_with("https://") || text.starts_with("http://");
        is_link.then(|| text.into_owned())
    }

    /// A number, not negative.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.rank(name).filter(|number| *number >= 0.0)
    }

    /// A number that may be negative.
    pub(super) fn rank(&self, name: &str) -> Option<f64> {
        serde_json::from_str(self.0.get(name)?.get()).ok().filter(|number: &f64| number.is_finite())
    }

    /// A whole number, not negative; a fraction is cut off.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturates")]
    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        let whole = serde_json::from_str(self.0.get(name)?.get()).ok();
        whole.or_else(|| self.number(name).map(|number| number as u64))
    }

    pub(super) fn pixels(&self, name: &str) -> Option<u32> {
        self.whole(name).and_then(|pixels| u32::try_from(pixels).ok()).filter(|pixels| *pixels > 0)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| value.get() == "true")
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| value.get() != "null")
    }

    /// The objects of a list, at most so many.
    pub(super) fn list(&self, name: &str, limit: usize) -> impl Iterator<Item = Fields<'a>> + use<'a> {
        self.0.get(name).copied().into_iter().flat_map(move |list| objects(list, limit))
    }

    /// How many things there are in a list, whatever they are.
    pub(super) fn length(&self, name: &str) -> usize {
        self.0.get(name).map_or(0, |list| items(list, 0, |_| false).1)
    }

    /// The texts of a list, at most so many, each cut to so many characters.
    pub(super) fn texts(&self, name: &str, limit: usize, most: usize) -> Vec<String> {
        let texts = self.0.get(name).map(|list| items(list, most, |item| item.get().starts_with('"')).0);
        let texts = texts.unwrap_or_default().into_iter().filter_map(string);
        texts.map(|text| text.chars().take(limit).collect()).collect()
    }

    /// The names and values of an inner object, at most so many.
    pub(super) fn entries(
        &self,
        name: &str,
        limit: usize,
    ) -> impl Iterator<Item = (Cow<'a, str>, &'a RawValue)> + use<'a> {
        let inner = self.0.get(name).copied().and_then(Fields::of);
        inner.into_iter().flat_map(|inner| inner.0).take(limit)
    }
}

/// What a text says; `None`: it is something else.
pub(super) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(value.get()).ok().map(|Text(text)| text)
}

/// The objects of a list, at most so many.
pub(super) fn objects(list: &RawValue, limit: usize) -> impl Iterator<Item = Fields<'_>> {
    items(list, limit, |item| item.get().starts_with('{')).0.into_iter().filter_map(Fields::of)
}

/// Those of a list that are wanted, at most so many, and how many there are of any kind.
fn items(list: &RawValue, limit: usize, is_wanted: fn(&RawValue) -> bool) -> (Vec<&RawValue>, usize) {
    let mut deserializer = serde_json::Deserializer::from_str(list.get());
    deserializer.deserialize_seq(Items { limit, is_wanted }).unwrap_or_default()
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some(Text(name)) = map.next_key()? {
                    if fields.len() < MOST_FIELDS {
                        fields.insert(name, map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

struct Items {
    limit: usize,
    is_wanted: fn(&RawValue) -> bool,
}

impl<'de> Visitor<'de> for Items {
    type Value = (Vec<&'de RawValue>, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut kept, mut length) = (Vec::new(), 0);
        while let Some(item) = list.next_element::<&RawValue>()? {
            length += 1;
            if kept.len() < self.limit && (self.is_wanted)(item) {
                kept.push(item);
            }
        }
        Ok((kept, length))
    }
}

/// What a test writes with `json!`, as text.
#[cfg(test)]
pub(super) fn raw(value: &serde_json::Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("it is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fault: one field that could not be read was the end of all.
    #[test]
    fn what_cannot_be_read_spoils_only_itself() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let text = format!(
            r#"{{"title": "cut \ud83d", "deep": {deep}, "far": 1e999, "name": "x\ny", "formats": [1, {{"n": 7}}, {deep}]}}"#
        );
        let raw = RawValue::from_string(text).expect("it is JSON");
        let fields = Fields::of(&raw).expect("an object");
        assert_eq!((fields.text("title", TITLE), fields.number("far")), (None, None));
        assert_eq!(fields.text("name", TITLE).as_deref(), Some("x\ny"));
        assert_eq!(fields.list("formats", 9).filter_map(|format| format.whole("n")).collect::<Vec<_>>(), [7]);
        assert_eq!((fields.length("formats"), fields.length("name")), (3, 0));
    }
}
