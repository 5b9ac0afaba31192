//! What a group of processes spends: CPU seconds, memory, bytes that it makes the disk write.
//!
//! A group is some processes and all that descend from them, found in `/proc` every 50 milliseconds.
//!
//! - CPU: the times of `proc_pid_stat(5)`, those of reaped children with them, at the end less at the beginning. A process
//!   that died and was waited for by nobody (its parent ignores such deaths) counts with what was last seen of it.
//! - Memory: the most that the proportional set sizes of all of them came to at any look. A page that several share counts once.
//! - Written: `write_bytes` of `proc_pid_io(5)`, which counts a page when it becomes dirty. `wchar` would count sockets.
//!   `cancelled_write_bytes` is not taken off: it tells what was deleted before the disk had it, which is luck.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Between two looks at the memory after the first second: each costs the kernel a walk through all of it.
const LOOK_AT_MEMORY: Duration = Duration::from_millis(250);

/// USER_HZ, the same on every architecture that matters here.
const TICKS_PER_SECOND: f64 = 100.0;

/// What was spent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// CPU seconds, of user and system.
    pub cpu_seconds: f64,
    /// Most memory at once, in bytes.
    pub peak_bytes: u64,
    /// Bytes that became dirty in files.
    pub written_bytes: u64,
}

/// A process of the system, told apart from a later one with the same number by when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Id {
    pid: i32,
    began: u64,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    parent: i32,
    own_ticks: u64,
    children_ticks: u64,
    /// Its reaped children's with it, as the kernel has it.
    written: u64,
}

impl Look {
    fn ticks(&self) -> u64 {
        self.own_ticks + self.children_ticks
    }
}

/// Watches a group until it is told to stop.
pub struct Meter {
    stop: SyncSender<()>,
    thread: JoinHandle<Spent>,
}

impl Meter {
    /// Watches processes that were there before: what they spent so far does not count.
    #[must_use]
    pub fn of_running(roots: Vec<i32>) -> Self {
        let before = total(&look(&roots, &HashSet::new()));
        Self::watch(roots, before)
    }

    /// Watches a process that was just started: all that it spends counts.
    #[must_use]
    pub fn of_started(root: i32) -> Self {
        Self::watch(vec![root], (0, 0))
    }

    fn watch(roots: Vec<i32>, before: (u64, u64)) -> Self {
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let (began, mut group) = (Instant::now(), Group::default());
            let mut memory_seen = None;
            loop {
                group.look(&roots);
                let is_due =
                    |seen: Instant| began.elapsed() < Duration::from_secs(1) || seen.elapsed() >= LOOK_AT_MEMORY;
                if memory_seen.is_none_or(is_due) {
                    group.peak_bytes = group.peak_bytes.max(group.memory());
                    memory_seen = Some(Instant::now());
                }
                if stopped.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                    group.look(&roots);
                    return group.spent(before);
                }
            }
        });
        Self { stop, thread }
    }

    /// What was spent until now. A program that has ended must not have been waited for yet.
    ///
    /// # Errors
    /// Never, unless the watching thread panicked.
    pub fn finish(self) -> Result<Spent> {
        let _gone = self.stop.send(());
        self.thread.join().map_err(|_| anyhow!("the meter broke"))
    }
}

#[derive(Default)]
struct Group {
    seen: HashMap<Id, Look>,
    /// Ticks and bytes of those whose death nobody waited for.
    lost: (u64, u64),
    peak_bytes: u64,
}

impl Group {
    fn look(&mut self, roots: &[i32]) {
        let now = look(roots, &self.seen.keys().copied().collect());
        let gone: HashMap<Id, Look> =
            self.seen.iter().filter(|(id, _)| !now.contains_key(id)).map(|(id, look)| (*id, *look)).collect();
        // what a reaped one spent shows up at the next ancestor that lives
        let mut expected: HashMap<i32, (u64, u64, u64)> = HashMap::new();
        for look in gone.values() {
            let mut heir = look.parent;
            while let Some((_, parent)) = gone.iter().find(|(id, _)| id.pid == heir) {
                heir = parent.parent;
            }
            let sum = expected.entry(heir).or_default();
            *sum = (sum.0 + look.ticks(), sum.1 + look.written, sum.2 + 1);
        }
        for (heir, (ticks, written, count)) in expected {
            let inherited = |looks: &HashMap<Id, Look>| {
                looks.iter().find(|(id, _)| id.pid == heir).map(|(_, look)| look.children_ticks)
            };
            let rise = inherited(&now).unwrap_or_default().saturating_sub(inherited(&self.seen).unwrap_or_default());
            // the kernel rounds each down to a tick
            if rise + count < ticks {
                self.lost = (self.lost.0 + ticks, self.lost.1 + written);
            }
        }
        self.seen = now;
    }

    fn memory(&self) -> u64 {
        self.seen.keys().filter_map(|id| proportional(id.pid)).sum()
    }

    fn spent(&self, before: (u64, u64)) -> Spent {
        let (ticks, written) = total(&self.seen);
        let ticks = (ticks + self.lost.0).saturating_sub(before.0);
        Spent {
            cpu_seconds: ticks as f64 / TICKS_PER_SECOND,
            peak_bytes: self.peak_bytes,
            written_bytes: (written + self.lost.1).saturating_sub(before.1),
        }
    }
}

/// Kills a process and all that descend from it.
pub fn kill_all(root: i32) {
    let mut found: Vec<i32> = look(&[root], &HashSet::new()).into_keys().map(|id| id.pid).collect();
    // the root first, so that it starts nothing more
    found.sort_by_key(|pid| *pid != root);
    for pid in found.into_iter().filter_map(Pid::from_raw) {
        let _gone = kill_process(pid, Signal::KILL);
    }
}

/// All processes of a group: the roots, what descends from them, and those known before that still live elsewhere.
fn look(roots: &[i32], known: &HashSet<Id>) -> HashMap<Id, Look> {
    let mut found = HashMap::new();
    let mut next: Vec<i32> = roots.to_vec();
    next.extend(known.iter().filter(|id| read(id.pid).is_some_and(|(now, _)| now == **id)).map(|id| id.pid));
    while let Some(pid) = next.pop() {
        let Some((id, look)) = read(pid) else { continue };
        if found.insert(id, look).is_none() {
            next.extend(children(pid));
        }
    }
    found
}

fn total(looks: &HashMap<Id, Look>) -> (u64, u64) {
    looks.values().fold((0, 0), |sum, look| (sum.0 + look.ticks(), sum.1 + look.written))
}

fn read(pid: i32) -> Option<(Id, Look)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name may hold anything, so what comes after its last bracket counts; the first of these fields is number 3
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).and_then(|value| value.parse().ok());
    let look = Look {
        parent: fields.get(1)?.parse().ok()?,
        own_ticks: number(14)? + number(15)?,
        children_ticks: number(16)? + number(17)?,
        written: written.unwrap_or_default(),
    };
    Some((Id { pid, began: number(22)? }, look))
}

fn children(parent: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

fn proportional(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}
