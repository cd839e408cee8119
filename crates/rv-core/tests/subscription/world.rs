//! A registry that facts are put into, the truth beside it, and subscribers who read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use libp2p_identity::{Keypair, PeerId};
use rv_core::{Query, Reader, Registry, Rules, Subscription};
use rv_proto::multiaddr::Multiaddr;
use rv_proto::{
    Dialect, DialectSet, Epoch, Fact, Namespace, PeerRecord, Record, Records, Registered, Removed,
    Scope, Seq, SubscriptionUpdate, Time, Ttl, UnverifiedRecord, decode_frame,
};

pub(crate) const PEERS: usize = 4;
pub(crate) const NAMES: [&str; 2] = ["chat", "chat2"];
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(30);

/// Who reads finds what is new whenever it reads.
pub(crate) fn rules() -> Rules {
    Rules {
        heartbeat: HEARTBEAT,
        update_gap: Duration::ZERO,
        ..Rules::default()
    }
}

/// Which dialects a REGISTER brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Legacy,
    Standard,
    Both,
    Plain,
    /// Signed, with an address that readers of it do not all parse: it is in no listing at all.
    Nowhere,
}

pub(crate) const KINDS: [Kind; 5] = [
    Kind::Legacy,
    Kind::Standard,
    Kind::Both,
    Kind::Plain,
    Kind::Nowhere,
];

struct Sample {
    peer: PeerId,
    by_kind: Vec<(Records, BTreeMap<Dialect, Bytes>)>,
}

static POOL: LazyLock<Vec<Sample>> = LazyLock::new(|| (0..PEERS).map(sample).collect());

fn sample(number: usize) -> Sample {
    let seed = [u8::try_from(number).expect("few") + 1; 32];
    let key = Keypair::ed25519_from_bytes(seed).expect("32 bytes");
    let peer = key.public().to_peer_id();
    let common: Multiaddr = format!("/ip4/203.0.113.7/tcp/{}", 4001 + number)
        .parse()
        .expect("an address");
    let rare: Multiaddr = "/ip4/203.0.113.7/udp/1/utp".parse().expect("an address");
    let signed = |dialect, address: &Multiaddr| {
        let record = PeerRecord {
            peer,
            seq: 1,
            addresses: vec![address.clone()],
        };
        let envelope = record.seal(dialect, &key).expect("sealed");
        let parsed = UnverifiedRecord::parse(envelope).expect("parsed");
        parsed.verify().expect("our own signature")
    };
    let plain = Record::plain(&peer, std::slice::from_ref(&common));
    let by_kind = KINDS.map(|kind| {
        let legacy = || signed(Dialect::Legacy, &common);
        let standard = || signed(Dialect::Standard, &common);
        let records = match kind {
            Kind::Legacy => vec![legacy()],
            Kind::Standard => vec![standard()],
            Kind::Both => vec![legacy(), standard()],
            Kind::Plain => vec![plain.clone()],
            Kind::Nowhere => vec![signed(Dialect::Legacy, &rare)],
        };
        let mut forms = BTreeMap::new();
        if kind != Kind::Nowhere {
            for record in records.iter().chain([&plain]) {
                forms.insert(record.dialect(), record.bytes().clone());
            }
        }
        (Records::new(records).expect("one a dialect"), forms)
    });
    Sample {
        peer,
        by_kind: by_kind.into(),
    }
}

pub(crate) fn peer(number: usize) -> PeerId {
    POOL[number].peer
}

pub(crate) fn name(number: usize) -> Namespace {
    Namespace::new(NAMES[number]).expect("a name")
}

fn index_of(kind: Kind) -> usize {
    let index = KINDS.iter().position(|it| *it == kind);
    index.expect("all kinds")
}

/// The record that readers of these dialects are shown: signed before plain.
pub(crate) fn form(number: usize, kind: Kind, accepts: DialectSet) -> Option<Bytes> {
    let index = index_of(kind);
    let forms = &POOL[number].by_kind[index].1;
    accepts
        .iter()
        .find_map(|dialect| forms.get(&dialect).cloned())
}

type Key = (Namespace, PeerId);

/// The point, and what is true of it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) now: Time,
    log: u64,
    truth: BTreeMap<Key, (usize, Kind, Time)>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            registry: Registry::new(Epoch::from_bits(5)),
            now: Time::from_millis(1_000_000_000),
            log: 0,
            truth: BTreeMap::new(),
        }
    }

    fn apply(&mut self, fact: Fact) {
        self.log += 1;
        let seq = Seq::new(self.log).expect("a short log");
        self.registry.apply(seq, fact);
        self.registry.check_invariants();
    }

    pub(crate) fn register(&mut self, number: usize, namespace: usize, kind: Kind, secs: u32) {
        let index = index_of(kind);
        let (peer, namespace) = (peer(number), name(namespace));
        let expires_at = self.now.saturating_add(Duration::from_secs(secs.into()));
        self.apply(Fact::Registered(Registered {
            namespace: namespace.clone(),
            peer,
            records: POOL[number].by_kind[index].0.clone(),
            granted: Ttl::from_secs(secs.into()).expect("a ttl"),
            expires_at,
            origin: None,
        }));
        self.truth
            .insert((namespace, peer), (number, kind, expires_at));
    }

    pub(crate) fn unregister(&mut self, number: usize, namespace: usize) {
        let (peer, namespace) = (peer(number), name(namespace));
        // A removal is a fact of what is held, expired or not.
        let Some(held) = self.registry.registration(peer, &namespace) else {
            return;
        };
        let expires_at = held.expires_at();
        self.apply(Fact::Removed(Removed {
            namespace: namespace.clone(),
            peer,
            expires_at,
        }));
        self.truth.remove(&(namespace, peer));
    }

    pub(crate) fn pass(&mut self, secs: u64) {
        self.pass_millis(1_000 * secs);
    }

    pub(crate) fn pass_millis(&mut self, millis: u64) {
        self.now = self.now.saturating_add(Duration::from_millis(millis));
    }

    pub(crate) fn hide_due(&mut self) {
        let due: Vec<_> = self.registry.due_in_sight(self.now).cloned().collect();
        due.iter().for_each(|held| self.registry.hide(held));
    }

    pub(crate) fn erase_due(&mut self) {
        let due: Vec<_> = self.registry.due(self.now).cloned().collect();
        for held in &due {
            self.registry.erase(held);
        }
        self.registry.check_invariants();
    }

    /// Who is there for whoever accepts these, with record and deadline.
    pub(crate) fn listed(
        &self,
        scope: &Scope,
        accepts: DialectSet,
    ) -> BTreeMap<Key, (Bytes, Time)> {
        let truth = self.truth.iter().filter(|((namespace, _), _)| match scope {
            Scope::All => true,
            Scope::Namespace(wanted) => wanted == namespace,
        });
        let live = truth.filter(|(_, (_, _, until))| *until > self.now);
        live.filter_map(|(key, (number, kind, until))| {
            Some((key.clone(), (form(*number, *kind, accepts)?, *until)))
        })
        .collect()
    }
}

