//! Which entry is checked when, and when it is dead.
//!
//! How long an entry goes unchecked follows from the rate at which peers were seen to leave: if one
//! in `1 / rate` hours leaves, and a dead entry stays for `share / rate` hours on average, `share`
//! of all entries are dead. It stays for half of the time between two checks, and for its last
//! tries. Whatever else shows that a peer lives postpones its check.
//!
//! A failure is a strike only if somebody else answered since the one before. Otherwise it says as
//! much about our own line as about the peer; so where nothing else is going on, a second try goes
//! with a witness, another entry that was alive a short while ago.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::CheckConfig;
use crate::peer::Peer;
use crate::table::{Check, Entry, Table};
use crate::time::{Time, millis};

/// The order of checks.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    config: CheckConfig,
    /// By when they were heard last, or earlier: an entry that was heard since moves when its turn
    /// comes.
    quiet: Turns,
    retries: Turns,
    suspects: Turns,
    /// How long an entry goes unchecked at present.
    interval: Duration,
    loss: LossRate,
}

/// Peers by when they are due. The first time is at hand: it is asked for at each input.
#[derive(Clone, Debug, Default)]
struct Turns {
    peers: BTreeSet<(Time, Peer)>,
    first_at: Option<Time>,
}

impl Turns {
    fn insert(&mut self, at: Time, peer: Peer) {
        self.first_at = Some(self.first_at.map_or(at, |first| first.min(at)));
        self.peers.insert((at, peer));
    }

    fn remove(&mut self, at: Time, peer: Peer) {
        self.peers.remove(&(at, peer));
        if self.first_at == Some(at) {
            self.first_at = self.peers.first().map(|(at, _)| *at);
        }
    }

    /// The first peer, if its time has come.
    fn due(&self, now: Time) -> Option<&(Time, Peer)> {
        let is_due = self.first_at.is_some_and(|at| at <= now);
        is_due.then(|| self.peers.first()).flatten()
    }
}

/// How long an entry may go unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// As the rate of departures asks for.
    pub(crate) wanted: Duration,
    /// As the purse allows for, and no shorter than wanted.
    pub(crate) afforded: Duration,
}

/// What a failed check means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Struck {
    Dead,
    Retry,
}

impl Probe {
    /// How often an entry may be checked in one interval because it is suspected.
    const SUSPECTS_PER_INTERVAL: u32 = 4;

    pub(crate) fn new(config: CheckConfig) -> Self {
        Self {
            config,
            quiet: Turns::default(),
            retries: Turns::default(),
            suspects: Turns::default(),
            interval: config.interval_min,
            loss: LossRate::new(),
        }
    }

    /// The entry is in the table from now on.
    pub(crate) fn enter(&mut self, entry: &Entry) {
        match entry.check {
            Check::InFlight => {}
            Check::Quiet(at) => self.quiet.insert(at, entry.peer.clone()),
            Check::Retry(at) => self.retries.insert(at, entry.peer.clone()),
            Check::Suspected(at) => self.suspects.insert(at, entry.peer.clone()),
        }
    }

    /// Whether the entry may be suspected: it waits for its turn, and was not heard for a while.
    /// Whoever leaves live peers out of his answers has them checked that much more often.
    pub(crate) fn may_suspect(&self, now: Time, entry: &Entry) -> bool {
        let fresh = self.interval / Self::SUSPECTS_PER_INTERVAL;
        matches!(entry.check, Check::Quiet(_)) && entry.heard_at.saturating_add(fresh) <= now
    }

    /// The entry is checked before those that nobody suspects.
    pub(crate) fn suspect(&mut self, now: Time, entry: &mut Entry) {
        self.unqueue(entry);
        entry.check = Check::Suspected(now);
        entry.is_suspected = true;
        self.suspects.insert(now, entry.peer.clone());
    }

