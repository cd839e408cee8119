//! Records sealed once for all cases: signing each anew would take longer than all the rest.

use std::sync::LazyLock;

use libp2p_identity::{Keypair, PeerId};
use rv_proto::multiaddr::Multiaddr;
use rv_proto::{Dialect, DialectSet, Namespace, PeerRecord, Record, Records, UnverifiedRecord};

/// Peers that register. The last has a secp256k1 key, which legacy readers do not check.
pub(crate) const PEERS: usize = 5;

/// Versions of each peer's record: their `seq` grows.
pub(crate) const VERSIONS: usize = 3;

/// Names under which they register.
pub(crate) const NAMESPACES: usize = 3;

/// Which dialects one REGISTER brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Legacy,
    Standard,
    Both,
    Plain,
}

/// Which addresses the record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// One that everybody parses.
    Common,
    /// Forty of these, so that three records fill the smallest page.
    Many,
    /// One that everybody parses and one that few do.
    Mixed,
    /// One that few parse.
    Rare,
}

/// One possible REGISTER, and what readers must be shown of it.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) peer: usize,
    pub(crate) version: usize,
    pub(crate) kind: Kind,
    pub(crate) addresses: Addresses,
    pub(crate) records: Records,
    forms: [Option<Vec<u8>>; 3],
}

impl Sample {
    /// The bytes that readers of `dialect` are shown; `None` if it is not for them.
    pub(crate) fn form(&self, dialect: Dialect) -> Option<&[u8]> {
        self.forms[dialect.index()].as_deref()
    }

    /// The bytes that readers of any of these dialects are shown, and in which; signed ones first.
    pub(crate) fn best_form(&self, dialects: DialectSet) -> Option<(Dialect, &[u8])> {
        let mut forms = dialects.iter().map(|dialect| (dialect, self.form(dialect)));
        forms.find_map(|(dialect, form)| Some((dialect, form?)))
    }
}

struct Pool {
    peers: Vec<PeerId>,
    outsider: PeerId,
    samples: Vec<Sample>,
    namespaces: Vec<Namespace>,
}

static POOL: LazyLock<Pool> = LazyLock::new(|| {
    let keys: Vec<_> = (0..PEERS).map(keypair).collect();
    let namespaces = ["chat", "chat2", "c"].map(|name| Namespace::new(name).expect("valid"));
    Pool {
        peers: keys.iter().map(|key| key.public().to_peer_id()).collect(),
        outsider: Keypair::ed25519_from_bytes([99; 32])
            .expect("valid")
            .public()
            .to_peer_id(),
        samples: keys
            .iter()
            .enumerate()
            .flat_map(|(peer, key)| samples_of(peer, key))
            .collect(),
        namespaces: namespaces.into(),
    }
});

/// The peer of that number.
pub(crate) fn peer(number: usize) -> PeerId {
    POOL.peers[number]
}

/// A peer that never registers.
pub(crate) fn outsider() -> PeerId {
    POOL.outsider
}

/// The namespace of that number.
pub(crate) fn namespace(number: usize) -> Namespace {
    POOL.namespaces[number].clone()
}

/// The REGISTER that fits.
pub(crate) fn sample(
    peer: usize,
    version: usize,
    kind: Kind,
    addresses: Addresses,
) -> &'static Sample {
    let wanted = (peer, version, kind, addresses);
    let found = POOL
        .samples
        .iter()
        .find(|it| (it.peer, it.version, it.kind, it.addresses) == wanted);
    found.expect("every combination is in the pool")
}

/// The REGISTER that brought these records.
pub(crate) fn sample_of(records: &Records) -> &'static Sample {
    let found = POOL
        .samples
        .iter()
        .find(|sample| sample.records == *records);
    found.expect("all records come from the pool")
}

fn keypair(peer: usize) -> Keypair {
    let seed = [u8::try_from(peer).expect("few peers") + 1; 32];
    if peer + 1 == PEERS {
        let secret = libp2p_identity::secp256k1::SecretKey::try_from_bytes(seed).expect("valid");
        return libp2p_identity::secp256k1::Keypair::from(secret).into();
    }
    Keypair::ed25519_from_bytes(seed).expect("32 bytes")
}

fn samples_of(peer: usize, key: &Keypair) -> Vec<Sample> {
    let mut samples = Vec::new();
    for version in 0..VERSIONS {
        for addresses in [
            Addresses::Common,
            Addresses::Many,
            Addresses::Mixed,
            Addresses::Rare,
        ] {
            for kind in [Kind::Legacy, Kind::Standard, Kind::Both, Kind::Plain] {
                samples.push(seal(peer, key, version, kind, addresses));
            }
        }
    }
    samples
}

fn seal(peer: usize, key: &Keypair, version: usize, kind: Kind, addresses: Addresses) -> Sample {
    let id = key.public().to_peer_id();
    let common: Vec<_> = match addresses {
        Addresses::Common | Addresses::Mixed => vec![common_address(peer, version, 0)],
        Addresses::Many => (0..40)
            .map(|port| common_address(peer, version, port))
            .collect(),
        Addresses::Rare => Vec::new(),
    };
    let rare: Vec<_> = match addresses {
        Addresses::Common | Addresses::Many => Vec::new(),
        Addresses::Mixed | Addresses::Rare => vec![rare_address(peer, version)],
    };
    let all = [rare.clone(), common.clone()].concat();
    let seq = 100 + version as u64;
    let payload = PeerRecord {
        peer: id,
        seq,
        addresses: all.clone(),
    };
    let signed = |dialect| {
        let envelope = payload.seal(dialect, key).expect("sealed");
        let parsed = UnverifiedRecord::parse(envelope).expect("parsed");
        parsed.verify().expect("our own signature")
    };
    let records: Vec<Record> = match kind {
        Kind::Legacy => vec![signed(Dialect::Legacy)],
        Kind::Standard => vec![signed(Dialect::Standard)],
        Kind::Both => vec![signed(Dialect::Standard), signed(Dialect::Legacy)],
        Kind::Plain => vec![Record::plain(&id, &all)],
    };
    let form = |dialect| match dialect {
        Dialect::Legacy if peer + 1 == PEERS => None,
        Dialect::Legacy | Dialect::Standard if rare.is_empty() => {
            let record = records.iter().find(|record| record.dialect() == dialect)?;
            Some(record.bytes().to_vec())
        }
        Dialect::Legacy | Dialect::Standard => None,
        Dialect::Plain if common.is_empty() => None,
        Dialect::Plain => Some(Record::plain(&id, &common).bytes().to_vec()),
    };
    let forms = Dialect::ALL.map(form);
    let records = Records::new(records).expect("one a dialect");
    Sample {
        peer,
        version,
        kind,
        addresses,
        records,
        forms,
    }
}

fn common_address(peer: usize, version: usize, port: usize) -> Multiaddr {
    let text = format!(
        "/dns4/host-{peer}-{version}-with-a-long-name.example.org/tcp/{}",
        4001 + port
    );
    text.parse().expect("an address")
}

fn rare_address(peer: usize, version: usize) -> Multiaddr {
    format!("/ip4/203.0.113.7/udp/{}/utp", 1 + 10 * peer + version)
        .parse()
        .expect("an address")
}
