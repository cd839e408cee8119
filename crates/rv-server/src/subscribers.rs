//! Who is subscribed to what, and how they learn of news.
//!
//! A write costs the same however many subscribers there are: it only marks its namespace and wakes
//! the behaviour, in whose task the subscribers are woken, a bounded number at a time. Whoever is
//! not subscribed to that namespace sleeps on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures::task::AtomicWaker;
use libp2p_identity::PeerId;
use rv_core::{Limits, Refusal};
use rv_proto::{Namespace, Origin, Scope};

/// The subscribers of a point.
#[derive(Debug)]
pub(crate) struct Subscribers {
    index: Mutex<Index>,
    /// How many there are, so that a write without any asks for no lock.
    count: AtomicUsize,
    herald: AtomicWaker,
    per_peer_max: usize,
    per_origin_max: usize,
    total_max: usize,
}

#[derive(Debug, Default)]
struct Index {
    by_scope: BTreeMap<Scope, BTreeMap<u64, Arc<Signal>>>,
    per_peer: BTreeMap<PeerId, usize>,
    per_origin: BTreeMap<Origin, usize>,
    /// Scopes with subscribers that are still to be woken, in turn.
    queue: VecDeque<Scope>,
    passes: BTreeMap<Scope, Pass>,
    numbers: u64,
}

/// One round through the subscribers of a scope.
#[derive(Debug, Default)]
struct Pass {
    /// The first number that was not woken yet.
    next: u64,
    /// Whether there was more news since the round began, so that another follows.
    again: bool,
}

/// Tells one subscriber that there is news.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    is_set: AtomicBool,
    waker: AtomicWaker,
}

/// Who subscribes: a peer, and the network it comes from if that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party {
    pub(crate) peer: PeerId,
    pub(crate) origin: Option<Origin>,
}

/// A place among the subscribers. It is given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    subscribers: Arc<Subscribers>,
    signal: Arc<Signal>,
    party: Party,
    scope: Scope,
    number: u64,
}

impl Subscribers {
    /// Subscribers that are woken in one go. Each then takes some 12 us of its connection's task,
    /// and a REGISTER stands in line behind them at each of its steps: 0.4 ms.
    const WAKES_MAX: usize = 32;

    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            index: Mutex::default(),
            count: AtomicUsize::new(0),
            herald: AtomicWaker::new(),
            per_peer_max: limits.subscriptions_per_peer,
            per_origin_max: limits.subscriptions_per_origin,
            total_max: limits.subscriptions_total,
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Takes a place for `party`.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        party: Party,
        scope: &Scope,
    ) -> Result<Ticket, Refusal> {
        let mut index = self.index();
        self.check(&index, party)?;
        *index.per_peer.entry(party.peer).or_default() += 1;
        if let Some(origin) = party.origin {
            *index.per_origin.entry(origin).or_default() += 1;
        }
        index.numbers += 1;
        let number = index.numbers;
        let signal = Arc::<Signal>::default();
        let of_scope = index.by_scope.entry(scope.clone()).or_default();
        of_scope.insert(number, Arc::clone(&signal));
        self.count.fetch_add(1, Ordering::SeqCst);
        Ok(Ticket {
            subscribers: Arc::clone(self),
            signal,
            party,
            scope: scope.clone(),
            number,
        })
    }

    /// Whether there is a place for `party` now.
    pub(crate) fn check_room(&self, party: Party) -> Result<(), Refusal> {
        self.check(&self.index(), party)
    }

    fn check(&self, index: &Index, party: Party) -> Result<(), Refusal> {
        let refused = |limit| Err(Refusal::SubscriptionsFull { limit });
        let of_peer = index.per_peer.get(&party.peer).copied().unwrap_or(0);
        if of_peer >= self.per_peer_max {
            return refused(self.per_peer_max);
        }
        let of_origin = party.origin.and_then(|it| index.per_origin.get(&it));
        if of_origin.is_some_and(|count| *count >= self.per_origin_max) {
            return refused(self.per_origin_max);
        }
        if self.len() >= self.total_max {
            return refused(self.total_max);
        }
        Ok(())
    }

    /// There is news in these namespaces, and it can be read.
    pub(crate) fn announce(&self, namespaces: BTreeSet<Namespace>) {
        if namespaces.is_empty() {
            return;
        }
        let mut index = self.index();
        let named = namespaces.into_iter().map(Scope::Namespace);
        let mut is_new = false;
        for scope in named.chain([Scope::All]) {
            is_new |= index.announce(&scope);
        }
        drop(index);
        if is_new {
            self.herald.wake();
        }
    }

    /// There is something that every subscriber must know.
    pub(crate) fn announce_all(&self) {
        let mut index = self.index();
        let scopes: Vec<_> = index.by_scope.keys().cloned().collect();
        for scope in &scopes {
            index.announce(scope);
        }
        drop(index);
        self.herald.wake();
    }

    /// Has `waker` woken when there is news to tell.
    pub(crate) fn register_herald(&self, waker: &Waker) {
        self.herald.register(waker);
    }

    /// Wakes a bounded number of those for whom there is news; whether some are left.
    pub(crate) fn wake_some(&self) -> bool {
        let (signals, is_left) = self.index().next_signals(Self::WAKES_MAX);
        for signal in signals {
            signal.set();
        }
        is_left
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn announce(&mut self, scope: &Scope) -> bool {
        if !self.by_scope.contains_key(scope) {
            return false;
        }
        if let Some(pass) = self.passes.get_mut(scope) {
            pass.again |= pass.next > 0;
            return true;
        }
        self.passes.insert(scope.clone(), Pass::default());
        self.queue.push_back(scope.clone());
        true
    }

    /// The next `max` in turn, and whether some are left. No scope has two turns.
    fn next_signals(&mut self, max: usize) -> (Vec<Arc<Signal>>, bool) {
        let mut signals = Vec::new();
        for _ in 0..self.queue.len() {
            if signals.len() >= max {
                break;
            }
            self.next_of_scope(max - signals.len(), &mut signals);
        }
        (signals, !self.queue.is_empty())
    }

    fn next_of_scope(&mut self, max: usize, signals: &mut Vec<Arc<Signal>>) {
        let Some(scope) = self.queue.pop_front() else {
            return;
        };
        if let Some(mut pass) = self.passes.remove(&scope)
            && let Some(subscribers) = self.by_scope.get(&scope)
        {
            let mut rest = subscribers.range(pass.next..);
            let some = rest.by_ref().take(max);
            signals.extend(some.map(|(_, signal)| Arc::clone(signal)));
            let next = match rest.next() {
                Some((number, _)) => Some(*number),
                None => std::mem::take(&mut pass.again).then_some(0),
            };
            if let Some(next) = next {
                self.passes.insert(scope.clone(), Pass { next, ..pass });
                self.queue.push_back(scope);
            }
        }
    }
}

