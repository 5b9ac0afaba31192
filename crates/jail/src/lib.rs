//! `haul-jail`, the launcher that stands between the worker and every program, and what the two must agree on.
//!
//! ```text
//! worker ── lifeline (a socket, our stdin) ──► keeper ──► confined ═exec═► program ──► its children
//!                                                └─ init, where processes have a namespace of their own
//! ```
//!
//! It runs twice or thrice. The **keeper** ([`keep`]) adopts every descendant, waits for the program, and then kills and
//! reaps whatever is left, also what has left the process group. It does the same when the lifeline closes, which the
//! kernel sees to when the worker dies, however it dies. The **confined** stage ([`confine`]) is the program's own
//! process: it sets the limits, gives up all privileges to come, asks to be killed with the keeper, and becomes the program.
//!
//! What the program may see and do (Landlock, system calls) is decided by the worker (`haul_worker::sandbox`) and comes as
//! data ([`Rules`]), which the confined stage puts on between the limits and the exec. Namespaces ([`space`]) are the
//! keeper's, who enters them itself: it makes the listener of the program's network, hands it to the worker over the
//! lifeline, and starts an **init** first, with which the kernel kills all other processes of that namespace. The keeper
//! stays among the worker's processes, so that it can be sent signals.
//!
//! Exit: the program's own code or signal; 126 or 127 when it cannot be started, 125 when the launcher fails itself.
//! The signals that the keeper has to survive (HUP, INT, TERM) are shown as 128 and their number.
//!
//! A crate of its own, without a runtime, because the start of a program waits for it.

mod apply;
mod attempts;
mod confine;
mod descendants;
mod keep;
mod launcher;
mod news;
mod rules;
mod space;

pub use attempts::{Attempts, Found};
pub use launcher::main;
pub use rules::{Filter, Rules};
