//! What a point counts.

use std::collections::BTreeMap;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rv_core::{Report, Source};

/// What a point holds and has done since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Registrations held, expired ones that were not erased yet included.
    pub registrations: usize,
    /// Namespaces with at least one that is not expired.
    pub namespaces: usize,
    /// Bytes of their records.
    pub record_bytes: u64,
    /// REGISTERs granted, refreshes included.
    pub registers: u64,
    /// REGISTERs refused.
    pub registers_refused: u64,
    /// UNREGISTERs acted on.
    pub unregisters: u64,
    /// UNREGISTERs that could not be kept, or are not known to be.
    pub unregisters_lost: u64,
    /// DISCOVERs answered.
    pub discovers: u64,
    /// DISCOVERs refused.
    pub discovers_refused: u64,
    /// DISCOVERs that waited for what identify says of the reader.
    pub discovers_held: u64,
    /// Subscriptions open.
    pub subscriptions: usize,
    /// Subscriptions begun.
    pub subscribes: u64,
    /// Updates that subscribers were sent, empty ones included.
    pub updates: u64,
    /// Subscriptions refused.
    pub subscribes_refused: u64,
    /// Streams reset because their bytes were no request.
    pub undecodable: u64,
    /// Streams refused because their connection had too many.
    pub streams_refused: u64,
    /// Streams given up because they were idle, or slow to write or to read.
    pub streams_timed_out: u64,
    /// Bytes of answers that wait for their peers to read them.
    pub unread_bytes: usize,
    /// Batches that the journal could not keep.
    pub batches_failed: u64,
    /// Registrations erased after their deadline.
    pub erased: u64,
    /// Refusals by [`Refusal::name`](rv_core::Refusal::name).
    pub refusals: BTreeMap<&'static str, u64>,
    /// DISCOVERs answered, by what decided the reader's dialect: the [`Source::name`]s.
    pub dialects_decided: BTreeMap<&'static str, u64>,
}

/// The live side of [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    registers: AtomicU64,
    registers_refused: AtomicU64,
    unregisters: AtomicU64,
    unregisters_lost: AtomicU64,
    discovers: AtomicU64,
    discovers_refused: AtomicU64,
    pub(crate) discovers_held: AtomicU64,
    by_source: [AtomicU64; Source::ALL.len()],
    subscribes: AtomicU64,
    subscribes_refused: AtomicU64,
    pub(crate) updates: AtomicU64,
    pub(crate) undecodable: AtomicU64,
    pub(crate) streams_refused: AtomicU64,
    pub(crate) streams_timed_out: AtomicU64,
    pub(crate) batches_failed: AtomicU64,
    pub(crate) erased: AtomicU64,
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    in_work: AtomicUsize,
    unread_bytes: AtomicUsize,
}

/// What a stream, or all streams of a connection, keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Requests that were read and whose answers are not written.
    pub(crate) in_work: usize,
    /// Bytes of the answers that are not written to their end, each counted whole.
    pub(crate) unread_bytes: usize,
}

impl Add for Load {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            in_work: self.in_work + other.in_work,
            unread_bytes: self.unread_bytes + other.unread_bytes,
        }
    }
}

impl Sub for Load {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            in_work: self.in_work - other.in_work,
            unread_bytes: self.unread_bytes - other.unread_bytes,
        }
    }
}

impl Counters {
    /// Counts what a session reports.
    pub(crate) fn count(&self, report: &Report) {
        let (counter, refusal) = match report {
            Report::Registered { .. } => (&self.registers, None),
            Report::RegisterRefused { refusal } => (&self.registers_refused, Some(refusal)),
            Report::Unregistered { .. } => (&self.unregisters, None),
            Report::UnregisterLost { refusal } => (&self.unregisters_lost, Some(refusal)),
            Report::Discovered { .. } => (&self.discovers, None),
            Report::DiscoverRefused { refusal } => (&self.discovers_refused, Some(refusal)),
            Report::Subscribed { .. } => (&self.subscribes, None),
            Report::SubscribeRefused { refusal } => (&self.subscribes_refused, Some(refusal)),
        };
        add(counter, 1);
        if let Some(refusal) = refusal {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            *refusals.entry(refusal.name()).or_default() += 1;
        }
    }

    /// Counts a DISCOVER by what decided its reader's dialect.
    pub(crate) fn count_source(&self, source: Source) {
        add(&self.by_source[source as usize], 1);
    }

    fn dialects_decided(&self) -> BTreeMap<&'static str, u64> {
        let counts = Source::ALL.into_iter().zip(&self.by_source);
        let counts = counts.map(|(source, count)| (source.name(), count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// A stream keeps `after` where it kept `before`.
    pub(crate) fn change_load(&self, before: Load, after: Load) {
        self.in_work.fetch_add(after.in_work, Ordering::Relaxed);
        self.in_work.fetch_sub(before.in_work, Ordering::Relaxed);
        self.unread_bytes
            .fetch_add(after.unread_bytes, Ordering::Relaxed);
        self.unread_bytes
            .fetch_sub(before.unread_bytes, Ordering::Relaxed);
    }

    /// Requests that were read and not answered yet.
    pub(crate) fn in_work(&self) -> usize {
        self.in_work.load(Ordering::Relaxed)
    }

    /// Bytes of answers that wait for their peers to read them.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.unread_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            registrations: 0,
            subscriptions: 0,
            namespaces: 0,
            record_bytes: 0,
            registers: load(&self.registers),
            registers_refused: load(&self.registers_refused),
            unregisters: load(&self.unregisters),
            unregisters_lost: load(&self.unregisters_lost),
            discovers: load(&self.discovers),
            discovers_refused: load(&self.discovers_refused),
            discovers_held: load(&self.discovers_held),
            dialects_decided: self.dialects_decided(),
            subscribes: load(&self.subscribes),
            subscribes_refused: load(&self.subscribes_refused),
            updates: load(&self.updates),
            undecodable: load(&self.undecodable),
            streams_refused: load(&self.streams_refused),
            streams_timed_out: load(&self.streams_timed_out),
            unread_bytes: self.unread_bytes(),
            batches_failed: load(&self.batches_failed),
            erased: load(&self.erased),
            refusals: self
                .refusals
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
