//! What the holder of a ticket keeps beside a finished result. Each holder of a shared result keeps their own.

/// The notes, the judgement and the fetches of one holder; gone with the ticket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Library {
    /// In their words; at most 2,000 characters, and never empty.
    pub notes: Option<String>,
    /// Is it one of their favourites?
    pub favourite: bool,
    /// 1 to 5.
    pub rating: Option<u8>,
    /// How often they were handed a link, or the content from its beginning. Some may not have been counted.
    pub downloads: u64,
}

/// What a holder changes of it; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotation {
    /// Other notes, or none.
    pub notes: Option<Option<String>>,
    /// Whether it is a favourite from now on.
    pub favourite: Option<bool>,
    /// Another rating, or none.
    pub rating: Option<Option<u8>>,
}
