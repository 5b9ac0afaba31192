//! Inputs that nobody would think of: what is right, spoilt at random in a few places.
//!
//! In the ordinary run each target gets a few hundred, or as many as `PROPTEST_CASES` says. Built with `FUZZ_SECONDS`
//! (`tests/run --fuzz`) it gets as many as come in that time, and tells how many. What fails is shrunk and printed.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// How long each target runs, when it is not the ordinary run.
const SECONDS: Option<&str> = option_env!("FUZZ_SECONDS");
const PLACES: usize = 6;
const LONGEST: usize = 40;

/// Tries a property with inputs, and panics with the smallest for which it does not hold.
///
/// # Panics
/// When there is one.
pub fn holds<S: Strategy>(target: &str, inputs: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: Debug,
{
    let seconds: u64 = SECONDS.map_or(0, |text| text.parse().expect("FUZZ_SECONDS is a number"));
    let (began, mut tried) = (Instant::now(), 0_u64);
    loop {
        // each round has other inputs; a failure is told, not stored
        let config = Config { failure_persistence: None, ..Config::default() };
        let cases = config.cases;
        if let Err(fault) = TestRunner::new(config).run(inputs, &property) {
            panic!("{target}, after {tried} inputs: {fault}");
        }
        tried += u64::from(cases);
        if began.elapsed() >= Duration::from_secs(seconds) {
            break;
        }
    }
    if seconds > 0 {
        println!("fuzz: {target}: {tried} inputs in {} s", began.elapsed().as_secs());
    }
}

/// One of these, with up to six places spoilt: something taken out, put in, doubled or replaced, by bytes or by one of
/// these words.
pub fn spoilt(right: &[&str], words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let right: Vec<Vec<u8>> = right.iter().map(|text| text.as_bytes().to_vec()).collect();
    let filling = prop_oneof![
        3 => proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        2 => proptest::collection::vec(any::<u8>(), 0..LONGEST),
        1 => ".{0,8}".prop_map(String::into_bytes),
    ];
    let place = (any::<prop::sample::Index>(), 0..LONGEST, 0..4_u8, filling);
    (proptest::sample::select(right), proptest::collection::vec(place, 0..PLACES)).prop_map(|(mut bytes, places)| {
        for (at, length, way, filling) in places {
            let from = at.index(bytes.len() + 1);
            let to = (from + length).min(bytes.len());
            match way {
                0 => drop(bytes.drain(from..to)),
                1 => drop(bytes.splice(from..from, filling)),
                2 => drop(bytes.splice(from..to, filling)),
                _ => {
                    let again = bytes[from..to].to_vec();
                    bytes.splice(from..from, again);
                }
            }
        }
        bytes
    })
}

/// The same as text; what is no UTF-8 becomes a character that stands for that.
pub fn spoilt_text(right: &[&str], words: &'static [&'static str]) -> impl Strategy<Value = String> + use<> {
    spoilt(right, words).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
