//! The model of what workers and time do to the jobs of a shard.

use super::part::{Part, RunId};
use super::*;

impl Part {
    pub(super) fn beat(&mut self, lease: &Lease, percent: u8) -> Pulse {
        if self.named(lease.job).is_none() {
            return Pulse::Gone;
        }
        let Some(id) = self.owned(lease) else { return Pulse::Lost };
        match self.runs[&id].state {
            StateKind::Running => {}
            // its owner was only slow: what the lost lease took off and put on is undone
            StateKind::Queued | StateKind::Waiting => {
                self.leave(id);
                let run = self.run(id);
                run.state = StateKind::Running;
                run.attempt += 1;
                run.crashes -= 1;
            }
            _ => return Pulse::Lost,
        }
        let run = self.run(id);
        run.percent = Some(percent);
        if run.is_stopping { Pulse::Cancel } else { Pulse::Ok }
    }

    pub(super) fn reserve(&mut self, lease: &Lease, object: ObjectKey) -> Pulse {
        let Some(id) = self.runs_for(lease) else { return Pulse::Lost };
        if self.runs[&id].is_stopping {
            return Pulse::Cancel;
        }
        self.garbage.insert(object, false);
        Pulse::Ok
    }

    /// `None`: the lease was lost.
    pub(super) fn complete(&mut self, lease: &Lease, object: ObjectKey) -> Option<Done> {
        if self.told(lease, Action::Complete).is_some() {
            return Some(Done::Cancelled);
        }
        let id = self.owned(lease)?;
        match self.runs[&id].state {
            StateKind::Queued | StateKind::Waiting | StateKind::Running => {}
            StateKind::Completed => return Some(Done::Completed),
            StateKind::Failed | StateKind::Cancelled | StateKind::Expired => return None,
        }
        let is_stopping = self.runs[&id].is_stopping;
        self.garbage.insert(object.clone(), is_stopping);
        let run = self.run(id);
        if is_stopping {
            run.told = Some((Action::Complete, lease.fence, StateKind::Cancelled));
            self.end(id, StateKind::Cancelled);
            return Some(Done::Cancelled);
        }
        run.attempt += u32::from(run.state != StateKind::Running); // a lost lease had taken it off
        run.result = Some(object);
        run.percent = None;
        self.end(id, StateKind::Completed);
        Some(Done::Completed)
    }

    /// `None`: the lease was lost.
    pub(super) fn fail(&mut self, lease: &Lease, kind: FailureKind) -> Option<StateKind> {
        let Some(id) = self.runs_for(lease) else { return self.told(lease, Action::Fail) };
        let run = self.run(id);
        run.failure = Some(kind);
        let is_last = !kind.is_retryable() || run.attempt >= run.max_attempts;
        let order = run.order.clone();
        let state = self.give_up(id, Action::Fail, if is_last { StateKind::Failed } else { StateKind::Waiting });
        // whoever asks for what has just failed for good is told so at once
        if state == StateKind::Failed && !kind.is_retryable() {
            self.flights.insert(order, id);
        }
        Some(state)
    }

    pub(super) fn release(&mut self, lease: &Lease) {
        if let Some(id) = self.runs_for(lease) {
            self.run(id).unspend();
            self.give_up(id, Action::Release, StateKind::Queued);
        }
    }

    pub(super) fn defer(&mut self, lease: &Lease) {
        if let Some(id) = self.runs_for(lease) {
            self.run(id).unspend();
            self.give_up(id, Action::Defer, StateKind::Waiting);
        }
    }

    /// Its owner lets go of a run, and may not come back to it.
    fn give_up(&mut self, id: RunId, action: Action, to: StateKind) -> StateKind {
        let run = self.run(id);
        let to = if run.is_stopping { StateKind::Cancelled } else { to };
        run.told = Some((action, run.fence, to));
        run.fence.0 += 1;
        match to {
            StateKind::Queued => self.queue_again(id),
            StateKind::Waiting => self.wait(id),
            end => self.end(id, end),
        }
        to
    }

