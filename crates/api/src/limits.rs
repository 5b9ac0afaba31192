//! How often one caller may ask: the outer wall, one leaky bucket (GCRA) per class, rate and caller in this process.
//!
//! A bucket of `3/m` holds three requests and gets one back every 20 s. The buckets are tower_governor's, keyed by our
//! own [`ByCaller`]; its layer is not used, because it rounds `Retry-After` down (to 0, even) and charges one per
//! request, where a batch costs as much as its items.
//!
//! Who shares a bucket in a flood is `seats`' to say. Not here: the rate of downloads, and of webhooks sent again, over all
//! processes, and what a client may have in the queue. The store counts these, and its refusals are told as ours are ([`over`],
//! [`Standing::agree`]).

mod seats;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use haul_shared::config::Rate;
use haul_shared::ids::ClientKey;
use tokio_util::sync::CancellationToken;
use tower_governor::GovernorError;
use tower_governor::governor::{GovernorConfig, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;

use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, Code};
use seats::Seats;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// How often callers that did not come back are forgotten.
const FORGET: Duration = Duration::from_secs(60);

/// What is being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Metadata of a medium: a worker may have to look.
    Metadata,
    /// A download.
    Downloads,
    /// Everything else.
    Reads,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 3] = [Self::Metadata, Self::Downloads, Self::Reads];

    /// The word of the metric's label.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Downloads => "downloads",
            Self::Reads => "reads",
        }
    }

    /// How often this caller may ask for it; `None`: as often as it likes.
    #[must_use]
    pub fn rate(self, caller: &Caller) -> Option<Rate> {
        match self {
            Self::Metadata => caller.rates.metadata,
            Self::Downloads => caller.rates.downloads,
            Self::Reads => caller.rates.reads,
        }
    }
}

/// Finds the bucket of a request: its caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByCaller;

impl KeyExtractor for ByCaller {
    type Key = ClientKey;

    fn extract<T>(&self, request: &axum::http::Request<T>) -> Result<ClientKey, GovernorError> {
        let caller = request.extensions().get::<Caller>();
        caller.map(|caller| caller.client.clone()).ok_or(GovernorError::UnableToExtractKey)
    }
}

/// The buckets of one rate.
#[derive(Debug)]
struct Buckets {
    governor: GovernorConfig<ByCaller, StateInformationMiddleware>,
    seats: Mutex<Seats>,
}

/// All buckets of this process.
#[derive(Debug, Default)]
pub struct Limits {
    buckets: Mutex<HashMap<(Class, NonZeroU32, Duration), Arc<Buckets>>>,
}

/// How a caller stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    limit: u32,
    remaining: u32,
    reset: Duration,
    /// At most so long until the next request is not refused.
    next: Duration,
}

/// The refusal of a request over its rate, which is none in `wait`.
#[must_use]
pub fn over(rate: Rate, wait: Duration) -> ApiError {
    let limit = rate.count.get();
    // by then one is back, and the others follow one by one
    let standing = Standing { limit, remaining: 0, reset: wait + each(rate) * (limit - 1), next: wait };
    let mut headers = HeaderMap::new();
    standing.tell(&mut headers);
    let error = ApiError::new(Code::RateLimited).retry_after(wait);
    headers.into_iter().fold(error, |error, (name, value)| match name {
        Some(name) => error.header(name, value),
        None => error,
    })
}

/// Time in which one request comes back.
fn each(rate: Rate) -> Duration {
    rate.per / rate.count.get()
}

impl Standing {
    /// The store has refused what this process let pass. Who comes back when all processes together allow it must not be
    /// refused by this one.
    pub fn agree(&self, refused: &mut ApiError) {
        if refused.is(Code::RateLimited) {
            refused.no_sooner_than(self.next);
        }
    }

    /// Tells the caller, unless a stricter limit has told it already.
    pub fn tell(&self, headers: &mut HeaderMap) {
        for (name, number) in [
            (LIMIT, u64::from(self.limit)),
            (REMAINING, u64::from(self.remaining)),
            (RESET, self.reset.as_secs_f64().ceil() as u64),
        ] {
            headers.entry(name).or_insert_with(|| HeaderValue::from(number));
        }
    }
}

impl Limits {
    /// Charges one request to a caller. `None`: there is no limit.
    ///
    /// # Errors
    /// `rate_limited` with the time until the bucket has room again.
    pub fn charge(&self, class: Class, caller: &Caller) -> Result<Option<Standing>, ApiError> {
        let Some(rate) = class.rate(caller) else { return Ok(None) };
        let limit = rate.count.get();
        // what is missing in the bucket comes back one by one
        let reset = |remaining: u32| rate.per.mul_f64(f64::from(limit - remaining.min(limit)) / f64::from(limit));
        let buckets = self.buckets(class, rate);
        let mut seats = buckets.seats();
        let bucket = seats.bucket_of(&caller.client);
        match buckets.governor.limiter().check_key(&bucket) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let next = if remaining > 0 { Duration::ZERO } else { each(rate) };
                let reset = reset(remaining);
                seats.fills(&bucket, Instant::now() + reset);
                Ok(Some(Standing { limit, remaining, reset, next }))
            }
            Err(refused) => Err(over(rate, refused.wait_time_from(DefaultClock::default().now()))),
        }
    }

    /// Forgets, until `shutdown`, callers whose buckets are full again; otherwise they would add up for ever.
    pub async fn tidy(&self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(FORGET);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let all: Vec<Arc<Buckets>> =
                self.buckets.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
            all.iter().for_each(|buckets| buckets.forget(Instant::now()));
        }
    }

    fn buckets(&self, class: Class, rate: Rate) -> Arc<Buckets> {
        let mut all = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let made = all.entry((class, rate.count, rate.per)).or_insert_with(|| {
            let config = GovernorConfigBuilder::default()
                .period(each(rate))
                .burst_size(rate.count.get())
                .key_extractor(ByCaller)
                .use_headers()
                .finish();
            let governor = config.expect("a rate is at least one, and a period longer than nothing");
            Arc::new(Buckets { governor, seats: Mutex::default() })
        });
        Arc::clone(made)
    }
}

