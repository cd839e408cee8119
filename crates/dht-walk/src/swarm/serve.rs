//! What handles ask of the behaviour, carried out.

use std::task::{Context, Poll};

use libp2p_identity::PeerId;
use libp2p_kad::store::RecordStore;

use crate::budget::Spent;
use crate::output::{Failure, RequestId};
use crate::peer::{Contact, Peer};
use crate::reseed::SeedSource;
use crate::target::Target;

use super::behaviour::Behaviour;
use super::desk::{Desk, Output, Planned};
use super::handle::Handle;
use super::inbox::{Errand, Order, Received};

impl<S: RecordStore + Send + 'static> Behaviour<S> {
    /// For other tasks: a [`Query`](crate::Query) and a [`RoutingTable`](crate::RoutingTable) over
    /// this behaviour. It works while the behaviour is in a swarm that is polled.
    pub fn handle(&self) -> Handle {
        self.inbox.handle()
    }

    /// What handles have sent, beside what the walk did
    /// ([`Walk::spent`](crate::Walk::spent)).
    pub fn spent_by_handles(&self) -> Spent {
        self.spent_by_handles
    }

    /// A peer answered a request, the walk's or a handle's.
    pub(super) fn answered(&mut self, peer: PeerId, id: RequestId, told: Vec<Contact>) {
        if !self.links.settle(id, &peer) {
            return;
        }
        let now = self.now();
        if Desk::is_of_handle(id) {
            let addresses = self.links.addresses(&peer);
            let peer = Peer::new(peer);
            self.walk.handle_alive(now, &peer);
            self.walk.handle_contact(now, &Contact { peer, addresses });
            self.desk.handle_answer(now, id, told);
        } else {
            self.walk.handle_answer(now, id, told);
        }
    }

    /// A request that is not out any more failed.
    pub(super) fn failed(&mut self, peer: PeerId, id: RequestId, failure: Failure) {
        let now = self.now();
        if !Desk::is_of_handle(id) {
            return self.walk.handle_failure(now, id, failure);
        }
        if failure == Failure::NotServing {
            self.links.note_serving(&peer, false);
            self.walk.handle_protocols(now, &Peer::new(peer), false);
        }
        self.desk.handle_failure(now, id, failure);
    }

    /// Takes what handles want, and what the desk wants because of it.
    pub(super) fn poll_handles(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.desk.poll_output() {
            Some(Output::Ask(id, contact, target)) => {
                let is_connected = self.links.is_connected(&contact.peer.id());
                self.spent_by_handles.messages += 1;
                self.spent_by_handles.dials += u64::from(!is_connected);
                self.links.ask(id, &contact, target.to_bytes());
                return Poll::Ready(());
            }
            Some(Output::Cancel(id)) => {
                self.links.cancel(id);
                return Poll::Ready(());
            }
            None => {}
        }
        let now = self.now();
        if self.desk.poll_dropped(cx, now).is_ready() {
            return Poll::Ready(());
        }
        let has_room = self.desk.has_room();
        self.inbox
            .poll(cx, has_room)
            .map(|received| match received {
                Received::Errand(errand) => self.run(errand),
                Received::Order(order) => self.obey(order),
            })
    }

    /// Ends what took too long.
    pub(super) fn expire_handles(&mut self) {
        let now = self.now();
        while let Some(id) = self.desk.late(now) {
            let failure = if self.links.is_under_way(id) {
                Failure::TimedOut
            } else {
                Failure::Unreachable
            };
            self.links.cancel(id);
            self.desk.handle_failure(now, id, failure);
        }
        self.desk.handle_timeout(now);
    }

    fn run(&mut self, errand: Errand) {
        let now = self.now();
        match errand {
            Errand::Ask {
                contact,
                target,
                reply,
            } => self.desk.ask(now, contact, target, reply),
            Errand::LookUp {
                target,
                progress,
                reply,
            } => {
                let known = self.origins(&target);
                let planned = Planned {
                    target,
                    known,
                    progress,
                    reply,
                };
                self.desk.look_up(now, planned);
            }
        }
    }

    /// Whom a lookup begins with.
    fn origins(&self, target: &Target) -> Vec<Contact> {
        let table = self.walk.table();
        let wanted = self.bucket_size;
        let nearest = table.closest(target.key(), wanted);
        let mut known: Vec<Contact> = nearest.into_iter().map(|it| it.contact()).collect();
        if known.len() < wanted {
            let more = wanted - known.len();
            known.extend(self.links.serving().take(more));
        }
        if known.is_empty() {
            known.extend(self.bootstrap.iter().take(wanted).cloned());
        }
        known
    }

    /// Who does not wait for a reply any more has dropped the other end.
    fn obey(&mut self, order: Order) {
        let now = self.now();
        match order {
            Order::Add(mut contact, reply) => {
                if contact.addresses.is_empty() {
                    contact.addresses = self.links.addresses(&contact.peer.id());
                }
                let is_in = self.mirror.insert(&mut self.kad, &contact);
                if is_in {
                    self.walk.handle_entry_added(now, &contact);
                }
                let _ = reply.send(is_in);
            }
            Order::Compare => self.compare(),
            Order::Remove(peer, reply) => {
                self.mirror.remove(&mut self.kad, &peer);
                self.walk.handle_entry_removed(now, &Peer::new(peer));
                let _ = reply.send(());
            }
            Order::Seeds(source, reply) => {
                let seeds = match source {
                    SeedSource::Bootstrap => self.bootstrap.clone(),
                    SeedSource::Connected => self.links.serving().collect(),
                    SeedSource::Known | SeedSource::Snapshot => Vec::new(),
                };
                let _ = reply.send(seeds);
            }
        }
    }
}