    /// The suspect that waits longest.
    pub(crate) fn suspect_due(&self, now: Time) -> Option<&Peer> {
        self.suspects.due(now).map(|(_, peer)| peer)
    }

    /// The entry left the table.
    pub(crate) fn leave(&mut self, entry: &Entry) {
        self.unqueue(entry);
    }

    /// The peer is alive.
    pub(crate) fn alive(&mut self, now: Time, entry: &mut Entry) {
        self.loss
            .survived(now, now.saturating_since(entry.heard_at));
        entry.heard_at = entry.heard_at.max(now);
        (entry.strikes, entry.is_suspected) = (0, false);
        if let Check::Retry(_) | Check::Suspected(_) = entry.check {
            self.unqueue(entry);
            self.queue_quiet(entry);
        }
    }

    /// The peer is being asked.
    pub(crate) fn asked(&mut self, entry: &mut Entry) {
        self.unqueue(entry);
        entry.check = Check::InFlight;
    }

    /// The question was answered.
    pub(crate) fn answered(&mut self, now: Time, entry: &mut Entry) {
        self.alive(now, entry);
        if entry.check == Check::InFlight {
            self.queue_quiet(entry);
        }
    }

    /// The question was not answered. `is_ours` where nobody else answered meanwhile either.
    pub(crate) fn failed(
        &mut self,
        now: Time,
        entry: &mut Entry,
        epoch: u8,
        is_ours: bool,
    ) -> Struck {
        if entry.epoch != epoch {
            (entry.epoch, entry.strikes) = (epoch, 0);
        }
        entry.failed_at = now;
        if !is_ours {
            let strikes = 1 + u8::from(std::mem::take(&mut entry.is_suspected));
            entry.strikes = entry.strikes.saturating_add(strikes);
        }
        if entry.strikes >= self.config.strikes_max {
            self.loss.died(now, now.saturating_since(entry.heard_at));
            return Struck::Dead;
        }
        self.unqueue(entry);
        let at = now.saturating_add(self.pause_after(entry.strikes));
        entry.check = Check::Retry(at);
        self.retries.insert(at, entry.peer.clone());
        Struck::Retry
    }

    /// The question was taken back, nothing is known.
    pub(crate) fn cancelled(&mut self, entry: &mut Entry) {
        if entry.check == Check::InFlight {
            self.queue_quiet(entry);
        }
    }

    /// The entry whose second or third try is due.
    pub(crate) fn retry_due(&self, now: Time) -> Option<&Peer> {
        self.retries.due(now).map(|(_, peer)| peer)
    }

    pub(crate) const fn retry_at(&self) -> Option<Time> {
        self.retries.first_at
    }

    /// The entry that was not heard for longest, if that is longer than `interval`.
    pub(crate) fn quiet_due(
        &mut self,
        now: Time,
        interval: Duration,
        table: &mut Table,
    ) -> Option<Peer> {
        for _ in 0..=table.len() {
            let first_at = self.quiet.first_at?;
            if first_at.saturating_add(interval) > now {
                return None;
            }
            let (queued_at, peer) = self.quiet.due(first_at)?.clone();
            let heard_at = table.entry(&peer).map_or(queued_at, |entry| entry.heard_at);
            if heard_at <= queued_at {
                return Some(peer);
            }
            self.quiet.remove(queued_at, peer.clone());
            if let Some(entry) = table.entry_mut(&peer) {
                self.queue_quiet(entry);
            }
        }
        None
    }

    /// When the next check is due, or a little before.
    pub(crate) fn quiet_at(&self, interval: Duration) -> Option<Time> {
        let first_at = self.quiet.first_at;
        first_at.map(|at| at.saturating_add(interval))
    }

