//! What one stream of go's type of subscription is sent.
//!
//! Go's client opens a stream for each subscription, also for a second one in the same namespace,
//! never closes one, and hands what comes on any of them to all that want the namespace. So of the
//! streams of a connection one alone is fed with a namespace, and another only when that is gone.

use std::collections::{BTreeSet, VecDeque};
use std::task::Waker;

use bytes::Bytes;
use rv_core::{InmemSubscription, Refusal};
use rv_proto::{Namespace, Scope, Time};

use super::push_stream::Surroundings;
use crate::stats::add;
use crate::subscribers::Ticket;

/// One subscription with its place.
pub(super) struct InmemFeed {
    subscription: InmemSubscription,
    ticket: Ticket,
}

/// The subscriptions of type `inmem` of one connection.
#[derive(Debug, Default)]
pub(super) struct InmemBegun {
    /// What some stream is fed with.
    namespaces: BTreeSet<Namespace>,
    /// What was begun and not reported yet.
    unreported: VecDeque<Scope>,
}

impl InmemBegun {
    pub(super) fn has(&self, namespace: &Namespace) -> bool {
        self.namespaces.contains(namespace)
    }

    pub(super) fn next_report(&mut self) -> Option<Scope> {
        self.unreported.pop_front()
    }

    /// No stream is fed with this any more.
    pub(super) fn ended(&mut self, feed: &InmemFeed) {
        self.namespaces.remove(feed.subscription.namespace());
    }
}

/// The subscriptions of one stream.
#[derive(Default)]
pub(super) struct InmemFeeds {
    /// The one that was served last is at the end.
    fed: VecDeque<InmemFeed>,
    /// What was asked for here while another stream was fed with it. It is a part of what the
    /// connection has begun.
    shared: BTreeSet<Namespace>,
}

impl InmemFeeds {
    pub(super) fn len(&self) -> usize {
        self.fed.len()
    }

    /// Begins what is asked for, unless the connection has it.
    pub(super) fn ask(
        &mut self,
        namespace: Namespace,
        around: &mut Surroundings<'_>,
    ) -> Result<(), Refusal> {
        if around.inmem.has(&namespace) {
            let is_ours = |feed: &InmemFeed| *feed.subscription.namespace() == namespace;
            if !self.fed.iter().any(is_ours) {
                self.shared.insert(namespace);
            }
            return Ok(());
        }
        if around.room == 0 {
            let limit = around.limits.subscriptions_per_connection;
            return Err(Refusal::SubscriptionsFull { limit });
        }
        let subscription = InmemSubscription::new(namespace.clone(), around.rules);
        let scope = subscription.scope().clone();
        let ticket = around.point.subscribe(around.party, &scope)?;
        around.room -= 1;
        around.inmem.namespaces.insert(namespace);
        around.inmem.unreported.push_back(scope);
        self.fed.push_back(InmemFeed {
            subscription,
            ticket,
        });
        Ok(())
    }

    /// The next records of one of them; each has its turn.
    pub(super) fn next_records(
        &mut self,
        waker: &Waker,
        around: &Surroundings<'_>,
        bytes_max: usize,
    ) -> Option<Bytes> {
        let (point, uptime) = (around.point, around.uptime);
        let served = self.fed.iter_mut().enumerate().find_map(|(index, feed)| {
            let subscription = &mut feed.subscription;
            if feed.ticket.take_news(waker) {
                subscription.handle_news();
            }
            subscription.due_at().filter(|at| *at <= uptime)?;
            let registry = point.registry();
            let records = subscription.next_records(uptime, point.now(), &registry, bytes_max)?;
            Some((index, records))
        });
        let (index, records) = served?;
        self.fed.rotate_left(index + 1);
        add(&point.counters.updates, 1);
        Some(records)
    }

    /// When the next records come, whatever else happens.
    pub(super) fn due_at(&self) -> Option<Time> {
        let times = self
            .fed
            .iter()
            .filter_map(|feed| feed.subscription.due_at());
        times.min()
    }

    /// Goes on with what a stream that is gone was fed with, if it was asked for here as well.
    pub(super) fn take_over(&mut self, feed: &mut Option<InmemFeed>) {
        let asked = |feed: &mut InmemFeed| self.shared.remove(feed.subscription.namespace());
        self.fed.extend(feed.take_if(asked));
    }

    pub(super) fn into_feeds(self) -> VecDeque<InmemFeed> {
        self.fed
    }
}
