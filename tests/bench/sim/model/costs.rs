//! Calls of Redis, and what each costs it. What they cost is measured (`sim::calibrate`), how many there are is counted.

use std::ops::{Add, Mul};

use serde::{Deserialize, Serialize};

macro_rules! calls {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal;)*) => {
        /// A kind of call, or a part of one whose size varies.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Call {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Call {
            /// All kinds.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$name),*];

            /// Its name: a script, or a command of Redis.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

calls! {
    /// An order is taken in.
    Submit = "submit";
    /// A worker asks for jobs; what is given comes on top of it.
    Lease = "lease";
    /// One job that such a call gives.
    Leased = "lease, per job";
    /// A worker renews its leases; each job comes on top of it.
    Beat = "heartbeat";
    /// One job of such a call.
    Beaten = "heartbeat, per job";
    /// An object is about to be written.
    Reserve = "reserve";
    /// A job has its result.
    Complete = "complete";
    /// A thumbnail is there.
    Thumbnail = "thumbnail";
    /// An attempt failed.
    Fail = "fail";
    /// A worker says that it is there.
    Announce = "announce";
    /// A worker waits for a wake token.
    Pop = "BLPOP";
    /// An API looks at what is due.
    Tend = "tend";
    /// One job that such a look puts back in line, or takes from a worker that is lost.
    Tended = "tend, per job";
    /// An API would have looked, at that or at how a new yt-dlp does, and another has had the turn.
    Turn = "another's turn";
    /// An API asks whether it is time to audit some jobs.
    Audit = "audit";
    /// One job that is audited.
    Audited = "audit, per job";
    /// An API looks how a new yt-dlp does, if there is one.
    Trial = "trial";
    /// An API looks for regions without workers.
    Lanes = "SMEMBERS";
    /// An API reads a job.
    Look = "look";
    /// An API asks whether what it keeps of a job is still so.
    Peek = "BITFIELD_RO";
    /// An API that has somebody to tell hears of a change.
    Heard = "a message, per API";
    /// A worker takes messages that are to be sent to webhooks.
    Tell = "tell";
    /// A worker says what became of one.
    Told = "told";
}

/// What a call costs Redis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Commands, those inside a script included.
    pub commands: f64,
    /// Bytes that Redis receives.
    pub in_bytes: f64,
    /// Bytes that it sends, to subscribers as well.
    pub out_bytes: f64,
    /// Microseconds of its processor.
    pub cpu_us: f64,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            commands: self.commands + other.commands,
            in_bytes: self.in_bytes + other.in_bytes,
            out_bytes: self.out_bytes + other.out_bytes,
            cpu_us: self.cpu_us + other.cpu_us,
        }
    }
}

impl Mul<f64> for Cost {
    type Output = Self;

    fn mul(self, times: f64) -> Self {
        Self {
            commands: self.commands * times,
            in_bytes: self.in_bytes * times,
            out_bytes: self.out_bytes * times,
            cpu_us: self.cpu_us * times,
        }
    }
}

/// Calls of each kind.
pub type Calls = [f64; Call::ALL.len()];

/// What each kind costs.
///
/// Of the processor a call takes most when Redis slept before it (it has to be woken, its caches are cold, and it alone pays for
/// a look at all connections and for a write to the log), and least when the next call waits already. How far between the two
/// it lies depends on how busy Redis is: nought of the way while it is as good as idle, all of it when it is full.
#[derive(Debug, Clone, PartialEq)]
pub struct Costs {
    alone: [Cost; Call::ALL.len()],
    crowded_us: Calls,
    idle_us: f64,
    warmth: Vec<(f64, f64)>,
}

impl Costs {
    /// As a measurement has it of each: what it costs alone, and the microseconds that it takes when others wait already.
    /// `idle_us`: what Redis takes in a second in which it is asked nothing. `warmth`: how far between the two calls lie, at
    /// shares of a core that grow.
    #[must_use]
    pub fn of(idle_us: f64, warmth: Vec<(f64, f64)>, mut cost: impl FnMut(Call) -> (Cost, f64)) -> Self {
        let both = Call::ALL.map(&mut cost);
        // nothing costs less for coming alone, but for the error of its measurement
        let alone = both.map(|(alone, crowded)| Cost { cpu_us: alone.cpu_us.max(crowded), ..alone });
        Self { alone, crowded_us: both.map(|(_, crowded)| crowded), idle_us, warmth }
    }

    /// Of one call that comes alone.
    #[must_use]
    pub fn one(&self, call: Call) -> Cost {
        self.alone[call as usize]
    }

    /// Microseconds of one call in a crowd.
    #[must_use]
    pub fn crowded_us(&self, call: Call) -> f64 {
        self.crowded_us[call as usize]
    }

    /// Microseconds that Redis takes for a call while it is busy for this share of the time.
    #[must_use]
    pub fn one_us(&self, call: Call, busy: f64) -> f64 {
        let (alone, crowded) = (self.one(call).cpu_us, self.crowded_us(call));
        (alone + (crowded - alone) * self.warmth(busy)).max(0.0)
    }

    /// The same of many.
    #[must_use]
    pub fn all_us(&self, calls: &Calls, busy: f64) -> f64 {
        Call::ALL.into_iter().map(|call| self.one_us(call, busy) * calls[call as usize]).sum()
    }

    /// The share of a core that is busy with these calls in a second: the one at which they cost just that much. Above one there
    /// are more than Redis can answer.
    #[must_use]
    pub fn busy(&self, calls_per_second: &Calls) -> f64 {
        let at = |busy: f64| (self.idle_us + self.all_us(calls_per_second, busy)) / 1e6;
        // the busier, the less they cost: there is one such share
        let (mut less, mut more) = (0.0, at(0.0));
        for _ in 0..60 {
            let middle = f64::midpoint(less, more);
            if at(middle) > middle { less = middle } else { more = middle }
        }
        more
    }

    /// What these calls cost in so many seconds, with what Redis takes by itself.
    #[must_use]
    pub fn all(&self, calls: &Calls, seconds: f64) -> Cost {
        let parts = Call::ALL.into_iter().map(|call| self.one(call) * calls[call as usize]);
        let sum = parts.fold(Cost::default(), |sum, part| sum + part);
        if seconds <= 0.0 {
            return sum;
        }
        Cost { cpu_us: self.busy(&calls.map(|count| count / seconds)) * seconds * 1e6, ..sum }
    }

    /// Microseconds that Redis takes in a second in which it is asked nothing.
    #[must_use]
    pub fn idle_us(&self) -> f64 {
        self.idle_us
    }

    /// How far between alone and in a crowd: along the logarithm of the share between two that were measured.
    fn warmth(&self, busy: f64) -> f64 {
        let at = self.warmth.partition_point(|(known, _)| *known <= busy);
        match (at.checked_sub(1).map(|before| self.warmth[before]), self.warmth.get(at)) {
            (Some((from, less)), Some((to, more))) => less + (more - less) * (busy / from).ln() / (to / from).ln(),
            (Some((_, most)), None) => most,
            (None, first) => first.map_or(0.0, |(_, least)| *least),
        }
    }
}