    /// How long an entry may go unchecked. A purse of `per_hour` messages is there for checks, and
    /// a try without an answer takes `timeout`.
    pub(crate) fn pace(
        &mut self,
        now: Time,
        entries: usize,
        per_hour: u32,
        timeout: Duration,
    ) -> Pace {
        let stale_secs = self.config.stale_share / self.loss.per_second(now);
        let unnoticed_secs = stale_secs - self.tries_span(timeout).as_secs_f64();
        let wanted = Duration::try_from_secs_f64(2.0 * unnoticed_secs.max(0.0))
            .unwrap_or(self.config.interval_max);
        let entries = u64::try_from(entries).unwrap_or(u64::MAX);
        let afforded = entries.saturating_mul(3_600_000) / u64::from(per_hour.max(1));
        let wanted = wanted.clamp(self.config.interval_min, self.config.interval_max);
        let afforded = wanted.max(Duration::from_millis(afforded));
        self.interval = afforded;
        Pace { wanted, afforded }
    }

    /// How long it takes to be sure that a peer is dead.
    fn tries_span(&self, timeout: Duration) -> Duration {
        let tries = self.config.strikes_max;
        let pauses = (1..tries).map(|strikes| self.pause_after(strikes));
        let pauses = pauses.fold(Duration::ZERO, Duration::saturating_add);
        timeout
            .saturating_mul(u32::from(tries))
            .saturating_add(pauses)
    }

    /// The pause before the next try, after so many failures.
    fn pause_after(&self, strikes: u8) -> Duration {
        let doublings = u32::from(strikes.saturating_sub(1).min(8));
        self.config.retry_pause.saturating_mul(1 << doublings)
    }

    /// Departures for each peer and hour, as measured.
    pub(crate) fn loss_per_hour(&mut self, now: Time) -> f64 {
        self.loss.per_second(now) * 3_600.0
    }

    fn queue_quiet(&mut self, entry: &mut Entry) {
        entry.check = Check::Quiet(entry.heard_at);
        self.quiet.insert(entry.heard_at, entry.peer.clone());
    }

    fn unqueue(&mut self, entry: &Entry) {
        match entry.check {
            Check::InFlight => {}
            Check::Quiet(at) => self.quiet.remove(at, entry.peer.clone()),
            Check::Retry(at) => self.retries.remove(at, entry.peer.clone()),
            Check::Suspected(at) => self.suspects.remove(at, entry.peer.clone()),
        }
    }
}

/// Departures seen, over the time that peers were watched. Old ones fade.
#[derive(Clone, Copy, Debug)]
struct LossRate {
    deaths: f64,
    watched_secs: f64,
    faded_at: Time,
}

impl LossRate {
    /// What is assumed before anything is known, with the weight of one departure: half of all
    /// peers gone in two hours, as in the public network (RFM 2 of probe-lab).
    const PRIOR_PER_SECOND: f64 = 0.5 / 7_200.0 * 1.386;
    /// Every so often, what was seen loses a tenth of its weight: half of it in half an hour.
    const FADE_EVERY_MILLIS: u64 = 300_000;
    const FADE: f64 = 0.9;
    /// After that many times, nothing is left.
    const FADES_MAX: u64 = 200;

    const fn new() -> Self {
        Self {
            deaths: 0.0,
            watched_secs: 0.0,
            faded_at: Time::from_millis(0),
        }
    }

    fn survived(&mut self, now: Time, watched: Duration) {
        self.fade(now);
        self.watched_secs += watched.as_secs_f64();
    }

    fn died(&mut self, now: Time, unheard: Duration) {
        self.fade(now);
        self.deaths += 1.0;
        // It may have left at any moment since.
        self.watched_secs += unheard.as_secs_f64() / 2.0;
    }

    fn per_second(&mut self, now: Time) -> f64 {
        self.fade(now);
        (self.deaths + 1.0) / (self.watched_secs + 1.0 / Self::PRIOR_PER_SECOND)
    }

