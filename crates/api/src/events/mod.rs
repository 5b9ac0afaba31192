//! Events: what happens to a download, told to those who follow it, from where each of them was.
//!
//! One look at a job serves all who follow it (`feed`), and so do the bytes of what is told of it; what each of them has
//! heard is theirs (`stream`). Nothing is kept here that a second API would miss: moments are in Redis, and whoever was cut
//! off goes on with any API. Not here: when something is a moment (`shared::store::moments`), and how a job looks
//! (`shared::view`).

mod feed;
mod frame;
mod stream;

pub use feed::{Feeds, Newest, News};
pub use frame::place;
pub use stream::{Asker, Follower};
