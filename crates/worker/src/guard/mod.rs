//! The egress guard: what leaves for an address that a stranger named passes through it, and nothing else does.
//!
//! One [`Guard`] for each attempt at a job, and for each look at metadata. It judges every host when it is dialled and
//! dials the judged literal, counts bytes, connections and questions, and holds them to their [`Caps`]. Our own fetchers
//! dial by it; programs are told of a proxy on loopback that it serves ([`Guard::address`], [`Guard::serve`]). What it
//! refuses it remembers as data: why a job failed is read from there, not from the words of a program
//! ([`Guard::explain`]).
//!
//! Not here: what is public (`shared::egress`), what is asked for and how often (`relay`, `segments`, `small`, `ytdlp`),
//! that a program reaches nothing but the guard (`process`).

mod caps;
mod client;
mod counts;
mod dial;
mod exchange;
pub mod head;
mod pace;
mod refusal;
mod serve;
mod stream;
mod strict;
mod tunnel;
mod upstream;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use haul_shared::egress::{Denied, EgressPolicy};
use haul_shared::job::{Failure, FailureKind};
use haul_shared::source::SourceUrl;
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, ClientConfig};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use caps::Caps;
pub(crate) use caps::HEAD_WITHIN;
pub(crate) use client::Kept;
pub use counts::Counts;
pub(crate) use dial::NotDialled;
pub use refusal::Refusal;
pub(crate) use stream::{Seat, Stream};
pub use upstream::Upstream;

/// Names that one guard looks up at once: each holds a thread for as long as the resolver takes.
const MOST_LOOKUPS: usize = 8;

/// The certificates of this machine could not be read.
#[derive(Debug, thiserror::Error)]
#[error("there is no way to check certificates")]
pub struct NoTrust(#[from] rustls::Error);

/// Makes guards, all by the same rules. A clone is cheap.
#[derive(Clone)]
pub struct Guards(Arc<Rules>);

#[derive(Clone)]
struct Rules {
    policy: EgressPolicy,
    caps: Caps,
    upstream: Option<Upstream>,
    tls: TlsConnector,
    counts: Counts,
    found_at: Option<SocketAddr>,
}

impl Guards {
    /// That let pass what `policy` allows, within `caps`, and trust whom this machine trusts.
    ///
    /// # Errors
    /// [`NoTrust`].
    pub fn new(policy: EgressPolicy, caps: Caps) -> Result<Self, NoTrust> {
        Ok(Self::trusting(policy, caps, ClientConfig::with_platform_verifier()?))
    }

    /// The same, with a trust of its own.
    #[must_use]
    pub fn trusting(policy: EgressPolicy, caps: Caps, tls: ClientConfig) -> Self {
        let tls = TlsConnector::from(Arc::new(tls));
        Self(Arc::new(Rules { policy, caps, upstream: None, tls, counts: Counts::default(), found_at: None }))
    }

    /// The same, that go through the operator's proxy, if there is one.
    #[must_use]
    pub fn through(self, upstream: Option<Upstream>) -> Self {
        let rules = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Rules { upstream, ..rules }))
    }

    /// The same, that programs find at this address, whose listeners somebody else makes and gives to [`Guard::serve`].
    /// `None`: each makes its own.
    #[must_use]
    pub fn found_at(self, found_at: Option<SocketAddr>) -> Self {
        let rules = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Rules { found_at, ..rules }))
    }

    /// What all of them count.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// A guard for what ends when this is cancelled, or when the guard is dropped.
    #[must_use]
    pub fn attempt(&self, cancel: &CancellationToken) -> Guard {
        self.within(self.0.caps, cancel)
    }

    /// The same for a look at metadata.
    #[must_use]
    pub fn look(&self, cancel: &CancellationToken) -> Guard {
        self.within(self.0.caps.for_a_look(), cancel)
    }

    /// The same for a message that somebody wants to be sent.
    #[must_use]
    pub fn message(&self, cancel: &CancellationToken) -> Guard {
        self.within(self.0.caps.for_a_message(), cancel)
    }

    fn within(&self, caps: Caps, cancel: &CancellationToken) -> Guard {
        let stop = cancel.child_token();
        let open = Arc::new(stop.clone().drop_guard());
        let inner = Inner {
            rules: Arc::clone(&self.0),
            caps,
            seats: Arc::new(Semaphore::new(caps.connections)),
            stop,
            received: AtomicU64::new(0),
            written_off: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            sent_by_programs: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            more_requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            first: Mutex::new(None),
            lookups: Arc::new(Semaphore::new(MOST_LOOKUPS)),
            is_slow: AtomicBool::new(false),
            is_unreached: AtomicBool::new(false),
            is_unresolved: AtomicBool::new(false),
            is_without_proxy: AtomicBool::new(false),
            address: Mutex::new(self.0.found_at),
        };
        Guard { inner: Arc::new(inner), is_optional: false, _open: Some(open) }
    }
}