/// A subscriber and what it believes.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) scope: Scope,
    pub(crate) accepts: DialectSet,
    pub(crate) cookie: Option<Bytes>,
    pub(crate) view: BTreeMap<Key, (Bytes, Time)>,
    /// Whom the snapshot under way has not named yet.
    unnamed: BTreeSet<Key>,
    rules: Rules,
    pub(crate) machine: Subscription,
    pub(crate) resets: usize,
}

impl Subscriber {
    pub(crate) fn new(world: &World, scope: Scope, accepts: DialectSet) -> Self {
        Self::with_rules(world, scope, accepts, rules())
    }

    pub(crate) fn with_rules(
        world: &World,
        scope: Scope,
        accepts: DialectSet,
        rules: Rules,
    ) -> Self {
        let machine = begin(world, &scope, accepts, None, &rules);
        Self {
            rules,
            scope,
            accepts,
            cookie: None,
            view: BTreeMap::new(),
            unnamed: BTreeSet::new(),
            machine,
            resets: 0,
        }
    }

    /// The connection broke, and is made anew.
    pub(crate) fn reconnect(&mut self, world: &World) {
        let cookie = self.cookie.clone();
        self.machine = begin(world, &self.scope, self.accepts, cookie, &self.rules);
    }

    /// Reads one update, if there is one.
    pub(crate) fn read(&mut self, world: &World, bytes_max: usize) -> Option<SubscriptionUpdate> {
        let frame = self
            .machine
            .next_update(world.now, world.now, &world.registry, bytes_max)?;
        let update = decode(&frame);
        self.take(world.now, &update);
        Some(update)
    }

    fn take(&mut self, now: Time, update: &SubscriptionUpdate) {
        if update.is_reset {
            self.resets += 1;
            self.unnamed = self.view.keys().cloned().collect();
        }
        for entry in &update.entries {
            let bytes = entry.namespace.as_deref().expect("always there");
            let namespace = Namespace::from_bytes(bytes).expect("a name");
            let record = entry.record.clone().expect("always there");
            let parsed = UnverifiedRecord::parse(record.clone()).expect("a record");
            assert!(self.accepts.contains(parsed.dialect()), "in their dialect");
            let is_signed = parsed.dialect() != Dialect::Plain;
            assert_eq!(entry.verified, Some(is_signed));
            let ttl = Duration::from_secs(entry.ttl_secs.expect("always there"));
            let key = (namespace, *parsed.peer());
            self.unnamed.remove(&key);
            self.view.insert(key, (record, now.saturating_add(ttl)));
        }
        for removal in &update.removals {
            let namespace = Namespace::from_bytes(removal.namespace.as_deref().expect("there"));
            let peer = PeerId::from_bytes(removal.peer.as_deref().expect("there"));
            let key = (namespace.expect("a name"), peer.expect("a peer"));
            self.unnamed.remove(&key);
            self.view.remove(&key);
        }
        if update.is_complete {
            for key in std::mem::take(&mut self.unnamed) {
                self.view.remove(&key);
            }
        }
        if update.cookie.is_some() {
            self.cookie.clone_from(&update.cookie);
        }
    }

    /// Whom it believes to be there: it watches the deadlines itself.
    pub(crate) fn believes(&self, now: Time) -> BTreeMap<Key, (Bytes, Time)> {
        let live = self.view.iter().filter(|(_, (_, until))| *until > now);
        live.map(|(key, held)| (key.clone(), held.clone()))
            .collect()
    }
}

fn decode(frame: &[u8]) -> SubscriptionUpdate {
    let mut buffer = BytesMut::from(frame);
    let payload = decode_frame(&mut buffer, 1 << 20).expect("a frame");
    assert!(buffer.is_empty(), "one frame at a time");
    SubscriptionUpdate::decode(payload.expect("whole")).expect("an update")
}

fn begin(
    world: &World,
    scope: &Scope,
    accepts: DialectSet,
    cookie: Option<Bytes>,
    rules: &Rules,
) -> Subscription {
    let reader = Reader {
        accepts,
        ..Reader::unknown(peer(0), Dialect::Legacy)
    };
    let query = Query {
        reader,
        scope: scope.clone(),
        cookie,
        entries_max: 1,
        page_bytes_max: 1,
    };
    Subscription::new(&world.registry, &query, rules).expect("a good cookie")
}