impl Buckets {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, now: Instant) {
        self.seats().forget(now);
        self.governor.limiter().retain_recent();
    }
}

/// Layer: charges the request to its caller, or refuses it.
pub async fn limit(State((app, class)): State<(Arc<App>, Class)>, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>() else {
        return ApiError::new(Code::Internal).into_response();
    };
    match app.limits.charge(class, caller) {
        Ok(standing) => {
            let mut response = next.run(request).await;
            if let Some(standing) = standing {
                if let Some(refused) = response.extensions_mut().get_mut::<ApiError>() {
                    standing.agree(refused);
                }
                standing.tell(response.headers_mut());
            }
            response
        }
        Err(refused) => {
            app.metrics.saw_rate_limit(class);
            refused.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use haul_shared::cookies::Jars;
    use haul_shared::store::ClientLimits;

    use super::seats::{CROWDS, MOST, OF_A_SITE};
    use super::*;
    use crate::auth::Sight;
    use crate::config::Rates;

    fn caller(address: &str, downloads: Option<Rate>) -> Caller {
        Caller {
            client: ClientKey::of_address(address.parse().unwrap()),
            limits: ClientLimits { max_queued: None, max_running: None, weight: 1, rate: None, bytes_per_day: None },
            rates: Rates { metadata: None, downloads, reads: None },
            region: "default".parse().unwrap(),
            sight: Sight::All,
            key: None,
            allowance: Arc::default(),
            jars: Jars::All,
            signing: None,
        }
    }

    #[test]
    fn a_caller_has_its_burst_and_then_waits_and_nobody_waits_for_it() {
        let limits = Limits::default();
        let rate = "3/m".parse().ok();
        let one = caller("192.0.2.1", rate);
        for remaining in [2, 1, 0] {
            let standing = limits.charge(Class::Downloads, &one).unwrap().unwrap();
            assert_eq!((standing.limit, standing.remaining), (3, remaining));
        }
        let refused = limits.charge(Class::Downloads, &one).unwrap_err();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(limits.charge(Class::Downloads, &caller("192.0.2.2", rate)).is_ok());
        assert_eq!(limits.charge(Class::Metadata, &one).unwrap(), None);
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory_and_is_limited_all_the_same() {
        let limits = Limits::default();
        let rate: Rate = "3/h".parse().unwrap();
        let many = |at: u32| caller(&std::net::Ipv4Addr::from(at).to_string(), Some(rate));
        let allowed = (0..4 * MOST as u32).filter(|at| limits.charge(Class::Downloads, &many(*at)).is_ok());
        let (most_allowed, allowed) = (MOST + 3 * CROWDS as usize, allowed.count());
        assert!((MOST..=most_allowed).contains(&allowed), "{allowed}");
        let kept = limits.buckets(Class::Downloads, rate).governor.limiter().len();
        assert!(kept <= MOST + CROWDS as usize, "{kept}");
        for remaining in [1, 0] {
            let standing = limits.charge(Class::Downloads, &many(7)).unwrap().unwrap();
            assert_eq!(standing.remaining, remaining, "who came before has what it had");
        }
    }

    #[test]
    fn a_flood_from_one_site_takes_no_bucket_of_others() {
        let limits = Limits::default();
        let rate: Rate = "3/h".parse().unwrap();
        let is_let_in = |address: &str| limits.charge(Class::Downloads, &caller(address, Some(rate))).is_ok();
        assert!(is_let_in("192.0.2.1"));
        let flood = |site: u16| (0..=u16::MAX).filter(|at| is_let_in(&format!("2001:db8:{site:x}:{at:x}::1"))).count();
        assert_eq!(flood(1), OF_A_SITE + 3, "its clients have one bucket beside their own");
        assert_eq!(flood(2), OF_A_SITE + 3);
        assert!(is_let_in("2001:db8:1::2"), "a client of the site that has its own keeps it");
        for known_and_new in ["192.0.2.1", "192.0.2.2", "2001:db8:3::1"] {
            assert!(is_let_in(known_and_new) && is_let_in(known_and_new), "{known_and_new}");
        }
        let buckets = limits.buckets(Class::Downloads, rate);
        assert_eq!(buckets.governor.limiter().len(), 2 * OF_A_SITE + 5);
        buckets.forget(Instant::now() + rate.per);
        assert!(is_let_in("2001:db8:1:ffff::1"), "a place that is given up is there for others");
    }

    #[test]
    fn callers_with_another_rate_have_other_buckets() {
        let limits = Limits::default();
        let slow = caller("192.0.2.1", "1/h".parse().ok());
        limits.charge(Class::Downloads, &slow).unwrap();
        limits.charge(Class::Downloads, &slow).unwrap_err();
        limits.charge(Class::Downloads, &caller("192.0.2.1", "2/h".parse().ok())).unwrap();
    }
}
