//! What can happen, drawn at random. Numbers count into what there is, round and round.

use proptest::prelude::*;

use super::*;

/// Small numbers: they are read by people when a sequence fails.
const NTH: usize = 40;

/// One step.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// An order, sent once or twice.
    Submit {
        order: Order,
        is_repeated: bool,
    },
    /// An old order once more under its ticket, even if that was forgotten.
    SubmitAgain(usize),
    Resubmit(usize),
    Cancel(usize),
    Forget(usize),
    Lease {
        worker: usize,
        most: usize,
    },
    Beat(Whose, u8),
    Reserve(Whose),
    Complete {
        whose: Whose,
        is_repeated: bool,
    },
    Fail {
        whose: Whose,
        is_retryable: bool,
        is_repeated: bool,
    },
    Release(Whose),
    Defer(Whose),
    /// Leases run out.
    RunOut(Which),
    /// Delays are over.
    EndDelays(Which),
    /// Jobs outlive their time unfinished.
    Expire(Which),
    /// Results outlive their time.
    Outlive,
    /// Nobody is told any more at once of what has failed, nor handed what has been made.
    StopSharing,
    /// This region alone has had a worker for long.
    Relocate(usize),
    /// Objects that are due are removed.
    Sweep,
}

/// What a client asks for.
#[derive(Debug, Clone)]
pub(super) struct Order {
    client: u8,
    url: u8,
    is_low: bool,
    is_elsewhere: bool,
    max_attempts: u32,
    max_queued: Option<u32>,
    max_running: Option<u32>,
    key: Option<u8>,
}

/// A lease: one that holds, unless there is none, or any that was ever given.
#[derive(Debug, Clone)]
pub(super) struct Whose {
    pub(super) nth: usize,
    pub(super) holds: bool,
}

/// All jobs that it could concern, or one of them.
#[derive(Debug, Clone)]
pub(super) enum Which {
    All,
    One(usize),
}

impl Order {
    /// As the API would make it. The fourth client has a rate: so many, and then none for longer than any test runs.
    pub(super) fn submission(&self, store: &JobStore) -> Submission {
        let Self { client, url, is_low, is_elsewhere, max_attempts, max_queued, max_running, key } = *self;
        let rate = (client == 3)
            .then(|| Rate { count: NonZeroU32::new(RATE).expect("more than none"), per: MINUTE * 60 * 1000 });
        let url = format!("https://example.com/{url}");
        let region = region(usize::from(is_elsewhere));
        let order = Submission { region, ..order(&format!("client {client}"), &url) };
        Submission {
            ticket: store.draw(&order.spec, &order.region),
            limits: ClientLimits { max_queued, max_running, weight: 1 + u32::from(client), rate, bytes_per_day: None },
            priority: if is_low { Priority::Low } else { Priority::Normal },
            max_attempts,
            webhook: (client % 2 == 0).then(super::super::webhooks::wanted),
            idempotency: key.map(|key| Idempotency { key: key.to_string(), body_sha256: url }),
            ..order
        }
    }
}

/// Any step, what changes jobs more often than what ends them.
pub(super) fn step() -> impl Strategy<Value = Step> {
    let one = || 0..NTH;
    prop_oneof![
        9 => (order_of(), any::<bool>()).prop_map(|(order, is_repeated)| Step::Submit { order, is_repeated }),
        1 => one().prop_map(Step::SubmitAgain),
        2 => one().prop_map(Step::Resubmit),
        3 => one().prop_map(Step::Cancel),
        2 => one().prop_map(Step::Forget),
        8 => (0..2_usize, 1..5_usize).prop_map(|(worker, most)| Step::Lease { worker, most }),
        3 => (whose(), 0..100_u8).prop_map(|(whose, percent)| Step::Beat(whose, percent)),
        1 => whose().prop_map(Step::Reserve),
        3 => (whose(), any::<bool>()).prop_map(|(whose, is_repeated)| Step::Complete { whose, is_repeated }),
        3 => (whose(), any::<bool>(), any::<bool>())
            .prop_map(|(whose, is_retryable, is_repeated)| Step::Fail { whose, is_retryable, is_repeated }),
        2 => whose().prop_map(Step::Release),
        1 => whose().prop_map(Step::Defer),
        3 => which().prop_map(Step::RunOut),
        3 => which().prop_map(Step::EndDelays),
        1 => which().prop_map(Step::Expire),
        1 => Just(Step::Outlive),
        1 => Just(Step::StopSharing),
        2 => (0..REGIONS.len()).prop_map(Step::Relocate),
        1 => Just(Step::Sweep),
    ]
}

fn order_of() -> impl Strategy<Value = Order> {
    let limits = (proptest::option::of(1..4_u32), proptest::option::of(1..3_u32));
    let key = proptest::option::weighted(0.2, 0..2_u8);
    let where_to = (any::<bool>(), proptest::bool::weighted(0.25));
    (0..4_u8, 0..6_u8, where_to, 1..4_u32, limits, key).prop_map(
        |(client, url, (is_low, is_elsewhere), max_attempts, (max_queued, max_running), key)| Order {
            client,
            url,
            is_low,
            is_elsewhere,
            max_attempts,
            max_queued,
            max_running,
            key,
        },
    )
}

fn whose() -> impl Strategy<Value = Whose> {
    (0..NTH, proptest::bool::weighted(0.7)).prop_map(|(nth, holds)| Whose { nth, holds })
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![Just(Which::All), (0..NTH).prop_map(Which::One)]
}