    fn fade(&mut self, now: Time) {
        let passed = now.as_millis().saturating_sub(self.faded_at.as_millis());
        let times = passed / Self::FADE_EVERY_MILLIS;
        for _ in 0..times.min(Self::FADES_MAX) {
            self.deaths *= Self::FADE;
            self.watched_secs *= Self::FADE;
        }
        let faded = Duration::from_millis(times * Self::FADE_EVERY_MILLIS);
        self.faded_at = self.faded_at.saturating_add(faded);
    }
}

/// How long nothing may succeed before the next check goes with a witness: an entry that is known
/// to have been alive.
pub(crate) fn needs_witness(now: Time, last_success: Time, request_timeout: Duration) -> bool {
    now.as_millis().saturating_sub(last_success.as_millis()) > millis(request_timeout) / 2
}

/// zikade's `TestNodeValueList`, `TestProbeRemoveDeletesNodeValue` and those beside them.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Contact;
    use crate::rng::Seed;
    use crate::table::{Fingerprint, Source};
    use crate::target::Targets;

    const INTERVAL: Duration = Duration::from_secs(100);

    fn secs(secs: u64) -> Time {
        Time::from_millis(secs * 1_000)
    }

    /// A table of entries that were heard at these seconds, all of them queued.
    fn table(heard_at: &[u64]) -> (Probe, Table, Vec<Peer>) {
        let mut targets = Targets::new(Seed::from_bytes([5; 32]));
        let mut table = Table::new(targets.uniform().as_peer().clone(), 20);
        let mut probe = Probe::new(CheckConfig::default());
        let mut peers = Vec::new();
        for at in heard_at {
            let Contact { peer, addresses } = Contact::new(targets.uniform().as_peer().clone(), []);
            let entry = Entry {
                peer: peer.clone(),
                addresses,
                source: Source::Itself,
                heard_at: secs(*at),
                failed_at: Time::default(),
                check: Check::Quiet(secs(*at)),
                answer: Fingerprint::default(),
                strikes: 0,
                is_suspected: false,
                epoch: 0,
            };
            probe.enter(&entry);
            assert!(table.insert(entry));
            peers.push(peer);
        }
        (probe, table, peers)
    }

    /// Who is due, in order, each taken as asked.
    fn due(probe: &mut Probe, table: &mut Table, now: Time) -> Vec<Peer> {
        let mut due = Vec::new();
        while let Some(peer) = probe.quiet_due(now, INTERVAL, table) {
            probe.asked(table.entry_mut(&peer).expect("it is an entry"));
            due.push(peer);
        }
        due
    }

    #[test]
    fn nobody_is_due_in_an_empty_table() {
        let (mut probe, mut table, _) = table(&[]);
        assert_eq!(due(&mut probe, &mut table, secs(1_000)), []);
        assert_eq!((probe.quiet_at(INTERVAL), probe.retry_at()), (None, None));
    }

    #[test]
    fn who_was_not_heard_for_longest_is_due_first_and_nobody_before_the_interval() {
        let (mut probe, mut table, peers) = table(&[30, 10, 20]);
        assert_eq!(probe.quiet_at(INTERVAL), Some(secs(110)));
        assert_eq!(due(&mut probe, &mut table, secs(109)), []);
        let first = [peers[1].clone(), peers[2].clone()];
        assert_eq!(due(&mut probe, &mut table, secs(129)), first);
        assert_eq!(due(&mut probe, &mut table, secs(130)), [peers[0].clone()]);
        assert_eq!(due(&mut probe, &mut table, secs(999)), [], "all are asked");
    }

    #[test]
    fn who_was_heard_since_is_due_that_much_later() {
        let (mut probe, mut table, peers) = table(&[10, 20]);
        let entry = table.entry_mut(&peers[0]).expect("it is an entry");
        probe.alive(secs(50), entry);
        assert_eq!(due(&mut probe, &mut table, secs(149)), [peers[1].clone()]);
        assert_eq!(due(&mut probe, &mut table, secs(150)), [peers[0].clone()]);
    }

    #[test]
    fn who_left_is_not_due() {
        let (mut probe, mut table, peers) = table(&[10, 20]);
        let entry = table.remove(&peers[0]).expect("it is an entry");
        probe.leave(&entry);
        assert_eq!(due(&mut probe, &mut table, secs(999)), [peers[1].clone()]);
    }

    #[test]
    fn who_answered_or_was_not_asked_after_all_is_due_again() {
        let (mut probe, mut table, peers) = table(&[10, 20]);
        assert_eq!(due(&mut probe, &mut table, secs(150)), peers);
        probe.answered(secs(151), table.entry_mut(&peers[0]).expect("an entry"));
        probe.cancelled(table.entry_mut(&peers[1]).expect("an entry"));
        assert_eq!(due(&mut probe, &mut table, secs(152)), [peers[1].clone()]);
        assert_eq!(due(&mut probe, &mut table, secs(251)), [peers[0].clone()]);
    }

    #[test]
    fn tries_are_three_and_six_seconds_apart_and_the_third_failure_is_death() {
        let (mut probe, mut table, peers) = table(&[10]);
        let entry = table.entry_mut(&peers[0]).expect("an entry");
        probe.asked(entry);
        assert_eq!(probe.failed(secs(100), entry, 0, false), Struck::Retry);
        assert_eq!(probe.retry_at(), Some(secs(103)));
        assert_eq!(probe.retry_due(secs(102)), None);
        assert_eq!(probe.retry_due(secs(103)), Some(&peers[0]));
        probe.asked(entry);
        assert_eq!(probe.retry_at(), None);
        assert_eq!(probe.failed(secs(103), entry, 0, false), Struck::Retry);
        assert_eq!(probe.retry_at(), Some(secs(109)));
        probe.asked(entry);
        assert_eq!(probe.failed(secs(109), entry, 0, false), Struck::Dead);
    }

    #[test]
    fn failures_of_our_own_and_those_before_an_outage_are_no_strikes() {
        let (mut probe, mut table, peers) = table(&[10]);
        let entry = table.entry_mut(&peers[0]).expect("an entry");
        for at in 100..110 {
            probe.asked(entry);
            assert_eq!(probe.failed(secs(at), entry, 0, true), Struck::Retry);
        }
        assert_eq!(entry.strikes, 0);
        for at in 110..112 {
            probe.asked(entry);
            assert_eq!(probe.failed(secs(at), entry, 0, false), Struck::Retry);
        }
        probe.asked(entry);
        assert_eq!(probe.failed(secs(112), entry, 1, false), Struck::Retry);
        assert_eq!(entry.strikes, 1, "the outage wiped out the others");
        probe.alive(secs(113), entry);
        assert_eq!((entry.strikes, probe.retry_at()), (0, None));
    }

    #[test]
    fn the_interval_follows_departures_and_the_purse() {
        let mut probe = Probe::new(CheckConfig::default());
        let timeout = Duration::from_secs(5);
        let calm = probe.pace(secs(0), 100, 3_600, timeout).wanted;
        // Half of all peers leave in two hours, so one in a hundred in 104 s; three tries of 5 s
        // and the pauses between them are 24 of these.
        assert_eq!(calm.as_secs(), 2 * (103 - 24) + 1);
        let at_once = probe.pace(secs(0), 100, 3_600, Duration::ZERO).wanted;
        assert_eq!(at_once.as_secs(), 2 * (103 - 9) + 1);
        for _ in 0..50 {
            probe.loss.died(secs(1), Duration::from_secs(60));
        }
        let stormy = probe.pace(secs(1), 10, 3_600, timeout).afforded;
        assert!(stormy < calm, "{stormy:?} {calm:?}");
        assert_eq!(stormy, CheckConfig::default().interval_min);
        // 100 checks in a purse of 100 an hour.
        let scarce = probe.pace(secs(1), 100, 100, timeout);
        assert_eq!(scarce.afforded, Duration::from_secs(3_600));
        assert_eq!(scarce.wanted, stormy);
    }
}
