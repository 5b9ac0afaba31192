//! JSON as it was sent: nothing is lost that a check may want to name, duplicate keys included.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// A JSON value whose objects keep every pair, in order.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "these are the kinds of JSON values")]
pub enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Reads a body. The error says where the text stops being JSON, and quotes nothing of it.
    ///
    /// # Errors
    /// `line 1, column 17`, both counted from 1.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| format!("line {}, column {}", error.line(), error.column()))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Number::from_f64(value).map(Node::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut object = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            object.push(entry);
        }
        Ok(Node::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_comes_twice_is_kept_twice() {
        let node = Node::parse(br#"{"a": 1, "a": null}"#).unwrap();
        let one = Node::Number(1.into());
        assert_eq!(node, Node::Object(vec![("a".into(), one), ("a".into(), Node::Null)]));
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        let deep = "[".repeat(4000);
        for (body, place) in [
            ("", "line 1, column 0"),
            ("{", "line 1, column 1"),
            ("{\"url\":\n nope}", "line 2, column 3"),
            ("{} {}", "line 1, column 4"),
            ("[1,]", "line 1, column 4"),
            ("\"\\ud800\"", "line 1, column 8"),
            ("1e999", "line 1, column 5"),
            (&deep, "line 1, column 128"),
        ] {
            assert_eq!(Node::parse(body.as_bytes()), Err(place.to_owned()), "{body:.20}");
        }
        assert!(Node::parse(b"\"\xff\"").is_err());
    }
}
