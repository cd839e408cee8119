//! What happens when, on one virtual clock.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use dht_walk::Time;

/// Events in the order of their times; those of one time in the order in which they were planned.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    heap: BinaryHeap<Planned<E>>,
    planned: u64,
}

#[derive(Debug)]
struct Planned<E> {
    at: Time,
    nth: u64,
    event: E,
}

impl<E> Queue<E> {
    /// Nothing is planned.
    pub(crate) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            planned: 0,
        }
    }

    /// Plans an event.
    pub(crate) fn plan(&mut self, at: Time, event: E) {
        self.planned += 1;
        self.heap.push(Planned {
            at,
            nth: self.planned,
            event,
        });
    }

    /// The next event, if it is due by `end`.
    pub(crate) fn next(&mut self, end: Time) -> Option<(Time, E)> {
        if self.heap.peek()?.at > end {
            return None;
        }
        self.heap.pop().map(|planned| (planned.at, planned.event))
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// The earliest is the greatest, because a heap gives the greatest first.
impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.nth).cmp(&(self.at, self.nth))
    }
}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Planned<E> {}

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
