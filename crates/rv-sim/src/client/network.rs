//! The links: what is on its way, and what becomes of each message.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rv_core::client::{Failure, RequestId};
use rv_proto::{Response, SubscriptionUpdate, Time};

use super::case::Link;
use super::seen::Sent;
use crate::Dice;

/// Something on its way.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    /// A connection stands now.
    Connected { client: usize, point: usize },
    /// What becomes of a request, as its client sees it.
    Outcome {
        client: usize,
        point: usize,
        id: RequestId,
        outcome: Outcome,
    },
    /// The point starts again.
    PointUp { point: usize, keeps_store: bool },
    /// A request on its way to a point.
    Request {
        client: usize,
        point: usize,
        id: RequestId,
        sent: Sent,
        bytes: Bytes,
        /// The connection that it travels on; `None` if the point had read it already.
        connection: Option<u64>,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Failure(Failure),
    Response(Box<Response>),
    Update(Box<SubscriptionUpdate>),
    Written,
}

/// What is on its way, and which connections stand.
#[derive(Debug)]
pub(crate) struct Network {
    parcels: BTreeMap<(Time, u64), Parcel>,
    count: u64,
    open: BTreeMap<(usize, usize), u64>,
    /// Client, point and name whose next write is not lost: see [`Network::may_lose`].
    owed: BTreeSet<(usize, usize, usize)>,
    names: usize,
    seed: u64,
    drawn: BTreeMap<(usize, usize), u64>,
}

/// What becomes of one message: when its copies arrive, in milliseconds. None is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) delays_millis: Vec<u64>,
    pub(crate) is_late: bool,
}

impl Fate {
    /// Whether nobody waits for it any more when it comes, if it comes.
    pub(crate) const fn is_lost(&self) -> bool {
        self.is_late || self.delays_millis.is_empty()
    }
}

impl Network {
    /// The shortest way.
    pub(crate) const DELAY_MILLIS_MIN: u64 = 5;
    /// The longest way when nothing is wrong.
    pub(crate) const CALM_MILLIS_MAX: u64 = 50;
    /// How late the late ones are.
    const LATE_MILLIS: (u64, u64) = (5_000, 90_000);

    pub(crate) const fn new(seed: u64, names: usize) -> Self {
        Self {
            parcels: BTreeMap::new(),
            count: 0,
            open: BTreeMap::new(),
            owed: BTreeSet::new(),
            names,
            seed,
            drawn: BTreeMap::new(),
        }
    }

    pub(crate) fn send(&mut self, at: Time, parcel: Parcel) {
        self.count += 1;
        self.parcels.insert((at, self.count), parcel);
    }

    pub(crate) fn next_at(&self) -> Option<Time> {
        self.parcels.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn take_due(&mut self, now: Time) -> Option<Parcel> {
        let first = self.parcels.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    pub(crate) fn connection(&self, client: usize, point: usize) -> Option<u64> {
        self.open.get(&(client, point)).copied()
    }

    /// The connection between two, and whether it had to be made.
    pub(crate) fn connect(&mut self, client: usize, point: usize) -> (u64, bool) {
        if let Some(open) = self.connection(client, point) {
            return (open, false);
        }
        self.count += 1;
        self.open.insert((client, point), self.count);
        (self.count, true)
    }

    pub(crate) fn disconnect(&mut self, client: usize, point: usize) {
        self.open.remove(&(client, point));
    }

    /// The dice of a link. Each has its own, so that what happens elsewhere changes nothing here.
    pub(crate) fn dice(&mut self, client: usize, point: usize) -> Dice {
        let drawn = self.drawn.entry((client, point)).or_default();
        *drawn += 1;
        let link = (client as u64) << 32 | (point as u64) << 24;
        Dice::fork(self.seed, link ^ (*drawn << 40) ^ 7)
    }

    /// Decides on one message. `lost` is how many in a hundred are.
    pub(crate) fn fate(dice: &mut Dice, link: &Link, lost: u64, may_lose: bool) -> Fate {
        let most = link.delay_millis_max.max(Self::CALM_MILLIS_MAX);
        let way = |dice: &mut Dice| dice.within(Self::DELAY_MILLIS_MIN, most);
        let (is_lost, is_late) = (dice.chance(lost), dice.chance(link.late));
        let first = way(dice);
        let (is_doubled, second) = (dice.chance(link.doubled), way(dice));
        let (least, latest) = Self::LATE_MILLIS;
        let late = dice.within(least, latest);
        if (is_lost || is_late) && !may_lose {
            return Fate {
                delays_millis: vec![first],
                is_late: false,
            };
        }
        if is_lost {
            return Fate {
                delays_millis: vec![],
                is_late: false,
            };
        }
        if is_late {
            return Fate {
                delays_millis: vec![late],
                is_late: true,
            };
        }
        let mut delays_millis = vec![first];
        if is_doubled {
            delays_millis.push(second);
        }
        Fate {
            delays_millis,
            is_late: false,
        }
    }

    /// Whether a message may be lost: at the first point none that was owed after another loss.
    ///
    /// A write that is lost there, or its answer, costs every registration of that client a try,
    /// because one tries for all. The shortest ttl leaves time for one more, so the next write of
    /// each comes through and is answered.
    pub(crate) fn may_lose(&self, client: usize, point: usize, sent: Sent) -> bool {
        match sent {
            Sent::Discover { .. } | Sent::Subscribe { .. } => true,
            Sent::Register { name } | Sent::Unregister { name } => {
                point > 0 || !self.owed.contains(&(client, point, name))
            }
        }
    }

    /// A write, or the answer to it, is lost.
    pub(crate) fn note_loss(&mut self, client: usize, point: usize, sent: Sent) {
        match sent {
            Sent::Discover { .. } | Sent::Subscribe { .. } => {}
            Sent::Register { .. } | Sent::Unregister { .. } => {
                let names = 0..self.names;
                self.owed.extend(names.map(|name| (client, point, name)));
            }
        }
    }

    /// A write came through, and so does its answer.
    pub(crate) fn note_answer(&mut self, client: usize, point: usize, sent: Sent) {
        match sent {
            Sent::Discover { .. } | Sent::Subscribe { .. } => {}
            Sent::Register { name } | Sent::Unregister { name } => {
                self.owed.remove(&(client, point, name));
            }
        }
    }
}
