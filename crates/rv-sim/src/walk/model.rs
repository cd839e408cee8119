//! What tends a node's table: the core, or a model of what somebody else ships.

use std::fmt::Debug;

use dht_walk::{Contact, Failure, Key, Peer, Target, Time};

/// A node's routing table and whoever tends it. It sees what an implementation sees, and spends
/// requests; the network around it is the same for all.
pub trait Model: Sized + Debug {
    /// Names a request until its answer.
    type Id: Copy + Debug;
    /// What a user would configure.
    type Settings: Clone + Debug;

    /// A node that just joined, and knows the bootstrap list.
    fn join(now: Time, settings: &Self::Settings, local: &Contact, start: Start<'_>) -> Self;

    /// It is later.
    fn wake(&mut self, now: Time);

    /// When it wants to be woken.
    fn wake_at(&self) -> Option<Time>;

    /// The next request to send.
    fn poll(&mut self, now: Time) -> Option<Request<Self::Id>>;

    /// A request was answered. A dial is answered with nobody.
    fn answered(&mut self, now: Time, id: Self::Id, told: Vec<Contact>);

    /// A request failed.
    fn failed(&mut self, now: Time, id: Self::Id, failure: Failure);

    /// A node that serves the DHT opened a connection, and identify told its address.
    fn inbound(&mut self, now: Time, from: &Contact);

    /// What it answers a FIND_NODE with.
    fn closest(&self, key: &Key, asker: &Peer) -> Vec<Contact>;

    /// Each entry of its table, with its addresses.
    fn entries(&self, each: &mut dyn FnMut(&Contact));
}

/// What a node begins with.
#[derive(Debug)]
pub struct Start<'a> {
    /// Of its randomness.
    pub seed: [u8; 32],
    /// Peers that everybody knows.
    pub bootstrap: &'a [Contact],
}

/// Something to send.
#[derive(Clone, Debug)]
pub struct Request<Id> {
    /// Names it.
    pub id: Id,
    /// To whom.
    pub contact: Contact,
    /// What.
    pub what: What,
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum What {
    /// Nothing but a dial.
    Dial,
    /// A FIND_NODE, with a dial before where there is no connection.
    Find(Target),
}
