//! What queueing theory says of a queue that it can say something of.

use std::time::Duration;

/// Mean wait in an M/M/c queue: orders come so often per second, independently; work takes so long on average, without memory;
/// and so many `servers` share one line (Erlang, 1917). None: they cannot keep up.
#[must_use]
pub fn erlang_c(per_second: f64, service: Duration, servers: u32) -> Option<Duration> {
    let offered = per_second * service.as_secs_f64();
    let spare = f64::from(servers) - offered;
    if spare <= 0.0 {
        return None;
    }
    // Erlang's loss formula by its recurrence, which does not overflow as powers and factorials do
    let blocked = (1..=servers).fold(1.0, |blocked, n| offered * blocked / (f64::from(n) + offered * blocked));
    let waits = blocked * f64::from(servers) / (spare + offered * blocked);
    Some(service.mul_f64(waits / spare))
}
