//! The clocks of a run: the wall clock, silence, the slowest pace, and whoever cancels it.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::{Ended, Watch};

/// Between two looks at the silence clock.
const LOOK: Duration = Duration::from_secs(1);

/// Something to judge: an end, or the time for a look.
pub(crate) struct Turn(Option<Ended>);

/// When was the last sign of life, and is the pace kept?
pub(crate) struct Clock<'a> {
    watch: &'a Watch,
    end: Instant,
    ticks: Interval,
    looked: Instant,
    last_sign: Instant,
    bytes: u64,
    /// Bytes since the beginning of this window; `None` until there are any.
    window: Option<(Instant, u64)>,
}

impl<'a> Clock<'a> {
    /// Begins now. To be called on a runtime.
    pub(crate) fn new(watch: &'a Watch) -> Self {
        let now = Instant::now();
        let mut ticks = interval(LOOK.min(watch.silence));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { watch, end: now + watch.wall, ticks, looked: now, last_sign: now, bytes: 0, window: None }
    }

    /// For something that is under way already: its pace counts from now on, beginning with what there is now. To be
    /// called where the activity may be asked without waiting.
    pub(crate) fn of_running(watch: &'a Watch) -> Self {
        let clock = Self::new(watch);
        let bytes = watch.activity.as_ref().map_or(0, |activity| activity());
        Self { bytes, window: Some((clock.last_sign, 0)), ..clock }
    }

    pub(crate) fn sign_of_life(&mut self) {
        self.last_sign = Instant::now();
    }

    /// Waits until there is something to [`judge`](Self::judge). May be dropped and called again.
    pub(crate) async fn turn(&mut self) -> Turn {
        tokio::select! {
            biased;
            () = self.watch.cancel.cancelled() => Turn(Some(Ended::Cancelled)),
            () = sleep_until(self.end) => Turn(Some(Ended::TimedOut)),
            _ = self.ticks.tick() => Turn(None),
        }
    }

    /// Why the run must end, if it must. Not to be dropped half-way: whoever talks without a pause would never be looked at.
    pub(crate) async fn judge(&mut self, turn: Turn) -> Option<Ended> {
        match turn {
            Turn(Some(cause)) => Some(cause),
            Turn(None) => self.look().await,
        }
    }

    /// Counts the activity, and says why the run must end.
    async fn look(&mut self) -> Option<Ended> {
        if let Some(activity) = self.watch.activity.clone() {
            let bytes = tokio::task::spawn_blocking(move || activity()).await.unwrap_or(self.bytes);
            self.count(bytes);
        }
        let now = Instant::now();
        if self.watch.is_waiting.as_ref().is_some_and(|is_waiting| is_waiting()) {
            // the wall clock alone goes on; what the others have counted stays
            let stood_still = now - self.looked;
            self.last_sign = now.min(self.last_sign + stood_still);
            self.window = self.window.map(|(since, grown)| (since + stood_still, grown));
            self.looked = now;
            return None;
        }
        self.looked = now;
        if now - self.last_sign >= self.watch.silence {
            return Some(Ended::Silent);
        }
        let (pace, (since, grown)) = self.watch.slowest.zip(self.window)?;
        if now - since < pace.window {
            return None;
        }
        self.window = Some((now, 0));
        (grown < pace.bytes).then_some(Ended::Slow)
    }

    fn count(&mut self, bytes: u64) {
        // it also shrinks, when parts are joined: only growth counts
        let growth = bytes.saturating_sub(self.bytes);
        self.bytes = bytes;
        if growth > 0 {
            self.last_sign = Instant::now();
            let (since, grown) = self.window.unwrap_or((self.last_sign, 0));
            self.window = Some((since, grown + growth));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::process::{Pace, Waiting};

    /// Whether somebody waits, so many seconds after the beginning.
    type Waits = Box<dyn Fn(u64) -> bool + Send + Sync>;

    /// Fault: a job that waited for a seat at a busy host had stalled.
    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_turn_is_neither_silent_nor_slow_and_ends_with_the_wall_clock() {
        let slowest = Some(Pace { bytes: 30 << 10, window: Duration::from_secs(30) });
        let waits_for = |seconds: u64| move |now: u64| now < seconds;
        let at_times = |now: u64| now.is_multiple_of(10);
        let table: [(Waits, Ended, _); 3] = [
            (Box::new(waits_for(300)), Ended::Slow, 329..=331),
            (Box::new(waits_for(600)), Ended::TimedOut, 400..=400),
            // Fault: who was seen waiting once in half a minute was never slow.
            (Box::new(at_times), Ended::Slow, 32..=36),
        ];
        for (waits, ended, after) in table {
            let watch = Watch::new(Duration::from_secs(400), Duration::from_secs(120), CancellationToken::new());
            let began = Instant::now();
            let is_waiting: Waiting = Arc::new(move || waits(began.elapsed().as_secs()));
            let watch = Watch { activity: Some(Arc::new(|| 0)), slowest, is_waiting: Some(is_waiting), ..watch };
            assert_eq!(end_of(&watch).await, ended);
            assert!(after.contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        }
    }

    async fn end_of(watch: &Watch) -> Ended {
        let mut clock = Clock::of_running(watch);
        loop {
            let turn = clock.turn().await;
            if let Some(ended) = clock.judge(turn).await {
                return ended;
            }
        }
    }

    /// Fault: what had arrived before counted as the pace of the first half of a minute.
    #[tokio::test(start_paused = true)]
    async fn of_what_is_under_way_the_first_half_of_a_minute_is_judged() {
        let watch = Watch::new(Duration::from_secs(600), Duration::from_secs(120), CancellationToken::new());
        let slowest = Some(Pace { bytes: 30 << 10, window: Duration::from_secs(30) });
        let watch = Watch { activity: Some(Arc::new(|| 5 << 20)), slowest, ..watch };
        let began = Instant::now();
        assert_eq!((end_of(&watch).await, began.elapsed().as_secs()), (Ended::Slow, 30));
    }
}
