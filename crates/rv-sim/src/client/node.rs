//! One client with the least that a shell needs: a clock, a timer, and somebody who signs.

use std::collections::BTreeMap;

use bytes::Bytes;
use libp2p_identity::PeerId;
use rv_core::client::{Client, ClientConfig, RequestId, Wanted};
use rv_proto::{Dialect, PeerRecord, Record, Request, Scope, Time};

use super::point::shifted;
use super::samples::{address, client_key, client_peer, name, point_peer};

/// A request that the client waits for.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    pub(crate) point: usize,
    pub(crate) wanted: Wanted,
}

/// A client and its shell.
#[derive(Debug)]
pub struct Node {
    pub(crate) client: Client,
    pub(crate) peer: PeerId,
    pub(crate) is_gone: bool,
    /// Waited for.
    pub(crate) out: BTreeMap<RequestId, Out>,
    /// The subscriptions that were begun.
    pub(crate) pushed: BTreeMap<RequestId, Out>,
    /// When the timer fires, in true time: a timer does not follow the clock.
    pub(crate) wake_at: Option<Time>,
    port: u16,
    /// How far its clock is ahead of the true time.
    ahead_millis: i64,
    number: usize,
    /// The `seq` of the addresses, and what was sealed of them.
    seq: u64,
    sealed: BTreeMap<(Dialect, u64), Bytes>,
}

impl Node {
    pub(crate) fn new(now: Time, number: usize, config: ClientConfig, seed: u64) -> Self {
        let peer = client_peer(number);
        // Both ways of watching are in every network.
        let config = ClientConfig {
            push: number.is_multiple_of(2),
            ..config
        };
        let client = Client::new(config, peer, seed).expect("valid bounds");
        let mut node = Self {
            client,
            peer,
            is_gone: false,
            out: BTreeMap::new(),
            pushed: BTreeMap::new(),
            wake_at: None,
            port: 0,
            ahead_millis: 0,
            number,
            seq: 0,
            sealed: BTreeMap::new(),
        };
        node.move_to(now, 1);
        node
    }

    pub(crate) fn start(&mut self, now: Time, points: usize, names: usize) {
        for point in 0..points {
            let added = self.client.add_point(now, point_peer(point));
            added.expect("room for the points");
        }
        for number in 0..names {
            let watched = self.client.watch(now, &Scope::Namespace(name(number)));
            watched.expect("room for the watches");
        }
    }

    /// What its clock shows.
    pub(crate) fn clock(&self, now: Time) -> Time {
        shifted(now, self.ahead_millis)
    }

    /// Its clock is set. Its shell ticks: it called shortly before and calls shortly after. What
    /// passed since the call before a step back would not count, and a step back after which no
    /// call comes would not be seen.
    pub(crate) fn step(&mut self, now: Time, step_secs: i64) {
        self.client.handle_timeout(self.clock(now));
        self.ahead_millis += step_secs * 1_000;
        self.client.handle_timeout(self.clock(now));
    }

    pub(crate) fn move_to(&mut self, now: Time, port: u16) {
        if port == self.port {
            return;
        }
        self.port = port;
        self.seq = self.clock(now).as_millis() / 1_000;
        self.sealed.clear();
        self.client.set_addresses(self.clock(now), [address(port)]);
    }

    /// The record of its addresses holds this.
    pub(crate) fn is_described_by(&self, record: &[u8]) -> bool {
        let wanted = address(self.port).to_vec();
        record.windows(wanted.len()).any(|window| window == wanted)
    }

    /// Sets the timer anew.
    pub(crate) fn rest(&mut self, now: Time) {
        let clock = self.clock(now);
        let at = self.client.poll_timeout().map(|(at, _)| at);
        self.wake_at = at.map(|at| now.saturating_add(at.saturating_since(clock)));
    }

    /// The request as it is sent: sealed once for each addresses and `seq`.
    pub(crate) fn sealed_request(&mut self, wanted: &Wanted) -> Request {
        let (mut record, mut counterpart) = (None, None);
        if let Wanted::Register {
            dialect,
            counterpart: second,
            seq_above,
            ..
        } = wanted
        {
            self.seq = self.seq.max(seq_above.map_or(0, |seq| seq + 1));
            record = Some(self.seal(*dialect));
            counterpart = second.map(|dialect| self.seal(dialect));
        }
        wanted.to_request(&self.peer, record, counterpart)
    }

    fn seal(&mut self, dialect: Dialect) -> Bytes {
        let (peer, seq) = (self.peer, self.seq);
        let addresses = vec![address(self.port)];
        let key = client_key(self.number);
        let seal = || match dialect {
            Dialect::Plain => Record::plain(&peer, &addresses).bytes().clone(),
            Dialect::Legacy | Dialect::Standard => {
                let record = PeerRecord {
                    peer,
                    seq,
                    addresses,
                };
                record.seal(dialect, key).expect("a small record")
            }
        };
        self.sealed
            .entry((dialect, seq))
            .or_insert_with(seal)
            .clone()
    }
}