impl Signal {
    fn set(&self) {
        if !self.is_set.swap(true, Ordering::SeqCst) {
            self.waker.wake();
        }
    }
}

impl Ticket {
    /// Whether there was news since the last call. What is read after it is the newest; `waker` is
    /// woken for whatever comes later.
    pub(crate) fn take_news(&self, waker: &Waker) -> bool {
        self.signal.waker.register(waker);
        self.signal.is_set.swap(false, Ordering::SeqCst)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut index = self.subscribers.index();
        if let Some(of_scope) = index.by_scope.get_mut(&self.scope) {
            of_scope.remove(&self.number);
            if of_scope.is_empty() {
                index.by_scope.remove(&self.scope);
            }
        }
        give_back(&mut index.per_peer, &self.party.peer);
        if let Some(origin) = self.party.origin {
            give_back(&mut index.per_origin, &origin);
        }
        self.subscribers.count.fetch_sub(1, Ordering::SeqCst);
    }
}

fn give_back<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures::task::{ArcWake, waker};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl ArcWake for Woken {
        fn wake_by_ref(woken: &Arc<Self>) {
            woken.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Woken {
        fn count(&self) -> usize {
            self.0.swap(0, Ordering::SeqCst)
        }
    }

    fn scope(name: &str) -> Scope {
        Scope::Namespace(Namespace::new(name).expect("a name"))
    }

    fn names(all: &[&str]) -> BTreeSet<Namespace> {
        let all = all.iter().map(Namespace::new);
        all.map(|name| name.expect("a name")).collect()
    }

    fn subscribers(per_peer: usize, total: usize) -> Arc<Subscribers> {
        Subscribers::new(&Limits {
            subscriptions_per_peer: per_peer,
            subscriptions_total: total,
            ..Limits::default()
        })
    }

    fn party(origin: Option<Origin>) -> Party {
        Party {
            peer: PeerId::random(),
            origin,
        }
    }

    fn wake_all(all: &Subscribers) {
        while all.wake_some() {}
    }

    #[test]
    fn only_who_is_subscribed_to_a_namespace_is_woken_for_it() {
        let all = subscribers(9, 9);
        let herald = Arc::<Woken>::default();
        all.register_herald(&waker(Arc::clone(&herald)));
        let peer = party(None);
        let tickets = [scope("a"), scope("b"), Scope::All]
            .map(|scope| all.subscribe(peer, &scope).expect("room"));
        let tasks = [(); 3].map(|()| Arc::<Woken>::default());
        let news = || {
            let each = tickets.iter().zip(&tasks);
            let told = each.map(|(it, task)| it.take_news(&waker(Arc::clone(task))));
            told.collect::<Vec<_>>()
        };
        let woken = || tasks.each_ref().map(|task| task.count());
        assert_eq!(news(), [false, false, false]);

        all.announce(names(&["a"]));
        assert_eq!(herald.count(), 1);
        assert_eq!(woken(), [0, 0, 0], "the one who writes wakes nobody");
        wake_all(&all);
        assert_eq!(woken(), [1, 0, 1]);
        all.announce(names(&["a"]));
        wake_all(&all);
        assert_eq!(woken(), [0, 0, 0], "they know, and did not look yet");
        assert_eq!(news(), [true, false, true]);
        assert_eq!(news(), [false, false, false]);

        let [a, b, everything] = tickets;
        drop((a, everything));
        all.register_herald(&waker(Arc::clone(&herald)));
        herald.count();
        all.announce(names(&["a"]));
        assert_eq!(herald.count(), 0, "nobody is there to be told");
        all.announce_all();
        wake_all(&all);
        assert!(b.take_news(&waker(Arc::<Woken>::default())));
    }

    #[test]
    fn news_that_comes_all_the_time_reaches_the_last_subscriber() {
        let all = subscribers(10_000, 10_000);
        let peer = party(None);
        let count = 3 * Subscribers::WAKES_MAX;
        let tickets: Vec<_> = (0..count)
            .map(|_| all.subscribe(peer, &scope("a")).expect("room"))
            .collect();
        let nobody = waker(Arc::<Woken>::default());
        for _ in 0..3 {
            all.announce(names(&["a"]));
            assert!(all.wake_some());
        }
        let told = tickets.iter().filter(|it| it.take_news(&nobody)).count();
        assert_eq!(told, count);
        // What came when the round had begun is told in another one.
        wake_all(&all);
        let told = tickets.iter().filter(|it| it.take_news(&nobody)).count();
        assert_eq!(told, count);
        assert!(!all.wake_some());
    }

    #[test]
    fn places_are_bounded_for_each_peer_and_in_all_and_given_back() {
        let all = subscribers(2, 3);
        let (one, other) = (party(None), party(None));
        let take = |peer| all.subscribe(peer, &Scope::All);
        let full = |limit| Some(Refusal::SubscriptionsFull { limit });
        let first = take(one).expect("room");
        let _second = take(one).expect("room");
        assert_eq!(take(one).err(), full(2));
        let _third = take(other).expect("room");
        assert_eq!(take(other).err(), full(3));
        drop(first);
        let _fourth = take(one).expect("room");
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn places_are_bounded_for_each_network_that_counts() {
        let all = Subscribers::new(&Limits {
            subscriptions_per_origin: 2,
            ..Limits::default()
        });
        let origin = |address: &str| Origin::from_ip(address.parse().expect("an address"));
        let take = |origin| all.subscribe(party(origin), &Scope::All);
        let full = Some(Refusal::SubscriptionsFull { limit: 2 });
        let first = take(origin("198.51.100.1")).expect("room");
        let _second = take(origin("198.51.100.1")).expect("room");
        assert_eq!(take(origin("198.51.100.1")).err(), full);
        let room = all.check_room(party(origin("198.51.100.1")));
        assert_eq!(room.err(), full);
        let _elsewhere = take(origin("198.51.100.2")).expect("room");
        let _nowhere = [(); 3].map(|()| take(None).expect("room"));
        drop(first);
        take(origin("198.51.100.1")).expect("room again");
    }

    #[test]
    fn in_one_turn_subscribers_of_many_namespaces_are_woken() {
        let all = subscribers(10_000, 10_000);
        let each = ["a", "b", "c"];
        let take = |name: &&str| all.subscribe(party(None), &scope(name)).expect("room");
        let tickets: Vec<_> = each.iter().map(take).collect();
        all.announce(names(&each));
        assert!(!all.wake_some(), "nobody is left");
        let nobody = waker(Arc::<Woken>::default());
        assert!(tickets.iter().all(|it| it.take_news(&nobody)));
    }
}
