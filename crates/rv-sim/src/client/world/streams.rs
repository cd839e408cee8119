//! Subscriptions: what a point pushes, in order, until the stream is cut.

use std::collections::BTreeMap;

use rv_core::Subscription;
use rv_core::client::{Failure, RequestId};
use rv_proto::Time;

use super::World;
use crate::client::network::{Network, Outcome};
use crate::client::point::shifted;

/// The streams that stand at points: client, point, and the request that began it.
pub(super) type Streams = BTreeMap<(usize, usize, RequestId), Stream>;

/// The point's end of a subscription.
#[derive(Debug)]
pub(super) struct Stream {
    subscription: Subscription,
    /// When the last that was written arrives: nothing overtakes it.
    behind: Time,
}

impl World {
    /// Updates of one stream at one time: a subscription that always has more is a storm.
    const UPDATES_MAX: u32 = 10_000;

    /// A subscription is answered, and its client has the answer at `behind`. One request that
    /// comes twice is one stream.
    pub(super) fn begin_stream(
        &mut self,
        key: (usize, usize, RequestId),
        subscription: Subscription,
        behind: Time,
    ) {
        let stream = Stream {
            subscription,
            behind,
        };
        self.streams.entry(key).or_insert(stream);
    }

    /// When a point has to say something.
    pub(super) fn next_push_at(&self) -> Option<Time> {
        let streams = self.streams.values();
        streams.map(|it| it.subscription.due_at()).min()
    }

    /// Sends what there is to tell on every stream.
    pub(super) fn push(&mut self) {
        let keys: Vec<_> = self.streams.keys().copied().collect();
        for key in keys {
            for _ in 0..Self::UPDATES_MAX {
                if !self.push_one(key) {
                    break;
                }
            }
        }
    }

    /// Returns whether there may be more.
    fn push_one(&mut self, key: (usize, usize, RequestId)) -> bool {
        let (client, point, id) = key;
        let link = self.link(point);
        let Some(stream) = self.streams.get_mut(&key) else {
            return false;
        };
        let updated = self.points[point].next_update(self.now, &mut stream.subscription);
        let Some(update) = updated else {
            return false;
        };
        let mut dice = self.network.dice(client, point);
        let fate = Network::fate(&mut dice, &link, link.answers_lost, true);
        let delay = fate.delays_millis.first().copied();
        let arrives = shifted(self.now, delay.unwrap_or_default().cast_signed());
        stream.behind = stream.behind.max(arrives);
        let wait = stream.behind.saturating_since(self.now);
        let wait_millis = u64::try_from(wait.as_millis()).expect("minutes");
        if !fate.is_lost() {
            let outcome = Outcome::Update(Box::new(update));
            self.answer_in(wait_millis, client, point, id, outcome);
            return true;
        }
        // What is lost of a stream is its end, which shows or not.
        self.streams.remove(&key);
        if dice.chance(50) {
            let outcome = Outcome::Failure(Failure::EndOfStream);
            self.answer_in(wait_millis, client, point, id, outcome);
        }
        false
    }
}
