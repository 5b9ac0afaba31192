//! Asking an origin over HTTP/1.1: which addresses are asked for and with which headers, a connection, one question after the other, what the
//! head of an answer says, how the operator's rate is kept, which origins want to be spared, and which can't be fetched from by us.
//!
//! Not here: what is asked for, how often, and by how many connections (`relay`, `segments`); what may be dialled
//! (`guard`).

mod address;
mod answer;
mod connection;
mod cookies;
mod pace;
mod patience;
mod unfit;

pub use address::Asker;
pub(crate) use address::{MOST_REDIRECTS, headers_for, is_address, target};
pub use answer::Validator;
pub(crate) use answer::{Refusal, content_range, is_chunked, is_plain, retry_after, whole_length};
pub(crate) use connection::{Connection, Silence, next_bytes};
pub use cookies::Cookies;
pub(crate) use pace::Pace;
pub use patience::Patience;
pub(crate) use patience::{LONGEST_QUIET, QUIET};
pub use unfit::Unfit;
