//! Where results live.

mod key;

pub use key::{BadObjectKey, ObjectKey};
