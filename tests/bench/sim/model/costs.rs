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
    /// An API asks whether it is time to audit some jobs.
    Audit = "audit";
    /// One job that is audited.
    Audited = "audit, per job";
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

/// What each kind costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Costs([Cost; Call::ALL.len()]);

impl Costs {
    /// As a measurement has it of each.
    #[must_use]
    pub fn of(cost: impl FnMut(Call) -> Cost) -> Self {
        Self(Call::ALL.map(cost))
    }

    /// Of one call.
    #[must_use]
    pub fn one(&self, call: Call) -> Cost {
        self.0[call as usize]
    }
}
