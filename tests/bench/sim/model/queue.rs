//! The fair queue as its scripts have it (`lease.lua`, `prelude.lua`, `sites.lua`): a ring of clients per lane, ordered by
//! virtual time; those who run as much as they may are parked beside it.

use std::collections::{BTreeSet, HashMap, VecDeque};

/// Jobs put off, clients parked and empty lists passed over in one call.
const STEPS: u32 = 64;

/// One turn in this many, jobs that may wait go first.
const LOW_EVERY: u64 = 8;

/// A job, by its number.
pub(super) type JobId = usize;

/// Two lanes per region: of usual jobs, and of those that may wait.
pub(super) type LaneId = usize;

/// What the queue knows of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub client: usize,
    pub lane: LaneId,
    pub site: usize,
}

/// All lanes of a shard.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: Vec<Lane>,
    clients: Vec<Client>,
    running_by_way: HashMap<(usize, usize), u32>,
    client_running: Option<u32>,
    site_running: Option<u32>,
    /// Lanes of which a worker is to be woken.
    pub wakes: Vec<LaneId>,
}

#[derive(Debug, Default)]
struct Lane {
    ring: BTreeSet<(Turn, usize)>,
    stands: HashMap<usize, Stand>,
    virtual_time: f64,
}

/// A client's place in a lane.
#[derive(Debug, Default)]
struct Stand {
    jobs: VecDeque<JobId>,
    in_ring: bool,
}

#[derive(Debug, Default, Clone)]
struct Client {
    weight: f64,
    running: u32,
    /// Jobs that wait, in line or for their time.
    load: u32,
    parked: Vec<(LaneId, f64)>,
}

/// A virtual time; none is negative, so that their bits are in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn(u64);

/// What a call gives.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub jobs: Vec<JobId>,
    /// Jobs whose site runs as much as it may, each with the number of its client's waiting jobs.
    pub put_off: Vec<(JobId, u32)>,
    /// It gave up before it had seen all: it is to be asked again.
    pub has_more: bool,
}

impl Queue {
    pub fn new(lanes: usize, client_running: Option<u32>, site_running: Option<u32>) -> Self {
        let lanes = std::iter::repeat_with(Lane::default).take(lanes).collect();
        Self { lanes, client_running, site_running, ..Self::default() }
    }

    /// A job waits from now on, in line or for its time.
    pub fn wait(&mut self, place: Place, weight: u32) {
        if self.clients.len() <= place.client {
            self.clients.resize(place.client + 1, Client::default());
        }
        let client = &mut self.clients[place.client];
        client.weight = f64::from(weight);
        client.load += 1;
    }

    /// A job goes into line; one that was there before goes before its client's others.
    pub fn enter(&mut self, job: JobId, place: Place, at_head: bool) {
        let lane = &mut self.lanes[place.lane];
        let stand = lane.stands.entry(place.client).or_default();
        if at_head {
            stand.jobs.push_front(job);
        } else {
            stand.jobs.push_back(job);
        }
        let is_parked = self.clients[place.client].parked.iter().any(|(parked, _)| *parked == place.lane);
        if !is_parked && !stand.in_ring {
            stand.in_ring = true;
            lane.ring.insert((Turn::of(lane.virtual_time), place.client));
        }
        self.wakes.push(place.lane);
    }

    /// A running job runs no more.
    pub fn leave(&mut self, place: Place, egress: usize) {
        let client = &mut self.clients[place.client];
        client.running -= 1;
        for (at, turn) in std::mem::take(&mut client.parked) {
            let lane = &mut self.lanes[at];
            lane.stands.entry(place.client).or_default().in_ring = true;
            lane.ring.insert((Turn::of(turn.max(lane.virtual_time)), place.client));
            self.wakes.push(at);
        }
        if let Some(running) = self.running_by_way.get_mut(&(egress, place.site)) {
            *running -= 1;
        }
    }

    /// Gives at most `want` jobs to a worker that has taken `turns` before, lanes in order of preference.
    pub fn lease(
        &mut self,
        lanes: &[[LaneId; 2]],
        (egress, turns, want): (usize, u64, usize),
        place: impl Fn(JobId) -> Place,
    ) -> Given {
        let (mut given, mut steps, mut reached) = (Given::default(), 0, Vec::new());
        while given.jobs.len() < want {
            let low_first = (turns + given.jobs.len() as u64 + 1).is_multiple_of(LOW_EVERY);
            let order = |pair: &[LaneId; 2]| if low_first { [pair[1], pair[0]] } else { *pair };
            let next = lanes.iter().flat_map(order).find_map(|lane| {
                let (job, turn) = self.take(lane, egress, &mut steps, &mut given.put_off, &place)?;
                Some((lane, job, turn))
            });
            let Some((lane, job, turn)) = next else { break };
            reached.push((lane, turn));
            given.jobs.push(job);
        }
        for (lane, turn) in reached {
            self.lanes[lane].virtual_time = turn;
        }
        given.has_more = steps >= STEPS;
        given
    }

    /// Does somebody stand in a lane?
    pub fn has_work(&self, lane: LaneId) -> bool {
        !self.lanes[lane].ring.is_empty()
    }

    fn take(
        &mut self,
        at: LaneId,
        egress: usize,
        steps: &mut u32,
        put_off: &mut Vec<(JobId, u32)>,
        place: impl Fn(JobId) -> Place,
    ) -> Option<(JobId, f64)> {
        while *steps < STEPS {
            let lane = &mut self.lanes[at];
            let (turn, number) = lane.ring.pop_first()?;
            let client = &mut self.clients[number];
            let stand = lane.stands.get_mut(&number).expect("who is in the ring has a stand");
            if self.client_running.is_some_and(|limit| client.running >= limit) {
                stand.in_ring = false;
                client.parked.push((at, turn.value()));
            } else if let Some(job) = stand.jobs.pop_front() {
                let way = (egress, place(job).site);
                let runs = self.running_by_way.entry(way).or_default();
                let is_full = self.site_running.is_some_and(|limit| *runs >= limit);
                // being put off costs a little of a turn
                let cost = if is_full { 1.0 / 16.0 } else { 1.0 };
                lane.ring.insert((Turn::of(turn.value() + cost / client.weight), number));
                if !is_full {
                    *runs += 1;
                    client.running += 1;
                    client.load -= 1;
                    return Some((job, turn.value()));
                }
                put_off.push((job, client.load));
            } else {
                lane.stands.remove(&number);
            }
            *steps += 1;
        }
        None
    }
}

impl Turn {
    fn of(value: f64) -> Self {
        Self(value.to_bits())
    }

    fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}
