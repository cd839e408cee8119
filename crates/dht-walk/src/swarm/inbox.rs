//! The behaviour's end of its handles.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::StreamExt as _;
use futures::channel::{mpsc, oneshot};
use futures::lock::Mutex;
use libp2p_identity::PeerId;

use crate::driver::Progress;
use crate::output::Failure;
use crate::peer::Contact;
use crate::reseed::SeedSource;
use crate::target::Target;
use crate::walk::Found;

use super::handle::{Handle, HandleError, Line};
use super::mirror::Entries;

/// Where the answer to one FIND_NODE goes.
pub(super) type AnswerTo = oneshot::Sender<Result<Vec<Contact>, Failure>>;

/// Where what a lookup found goes.
pub(super) type FoundTo = oneshot::Sender<Result<Found, HandleError>>;

/// What takes requests to peers.
#[derive(Debug)]
pub(super) enum Errand {
    Ask {
        contact: Contact,
        target: Target,
        reply: AnswerTo,
    },
    LookUp {
        target: Target,
        progress: Progress,
        reply: FoundTo,
    },
}

/// What is done at once.
#[derive(Debug)]
pub(super) enum Order {
    Add(Contact, oneshot::Sender<bool>),
    Compare,
    Remove(PeerId, oneshot::Sender<()>),
    Seeds(SeedSource, oneshot::Sender<Vec<Contact>>),
}

/// What came from a handle.
#[derive(Debug)]
pub(super) enum Received {
    Errand(Errand),
    Order(Order),
}

/// The channels from all handles of one behaviour.
#[derive(Debug)]
pub(super) struct Inbox {
    handle: Handle,
    errands: mpsc::Receiver<Errand>,
    orders: mpsc::Receiver<Order>,
    _alive: Arc<()>,
}

impl Inbox {
    /// What waits in a channel before the behaviour took it: one poll's worth. Callers beyond that
    /// wait for room.
    const WAITING_MAX: usize = 32;

    pub(super) fn new(local: PeerId, entries: Entries) -> Self {
        let (for_errands, errands) = mpsc::channel(Self::WAITING_MAX);
        let (for_orders, orders) = mpsc::channel(Self::WAITING_MAX);
        let alive = Arc::new(());
        let handle = Handle::new(Line {
            local,
            errands: Mutex::new(for_errands),
            orders: Mutex::new(for_orders),
            entries,
            alive: Arc::downgrade(&alive),
        });
        Self {
            handle,
            errands,
            orders,
            _alive: alive,
        }
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What came next; errands only where there is room for them.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, has_room: bool) -> Poll<Received> {
        if let Poll::Ready(Some(order)) = self.orders.poll_next_unpin(cx) {
            return Poll::Ready(Received::Order(order));
        }
        if has_room && let Poll::Ready(Some(errand)) = self.errands.poll_next_unpin(cx) {
            return Poll::Ready(Received::Errand(errand));
        }
        Poll::Pending
    }
}
