//! The scripts, one per transition, and the one way to run them.
//!
//! A script knows no key, no state and no transition by text of its own: it says `K.lease`, `S.running`, `MAY.reap`, and
//! these names are replaced here, once, by what the tables in Rust say. So nothing is built anew at every call, which
//! would cost more than most scripts do.

use std::sync::LazyLock;

use super::claims::LOW_EVERY;
use super::keys::{self, Kind, Lane};
use crate::ids::Shard;
use crate::job::FailureKind;
use crate::job::state::{ALLOWED, StateKind};
use crate::media::Priority;
use crate::redis::{Call, Script};
use crate::rollout::Verdict;

/// May it run when Redis is full? Everything must but what brings in more: a full queue has to drain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenFull {
    Run,
    Refuse,
}

/// One transition.
pub(super) type Transition = LazyLock<Script>;

macro_rules! transitions {
    ($($name:ident = $($file:literal)+, $when_full:ident;)*) => {
        $(pub(super) static $name: Transition = LazyLock::new(|| {
            // the last file is its own, and has its name
            let name = [$($file),+].last().copied().unwrap_or_default();
            Script::new(name, text(WhenFull::$when_full, &[$(include_str!(concat!("lua/", $file, ".lua"))),+]))
        });)*

        #[cfg(test)]
        fn texts() -> Vec<String> {
            vec![$(text(WhenFull::$when_full, &[$(include_str!(concat!("lua/", $file, ".lua"))),+])),*]
        }
    };
}

transitions! {
    SUBMIT = "view" "rate" "submit", Refuse;
    PROMISE = "promise", Refuse;
    OPEN_PLAYLIST = "open_playlist", Refuse;
    SEAL_PLAYLIST = "seal_playlist", Run;
    ABANDON_PLAYLIST = "abandon_playlist", Run;
    LEASE = "sites" "trials" "tending" "sentry" "lease", Run;
    HEARTBEAT = "heartbeat", Run;
    RESERVE = "reserve", Run;
    COMPLETE = "sites" "trials" "complete", Run;
    THUMBNAIL = "thumbnail", Run;
    FAIL = "sites" "trials" "fail", Run;
    RELEASE = "release", Run;
    DEFER = "defer", Run;
    CANCEL = "cancel", Run;
    ANNOTATE = "annotate", Refuse;
    FETCHED = "fetched", Run;
    RANK = "rank", Run;
    FORGET = "forget", Run;
    UNSHARE = "unshare", Run;
    TEND = "sites" "tending" "sentry" "tend", Run;
    AUDIT = "audit", Run;
    COLLECT = "collect", Run;
    BREAKERS = "sites" "breakers", Run;
    LOOK = "view" "look", Run;
    MOMENTS = "view" "moments", Run;
    TALLY = "tally", Run;
    DELIVERED = "delivered", Run;
    ANNOUNCE = "announce", Run;
    SIGN_OFF = "sentry" "sign_off", Run;
    RELOCATE = "relocate", Run;
    SWEEP = "sweep", Run;
    SWEPT = "swept", Run;
    UNKNOWN = "unknown", Run;
    TELL = "view" "tell", Run;
    TOLD = "told", Run;
    REDELIVER = "rate" "redeliver", Run;
    ROTATE = "rotate", Run;
    TRIAL = "trial", Run;
    RULE = "rule", Run;
}

/// Keeps a picture of metadata. No transition: it runs on the cache server, and knows no job.
pub(crate) static KEEP_PICTURE: LazyLock<Script> =
    LazyLock::new(|| Script::new("keep_picture", concat!("#!lua\n", include_str!("lua/keep_picture.lua")).to_owned()));

/// Keeps a plan of a download; as [`KEEP_PICTURE`].
pub(crate) static KEEP_PLAN: LazyLock<Script> =
    LazyLock::new(|| Script::new("keep_plan", concat!("#!lua\n", include_str!("lua/keep_plan.lua")).to_owned()));

/// Begins a call of a transition on a shard.
pub(super) fn invocation(shard: Shard, script: &'static Transition) -> Call<'static> {
    let mut call = script.call();
    call.key(keys::base(shard));
    call
}

fn text(when_full: WhenFull, parts: &[&str]) -> String {
    let mut text = match when_full {
        WhenFull::Run => "#!lua flags=allow-oom\n".to_owned(),
        WhenFull::Refuse => "#!lua\n".to_owned(),
    };
    text.push_str(include_str!("lua/prelude.lua"));
    parts.iter().for_each(|part| text.push_str(part));
    for (name, meaning) in meanings() {
        text = text.replace(&name, &meaning);
    }
    text
}

/// What stands for each name, longest names first: none is taken for the beginning of another.
fn meanings() -> Vec<(String, String)> {
    let keys = keys::TABLE.iter().map(|(name, rest)| (format!("K.{name}"), format!("B..'{rest}'")));
    let states = StateKind::ALL.into_iter().map(|state| (format!("S.{}", state.word()), format!("'{}'", state.word())));
    let may = ALLOWED.iter().map(|(action, states)| {
        let states: Vec<&str> = states.iter().map(|state| state.word()).collect();
        (format!("MAY.{}", action.word()), format!("' {} '", states.join(" ")))
    });
    let lanes =
        [Priority::Normal, Priority::Low].map(Lane::word).map(|word| (format!("LANE.{word}"), format!("'{word}'")));
    let turns = ("LANE.turns".to_owned(), LOW_EVERY.to_string());
    let anybody = ("ANYBODY".to_owned(), format!("'{}'", keys::ANYBODY));
    let kind = ("KIND.download".to_owned(), format!("'{}'", Kind::Download.word()));
    let lost = ("CODE.lost".to_owned(), format!("'{}'", FailureKind::WorkerLost.code()));
    let verdicts = Verdict::ALL.map(Verdict::word).map(|word| (format!("VERDICT.{word}"), format!("'{word}'")));
    let others = [turns, anybody, kind, lost];
    let mut all: Vec<_> = keys.chain(states).chain(may).chain(lanes).chain(verdicts).chain(others).collect();
    all.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_script_is_left_without_its_meaning() {
        let texts = texts();
        let words =
            texts.iter().flat_map(|text| text.split(|c: char| !(c.is_ascii_alphanumeric() || "._".contains(c))));
        let left: Vec<&str> = words
            .filter(|word| {
                ["K.", "S.", "MAY.", "LANE.", "KIND.", "CODE.", "VERDICT."].iter().any(|table| word.starts_with(table))
            })
            .collect();
        assert_eq!(left, [""; 0]);
        assert!(texts.iter().all(|text| text.contains(keys::TABLE[0].1)), "the names were there");
    }
}