    /// A delay is over.
    pub(super) fn promote(&mut self, id: RunId) {
        self.queue_again(id);
    }

    /// A lease ran out.
    pub(super) fn reap(&mut self, id: RunId) {
        let run = self.run(id);
        run.crashes += 1;
        run.failure = Some(FailureKind::WorkerLost);
        if run.is_stopping {
            self.end(id, StateKind::Cancelled);
        } else if run.crashes == 3 {
            self.end(id, StateKind::Failed);
        } else {
            run.unspend();
            self.wait(id);
        }
    }

    /// A job outlived its time unfinished.
    pub(super) fn expire(&mut self, id: RunId) {
        let run = self.run(id);
        run.fence.0 += 1;
        let to = if run.is_stopping { StateKind::Cancelled } else { StateKind::Expired };
        self.end(id, to);
    }

    /// Results outlive their time: they are shared no more, and their objects may go.
    pub(super) fn outlive(&mut self) {
        self.flights.retain(|_, id| self.runs[id].state != StateKind::Completed);
        for run in self.runs.values_mut().filter(|run| run.state == StateKind::Completed) {
            run.is_outlived = true;
            if let Some(is_due) = run.result.as_ref().and_then(|object| self.garbage.get_mut(object)) {
                *is_due = true;
            }
        }
    }

    /// Neither results nor failures are shared any more.
    pub(super) fn stop_sharing_ends(&mut self) {
        self.flights.retain(|_, id| !self.runs[id].state.is_end());
    }

    /// What leads newcomers to jobs in these states.
    pub(super) fn shared(&self, states: &[StateKind]) -> Vec<Fingerprint> {
        let shared = self.flights.iter().filter(|(_, id)| states.contains(&self.runs[id].state));
        shared.map(|(order, _)| order.clone()).collect()
    }

    /// Removes the objects that are due.
    pub(super) fn sweep(&mut self) -> Vec<ObjectKey> {
        self.garbage.extract_if(|_, is_due| *is_due).map(|(object, _)| object).collect()
    }

    pub(super) fn end(&mut self, id: RunId, to: StateKind) {
        self.leave(id);
        self.run(id).state = to;
        if to != StateKind::Completed {
            self.stop_sharing(id);
        }
    }

    /// A job that was begun before goes before its client's others.
    fn queue_again(&mut self, id: RunId) {
        self.leave(id);
        self.run(id).state = StateKind::Queued;
        let run = &self.runs[&id];
        self.lines.enter(&run.lane, &run.owner, id, true);
    }

    fn wait(&mut self, id: RunId) {
        self.leave(id);
        self.run(id).state = StateKind::Waiting;
    }

    /// What leaving its state changes around a job.
    fn leave(&mut self, id: RunId) {
        let run = &self.runs[&id];
        match run.state {
            StateKind::Running => self.lines.come_back(&run.charged),
            StateKind::Queued => self.lines.leave(&run.lane, &run.owner, id),
            _ => {}
        }
    }

    pub(super) fn named(&self, job: JobId) -> Option<RunId> {
        self.runs.iter().find(|(_, run)| run.job == Some(job)).map(|(id, _)| *id)
    }

    fn owned(&self, lease: &Lease) -> Option<RunId> {
        self.named(lease.job).filter(|id| self.runs[id].fence == lease.fence)
    }

    /// The run that this lease holds.
    pub(super) fn runs_for(&self, lease: &Lease) -> Option<RunId> {
        self.owned(lease).filter(|id| self.runs[id].state == StateKind::Running)
    }

    /// What was told before to the same call with the same lease.
    fn told(&self, lease: &Lease, action: Action) -> Option<StateKind> {
        let (before, fence, state) = self.runs[&self.named(lease.job)?].told?;
        (before == action && fence == lease.fence).then_some(state)
    }
}
