//! The address of a medium, checked once.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

/// An http or https URL in its canonical spelling. `Display` and `Debug` hide user, password and query.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceUrl(Url);

impl SourceUrl {
    /// The whole text, for the program that fetches it. Never logged.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}
