//! What was made last, kept in memory of bounded size.
//!
//! For what is asked for far more often than it is made: a look costs one lock and one hash. Not here: values with a
//! life of their own, or that are made once for all who wait (that is `moka`).

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The entries kept last, at least the newest `most` and at most twice as many. Being looked at makes none newer.
#[derive(Debug)]
pub struct Recent<K, V> {
    most: usize,
    generations: Mutex<Generations<K, V>>,
}

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// Keeps nothing yet.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, generations: Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() }) }
    }

    /// What was kept last under this key, if it still is.
    pub fn get(&self, key: &K) -> Option<V> {
        let kept = self.lock();
        kept.young.get(key).or_else(|| kept.old.get(key)).cloned()
    }

    /// Keeps a value. When the young are too many they become the old, and the old are forgotten.
    pub fn keep(&self, key: K, value: V) {
        let mut kept = self.lock();
        if kept.young.len() >= self.most {
            kept.old = mem::take(&mut kept.young);
        }
        kept.young.insert(key, value);
    }

    fn lock(&self) -> MutexGuard<'_, Generations<K, V>> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_there_and_the_oldest_are_not() {
        let recent = Recent::new(3);
        (0..7).for_each(|number| recent.keep(number, number * 10));
        let there: Vec<_> = (0..7).filter_map(|number| recent.get(&number)).collect();
        assert_eq!(there, [30, 40, 50, 60]);
        recent.keep(5, 1);
        assert_eq!(recent.get(&5), Some(1), "the newest of two");
    }
}
