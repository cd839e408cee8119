//! The stream of what happens.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use futures::channel::mpsc;
use libp2p_identity::PeerId;

use crate::output::Event;
use crate::report::Report;

use super::error::HostError;
use super::shared::CallbackId;

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RefreshEvent {
    /// A callback panicked.
    CallbackPanicked(CallbackId),
    /// A round ended.
    Finished(Arc<Report>),
    /// So many events came while the stream was not read, and are lost.
    Missed(u64),
    /// A call of the host's table failed.
    TableFailed {
        /// About whom.
        peer: PeerId,
        /// Which call.
        call: TableCall,
        /// Why.
        error: HostError,
    },
    /// What else a walk tells; never [`Event::Finished`], which is above.
    Walk(Event),
}

/// A call of a [`RoutingTable`](super::RoutingTable).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableCall {
    /// [`add_peer`](super::RoutingTable::add_peer).
    AddPeer,
    /// [`contacts`](super::RoutingTable::contacts).
    Contacts,
    /// [`remove_peer`](super::RoutingTable::remove_peer).
    RemovePeer,
}

/// A stream of [`RefreshEvent`]s. Whoever does not read it holds up nothing, and is told how much
/// was missed. It ends with the last handle and loop of the manager.
#[derive(Debug)]
pub struct Subscription(mpsc::Receiver<RefreshEvent>);

impl Stream for Subscription {
    type Item = RefreshEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<RefreshEvent>> {
        Pin::new(&mut self.0).poll_next(cx)
    }
}

/// The other end.
#[derive(Debug)]
pub(super) struct Subscriber {
    sender: mpsc::Sender<RefreshEvent>,
    missed: u64,
}

impl Subscriber {
    /// Events that wait to be read. A refresh of a large table has some 60; a report may weigh
    /// megabytes, but is shared.
    const EVENTS_MAX: usize = 256;

    pub(super) fn new() -> (Self, Subscription) {
        let (sender, receiver) = mpsc::channel(Self::EVENTS_MAX);
        (Self { sender, missed: 0 }, Subscription(receiver))
    }

    /// Tells it; false where nobody listens any more.
    pub(super) fn tell(&mut self, event: &RefreshEvent) -> bool {
        if self.missed > 0 && self.send(RefreshEvent::Missed(self.missed)) {
            self.missed = 0;
        }
        if self.missed > 0 || !self.send(event.clone()) {
            self.missed += 1;
        }
        !self.sender.is_closed()
    }

    fn send(&mut self, event: RefreshEvent) -> bool {
        self.sender.try_send(event).is_ok()
    }
}
