//! Where peers come from when there are too few.
//!
//! In this order: those of the last run's snapshot, those whose addresses the host knows, those it
//! is connected to, those of the bootstrap list. So the few bootstrap nodes of a network are asked
//! last, and not by everybody at once.

use std::time::Duration;

use crate::peer::Contact;
use crate::rng::Rng;
use crate::time::Time;

/// Where seeds come from, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeedSource {
    /// The snapshot that was restored.
    Snapshot,
    /// Peers whose addresses the host knows.
    Known,
    /// Peers that the host is connected to.
    Connected,
    /// The list of bootstrap peers.
    Bootstrap,
}

/// The search for seeds.
#[derive(Clone, Debug)]
pub(crate) struct Reseed {
    snapshot: Vec<Contact>,
    bootstrap: Vec<Contact>,
    next: SeedSource,
    /// Not before.
    next_at: Time,
    pause: Duration,
    is_searching: bool,
}

/// What to do for seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seeding {
    AskHost(SeedSource),
    Use(SeedSource, Vec<Contact>),
}

impl Reseed {
    /// How long a source has before the next one is tried: two requests, one after the other.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// The pause after all sources have failed, doubled each time.
    const PAUSE_MIN: Duration = Duration::from_secs(10);
    const PAUSE_MAX: Duration = Duration::from_secs(300);

    /// Contacts kept of a snapshot or a bootstrap list.
    pub(crate) const CONTACTS_MAX: usize = 1_024;

    pub(crate) const fn new() -> Self {
        Self {
            snapshot: Vec::new(),
            bootstrap: Vec::new(),
            next: SeedSource::Snapshot,
            next_at: Time::from_millis(0),
            pause: Self::PAUSE_MIN,
            is_searching: false,
        }
    }

    pub(crate) fn set_bootstrap(&mut self, contacts: Vec<Contact>) {
        self.bootstrap = contacts;
        self.bootstrap.truncate(Self::CONTACTS_MAX);
    }

    pub(crate) fn set_snapshot(&mut self, contacts: Vec<Contact>) {
        self.snapshot = contacts;
        self.snapshot.truncate(Self::CONTACTS_MAX);
    }

    /// Enough peers are known.
    pub(crate) fn settled(&mut self) {
        self.is_searching = false;
        self.next = SeedSource::Snapshot;
        self.pause = Self::PAUSE_MIN;
    }

    /// Too few peers are known: begins, or goes on.
    pub(crate) fn search(&mut self, now: Time, rng: &mut Rng) -> Option<Seeding> {
        if !self.is_searching {
            self.is_searching = true;
            // A pause after a search that found nothing goes on.
            self.next_at = self.next_at.min(now);
        }
        if now < self.next_at {
            return None;
        }
        let source = self.next;
        let patience = now.saturating_add(Self::PATIENCE);
        let (next, next_at) = match source {
            SeedSource::Snapshot => (SeedSource::Known, patience),
            SeedSource::Known => (SeedSource::Connected, patience),
            SeedSource::Connected => (SeedSource::Bootstrap, patience),
            SeedSource::Bootstrap => {
                let pause = self.pause;
                self.pause = (pause * 2).min(Self::PAUSE_MAX);
                (SeedSource::Snapshot, now.saturating_add(rng.jitter(pause)))
            }
        };
        (self.next, self.next_at) = (next, next_at);
        match source {
            SeedSource::Snapshot => self.use_own(now, source, self.snapshot.clone()),
            SeedSource::Bootstrap => self.use_own(now, source, self.bootstrap.clone()),
            SeedSource::Connected | SeedSource::Known => Some(Seeding::AskHost(source)),
        }
    }

    /// An empty list takes no time.
    fn use_own(&mut self, now: Time, source: SeedSource, own: Vec<Contact>) -> Option<Seeding> {
        if own.is_empty() && source != SeedSource::Bootstrap {
            self.next_at = now;
            return None;
        }
        Some(Seeding::Use(source, own))
    }

    /// The host had nobody to offer, so the next source is due.
    pub(crate) fn nobody(&mut self, now: Time) {
        if self.is_searching && self.next != SeedSource::Snapshot {
            self.next_at = self.next_at.min(now);
        }
    }

    /// Whether a source is left before all have been tried.
    pub(crate) fn has_next(&self) -> bool {
        !self.is_searching || self.next != SeedSource::Snapshot
    }

    pub(crate) const fn is_searching(&self) -> bool {
        self.is_searching
    }

    pub(crate) const fn search_at(&self) -> Time {
        self.next_at
    }
}
