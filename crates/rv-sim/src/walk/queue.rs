//! What happens when, on one virtual clock.

use std::collections::{BTreeMap, VecDeque};

use dht_walk::Time;

/// Events in the order of their times; those of one time in the order in which they were planned.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    planned: BTreeMap<Time, VecDeque<E>>,
}

impl<E> Queue<E> {
    /// Nothing is planned.
    pub(crate) const fn new() -> Self {
        let planned = BTreeMap::new();
        Self { planned }
    }

    /// Plans an event.
    pub(crate) fn plan(&mut self, at: Time, event: E) {
        self.planned.entry(at).or_default().push_back(event);
    }

    /// The next event, if it is due by `end`.
    pub(crate) fn next(&mut self, end: Time) -> Option<(Time, E)> {
        let mut first = self.planned.first_entry().filter(|it| *it.key() <= end)?;
        let at = *first.key();
        let event = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        event.map(|event| (at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_by_plan() {
        let mut queue = Queue::new();
        for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (3, 'b'), (9, 'e')] {
            queue.plan(Time::from_millis(at), event);
        }
        let due: Vec<char> =
            std::iter::from_fn(|| queue.next(Time::from_millis(8)).map(|it| it.1)).collect();
        assert_eq!(due, ['a', 'b', 'c', 'd']);
    }
}
