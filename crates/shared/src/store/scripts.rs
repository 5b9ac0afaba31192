//! The scripts, one per transition, and the one way to run them.
//!
//! Each is sent as three tables made here (key names, state words, allowed transitions), the shared prelude, and
//! its own file. So a script knows no key and no state by text of its own.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::keys;
use crate::job::state::{ALLOWED, StateKind};
use crate::redis::{Call, Script};

/// May it run when Redis is full? Everything but `submit` must: a full queue has to drain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenFull {
    Run,
    Refuse,
}

/// One transition.
pub(super) type Transition = LazyLock<Script>;

macro_rules! transitions {
    ($($name:ident = $file:literal, $when_full:ident;)*) => {
        $(pub(super) static $name: Transition = LazyLock::new(|| {
            source(WhenFull::$when_full, include_str!(concat!("lua/", $file, ".lua")))
        });)*
    };
}

transitions! {
    SUBMIT = "submit", Refuse;
    LEASE = "lease", Run;
    HEARTBEAT = "heartbeat", Run;
    RESERVE = "reserve", Run;
    COMPLETE = "complete", Run;
    FAIL = "fail", Run;
    RELEASE = "release", Run;
    DEFER = "defer", Run;
    CANCEL = "cancel", Run;
    FORGET = "forget", Run;
    PROMOTE = "promote", Run;
    REAP = "reap", Run;
    EXPIRE = "expire", Run;
    COLLECT = "collect", Run;
    LOOK = "look", Run;
}

/// Begins a call of a transition, with the keys of the shard in place.
pub(super) fn invocation(script: &'static Transition) -> Call<'static> {
    let mut call = script.call();
    for (name, _) in keys::TABLE {
        call.key(keys::key(name));
    }
    call
}

fn source(when_full: WhenFull, body: &str) -> Script {
    let mut text = match when_full {
        WhenFull::Run => "#!lua flags=allow-oom\n".to_owned(),
        WhenFull::Refuse => "#!lua\n".to_owned(),
    };
    text.push_str("local K = {\n");
    for (at, (name, _)) in keys::TABLE.iter().enumerate() {
        let _ = writeln!(text, "  {name} = KEYS[{}],", at + 1);
    }
    text.push_str("}\nlocal S = {\n");
    for state in StateKind::ALL {
        let _ = writeln!(text, "  {0} = '{0}',", state.word());
    }
    text.push_str("}\nlocal MAY = {\n");
    for (action, states) in ALLOWED {
        let from: Vec<String> = states.iter().map(|state| format!("{} = true", state.word())).collect();
        let _ = writeln!(text, "  {} = {{ {} }},", action.word(), from.join(", "));
    }
    text.push_str("}\n");
    text.push_str(include_str!("lua/prelude.lua"));
    text.push_str(body);
    Script::new(text)
}
