//! Reading JSON that a site has filled: any field may be absent, null, of another type, or enormous.

use serde_json::{Map, Value};

/// Characters kept of a word: a codec, a protocol, an extension.
pub(super) const WORD: usize = 64;
/// Characters kept of an id.
pub(super) const ID: usize = 500;
/// Characters kept of a title or a name.
pub(super) const TITLE: usize = 500;
/// Characters of the longest link; a longer one is of no use when cut, and is dropped.
pub(super) const LINK: usize = 2048;

/// The fields of an object.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    /// Text, or a number as text, cut to so many characters; `None` when empty.
    pub(super) fn text(&self, name: &str, limit: usize) -> Option<String> {
        let text = match self.0.get(name)? {
            Value::String(text) => text.chars().take(limit).collect(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
        };
        Some(text).filter(|text: &String| !text.is_empty())
    }

    /// Text as it stands; `None` when it is longer than so many bytes.
    pub(super) fn whole_text(&self, name: &str, limit: usize) -> Option<&'a str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty() && text.len() <= limit)
    }

    /// A link to the web; never cut.
    pub(super) fn link(&self, name: &str) -> Option<String> {
        let text = self.0.get(name)?.as_str()?;
        let is_link = text.starts_with("https://") || text.starts_with("http://");
        (is_link && text.len() <= LINK).then(|| text.to_owned())
    }

    /// A number, not negative.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64().filter(|number| number.is_finite() && *number >= 0.0)
    }

    /// A number that may be negative.
    pub(super) fn rank(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64().filter(|number| number.is_finite())
    }

    /// A whole number, not negative; a fraction is cut off.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturates")]
    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64().or_else(|| self.number(name).map(|number| number as u64))
    }

    pub(super) fn pixels(&self, name: &str) -> Option<u32> {
        self.whole(name).and_then(|pixels| u32::try_from(pixels).ok()).filter(|pixels| *pixels > 0)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// The objects of a list, at most so many.
    pub(super) fn list(&self, name: &str, limit: usize) -> impl Iterator<Item = Fields<'a>> + use<'a> {
        let items = self.0.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(Fields::of).take(limit)
    }

    /// How many things there are in a list, whatever they are.
    pub(super) fn length(&self, name: &str) -> usize {
        self.0.get(name).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// The texts of a list, at most so many, each cut to so many characters.
    pub(super) fn texts(&self, name: &str, limit: usize, most: usize) -> Vec<String> {
        let items = self.0.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let texts = items.iter().filter_map(Value::as_str).take(most);
        texts.map(|text| text.chars().take(limit).collect()).collect()
    }

    /// The names and values of an inner object, at most so many.
    pub(super) fn entries(&self, name: &str, limit: usize) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        let inner = self.0.get(name).and_then(Value::as_object);
        inner.into_iter().flatten().take(limit).map(|(name, value)| (name.as_str(), value))
    }
}