/// The policy is all that is shown: a proxy has a password.
impl std::fmt::Debug for Guards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guards").field("policy", &self.0.policy).finish_non_exhaustive()
    }
}

struct Inner {
    rules: Arc<Rules>,
    caps: Caps,
    seats: Arc<Semaphore>,
    /// Cancelled when nothing may pass any more.
    stop: CancellationToken,
    received: AtomicU64,
    /// Of what was received, what is not held against the cap.
    written_off: AtomicU64,
    sent: AtomicU64,
    sent_by_programs: AtomicU64,
    /// How often a program was told something after it had asked.
    answers: AtomicU64,
    requests: AtomicU64,
    more_requests: AtomicU64,
    refused: AtomicU64,
    first: Mutex<Option<Refusal>>,
    /// Names that are looked up.
    lookups: Arc<Semaphore>,
    is_slow: AtomicBool,
    /// Somebody wanted to go where nobody answers.
    is_unreached: AtomicBool,
    /// The name of where somebody wanted to go has no address.
    is_unresolved: AtomicBool,
    /// The operator's proxy did not do its work.
    is_without_proxy: AtomicBool,
    address: Mutex<Option<SocketAddr>>,
}

/// What has passed one guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Bytes that came.
    pub received_bytes: u64,
    /// Bytes that were sent.
    pub sent_bytes: u64,
    /// Questions and tunnels.
    pub requests: u64,
    /// How often something was refused.
    pub refused: u64,
}

/// The guard of one attempt. Clones are the same guard; when all are dropped, its listeners and tunnels end.
#[derive(Clone)]
pub struct Guard {
    inner: Arc<Inner>,
    /// What is refused to this handle is counted, and is no reason for a failure.
    is_optional: bool,
    /// `None`: held by what the guard itself serves, which is not to keep it.
    _open: Option<Arc<DropGuard>>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("tally", &self.tally()).finish_non_exhaustive()
    }
}

impl Guard {
    /// The same guard for something that the job can do without: a picture, a text. Caps and counts are shared.
    #[must_use]
    pub fn for_what_is_optional(&self) -> Self {
        Self { is_optional: true, ..self.clone() }
    }

    /// Cancelled with the attempt, and when a cap was reached: whatever is still at work then works in vain.
    #[must_use]
    pub fn stop_token(&self) -> &CancellationToken {
        &self.inner.stop
    }

    /// Judges an address as far as its text goes; what its name leads to is judged when it is dialled.
    ///
    /// # Errors
    /// Why it may not be reached.
    pub fn judge(&self, url: &SourceUrl) -> Result<(), Denied> {
        self.inner.rules.policy.judge_url(url).inspect_err(|denied| self.refuse(Refusal::Denied(*denied)))
    }

