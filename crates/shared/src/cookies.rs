//! Whose cookies an order may use: the name of a jar, and never a cookie.
//!
//! The caller's key decides (`api::auth`), the order says it, and by that the single run, the reused result and the cached
//! metadata of a caller with cookies are never those of a caller without. Not here: what is in a jar (`worker::jar`).

use serde::{Deserialize, Serialize};

use crate::site::{NoSiteName, SiteName};
use crate::source::SourceUrl;

/// Whose cookies an order may use. A jar has the name of its site. Stored as that name, or a word that is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Cookies {
    /// Nobody's.
    #[default]
    None,
    /// Those of this jar; without it the order fails.
    Jar(SiteName),
    /// Those of whichever jar the worker has for the address, if it has one: a person's own machine.
    Any,
}

const ANY: &str = "any";

impl Cookies {
    /// Are there none to be used?
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// Which jars a caller may use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Jars {
    /// None.
    #[default]
    None,
    /// These.
    These(Vec<SiteName>),
    /// All that there are.
    All,
}

impl Jars {
    /// What an order for this address may use: of several jars, that of the nearest site.
    #[must_use]
    pub fn for_url(&self, url: &SourceUrl) -> Cookies {
        match self {
            Self::None => Cookies::None,
            Self::All => Cookies::Any,
            Self::These(names) => {
                let fitting = names.iter().filter(|name| name.covers(&url.host()));
                let nearest = fitting.max_by_key(|name| name.as_str().len());
                nearest.cloned().map_or(Cookies::None, Cookies::Jar)
            }
        }
    }
}

impl TryFrom<String> for Cookies {
    type Error = NoSiteName;

    fn try_from(text: String) -> Result<Self, NoSiteName> {
        match text.as_str() {
            "" => Ok(Self::None),
            ANY => Ok(Self::Any),
            name => name.parse().map(Self::Jar),
        }
    }
}

impl From<Cookies> for String {
    fn from(cookies: Cookies) -> Self {
        match cookies {
            Cookies::None => Self::new(),
            Cookies::Any => ANY.to_owned(),
            Cookies::Jar(name) => name.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SiteName {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn of_several_jars_the_nearest_is_taken_and_a_caller_with_none_has_none() {
        let url = SourceUrl::read("https://a.b.video.example/x").expect("an address");
        let these = |names: &[&str]| Jars::These(names.iter().map(|text| name(text)).collect()).for_url(&url);
        assert_eq!(
            these(&["video.example", "b.video.example", "other.example"]),
            Cookies::Jar(name("b.video.example"))
        );
        assert_eq!(these(&["other.example"]), Cookies::None);
        assert_eq!((Jars::None.for_url(&url), Jars::All.for_url(&url)), (Cookies::None, Cookies::Any));
    }
}