    /// Where programs find the guard; from now on it listens there. A free port of loopback, unless
    /// [`Guards::found_at`] has said another.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let mut address = self.inner.address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = *address {
            return Ok(address);
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        self.serve(TcpListener::from_std(listener)?);
        *address = Some(bound);
        Ok(bound)
    }

    /// Serves a listener as the proxy of this attempt, until the guard ends. To be called on a runtime.
    pub fn serve(&self, listener: TcpListener) {
        tokio::spawn(serve::serve(self.for_what_is_served(), listener));
    }

    /// What has passed so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let Inner { received, sent, requests, refused, .. } = &*self.inner;
        Tally {
            received_bytes: read(received),
            sent_bytes: read(sent),
            requests: read(requests),
            refused: read(refused),
        }
    }

    /// Tells from anywhere how many bytes have come.
    pub fn received(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let inner = Arc::clone(&self.inner);
        move || inner.received.load(Ordering::Relaxed)
    }

    /// What was refused first, of what a job needs.
    #[must_use]
    pub fn refused(&self) -> Option<Refusal> {
        let is_slow = self.inner.is_slow.load(Ordering::Relaxed);
        let first = *self.first();
        first.or_else(|| is_slow.then_some(Refusal::Slow))
    }

    /// What came so far was in vain, and is fetched by another way: it is not held against the cap of bytes, and why it did
    /// not come is no reason any more. To be called by whoever decides that, a bounded number of times.
    pub fn begin_anew(&self) {
        self.inner.written_off.store(self.inner.received.load(Ordering::Relaxed), Ordering::Relaxed);
        self.has_done_without();
    }

    /// A step has come to its end in spite of what was refused to it: that is no reason for what fails later.
    pub fn has_done_without(&self) {
        self.inner.is_slow.store(false, Ordering::Relaxed);
        self.inner.is_unreached.store(false, Ordering::Relaxed);
        self.inner.is_unresolved.store(false, Ordering::Relaxed);
        self.inner.is_without_proxy.store(false, Ordering::Relaxed);
        self.first().take_if(|refusal| !refusal.ends_all());
    }

    /// Why the job has really failed: what a program says of a refusal is guesswork.
    #[must_use]
    pub fn explain(&self, failure: Failure) -> Failure {
        let told = |kind, why: &dyn std::fmt::Display| {
            Failure::new(kind, format!("{why} ({})", failure.detail)).after(failure.retry_after)
        };
        if let Some(refusal) = self.refused()
            && refusal.kind() != failure.kind
            && refusal.explains(failure.kind)
        {
            return told(refusal.kind(), &refusal);
        }
        // that its proxy does not answer is what a program says of us
        match failure.kind {
            FailureKind::Internal | FailureKind::Network if self.is(&self.inner.is_without_proxy) => {
                told(FailureKind::Internal, &"the proxy of HAUL_PROXY does not do its work")
            }
            FailureKind::Internal if self.is(&self.inner.is_unreached) => {
                told(FailureKind::Network, &"a host could not be reached")
            }
            _ => failure,
        }
    }

    fn is(&self, flag: &AtomicBool) -> bool {
        flag.load(Ordering::Relaxed)
    }

    /// A handle that does not keep the guard.
    fn for_what_is_served(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), is_optional: self.is_optional, _open: None }
    }

    /// Counts and remembers it; ends everything where no more may pass.
    fn refuse(&self, refusal: Refusal) {
        self.inner.refused.fetch_add(1, Ordering::Relaxed);
        self.inner.rules.counts.refused(refusal);
        tracing::debug!(reason = refusal.word(), "the guard refuses: {refusal}");
        if refusal.ends_all() || !self.is_optional {
            match refusal {
                Refusal::Slow => self.inner.is_slow.store(true, Ordering::Relaxed),
                refusal if refusal.is_of_the_job() => drop(self.first().get_or_insert(refusal)),
                _ => {}
            }
        }
        if refusal.ends_all() {
            self.inner.stop.cancel();
        }
    }

    fn first(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.inner.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For what is asked over TLS by ourselves.
    pub(crate) fn tls(&self) -> &TlsConnector {
        &self.inner.rules.tls
    }
}
