//! Listed registrations that are not usable, beside some that are.

use libp2p::PeerId;
use libp2p::identity::Keypair;
use rv_client::rv_core::client::{Discovered, Skip};
use rv_client::rv_proto::{Dialect, RecordError, Scope, Time};

use super::scene::{Scene, Seen, impatient};
use super::wicked::WickedPoint;
use super::wire::*;
use crate::support::*;

/// What a listing comes to at a point that gives these entries.
async fn list(scene: &Scene, entries: &[Vec<u8>], of: Scope) -> Seen {
    let point = WickedPoint::saying(register_response(&[number(3, 600)]), page(entries, b"")).await;
    let peer = point.at.0;
    scene.meet(point.at.clone()).await;
    let seen = scene.list_at(peer, of).await;
    assert_eq!(seen.listed.cause, None, "an entry ends no listing");
    assert_eq!(seen.listed.pages, 1);
    scene.part(peer).await;
    seen
}

fn peers(seen: &Seen) -> Vec<PeerId> {
    seen.peers.iter().map(|found| found.peer()).collect()
}

fn key() -> Keypair {
    Keypair::generate_ed25519()
}

fn id(key: &Keypair) -> PeerId {
    key.public().to_peer_id()
}

fn standard(key: &Keypair) -> Vec<u8> {
    sealed(key, Dialect::Standard, 1, 1)
}

/// Every record that is not usable, and why.
fn bad_records(scene: &Scene) -> Vec<(Vec<u8>, Skip)> {
    let (own, one, two) = (scene.node.peer, key(), key());
    let mut forged = standard(&one);
    *forged.last_mut().expect("not empty") ^= 1;
    let mut other_type = standard(&one);
    let at = other_type
        .windows(2)
        .position(|it| it == [0x03, 0x01])
        .expect("the payload type");
    other_type[at] = 0x04;
    let good = address(1).to_vec();
    let many = vec![vec![0x06, 0, 1]; 65];
    let heap = plain(&id(&one), &vec![good.clone(); 10_000]);
    let heap_bytes = heap.len();
    let skip = |error: RecordError| Skip::Record(error);
    vec![
        (sealed_for(own, &one, Dialect::Standard, 9, 1), Skip::Own),
        (plain(&own, std::slice::from_ref(&good)), Skip::Own),
        (
            sealed_for(id(&two), &one, Dialect::Standard, 1, 1),
            skip(RecordError::KeyMismatch),
        ),
        (
            sealed_for(id(&two), &one, Dialect::Legacy, 1, 1),
            skip(RecordError::KeyMismatch),
        ),
        (forged, skip(RecordError::Forged)),
        (other_type, skip(RecordError::PayloadType)),
        (vec![], Skip::NoRecord),
        (
            vec![0xff; 100],
            skip(RecordError::Undecodable("not a protobuf message")),
        ),
        (vec![0; 4_097], skip(RecordError::TooLarge { bytes: 4_097 })),
        (heap, skip(RecordError::TooLarge { bytes: heap_bytes })),
        (
            plain(&id(&one), &many),
            skip(RecordError::TooManyAddresses { count: 65 }),
        ),
        (
            sealed_with(&one, &many),
            skip(RecordError::TooManyAddresses { count: 65 }),
        ),
        (
            sealed_with(&one, &[good, b"/ip4/1.2.3.4/tcp/1".to_vec()]),
            skip(RecordError::BadAddress { index: 1 }),
        ),
        (
            plain(&id(&one), &[b"nowhere".to_vec()]),
            skip(RecordError::NoAddress),
        ),
        (plain(&id(&one), &[]), skip(RecordError::NoAddress)),
    ]
}

#[tokio::test]
async fn one_bad_record_at_any_place_of_the_list_costs_no_other() {
    let scene = Scene::start(impatient()).await;
    let good: Vec<_> = [Dialect::Legacy, Dialect::Standard, Dialect::Plain]
        .into_iter()
        .map(|dialect| {
            let key = key();
            let record = match dialect {
                Dialect::Plain => plain(&id(&key), &[address(1).to_vec()]),
                _ => sealed(&key, dialect, 1, 1),
            };
            (id(&key), record)
        })
        .collect();
    let honest: Vec<_> = good.iter().map(|(peer, _)| *peer).collect();
    for (record, skip) in bad_records(&scene) {
        for place in [0, 1, 3] {
            let mut entries: Vec<_> = good
                .iter()
                .map(|(_, record)| good_entry("ns", record))
                .collect();
            entries.insert(place, good_entry("ns", &record));
            let seen = list(&scene, &entries, scope("ns")).await;
            assert_eq!(seen.skipped, [(skip, 1)], "at {place}");
            assert_eq!(peers(&seen), honest, "{skip} at {place}");
        }
    }
    scene.healthy_goes_on("after all").await;
}

#[tokio::test]
async fn every_dialect_is_read_at_every_place_of_the_list() {
    let scene = Scene::start(impatient()).await;
    for first in 0..3 {
        let mut honest = Vec::new();
        let mut entries = Vec::new();
        for offset in 0..3 {
            let (key, dialect) = (key(), Dialect::ALL[(first + offset) % 3]);
            let record = match dialect {
                Dialect::Plain => plain(&id(&key), &[address(1).to_vec()]),
                _ => sealed(&key, dialect, 1, 1),
            };
            entries.push(good_entry("ns", &record));
            honest.push((id(&key), dialect != Dialect::Plain));
        }
        let seen = list(&scene, &entries, scope("ns")).await;
        let read: Vec<_> = seen
            .peers
            .iter()
            .map(|it| (it.peer(), it.is_verified()))
            .collect();
        assert_eq!(read, honest);
        assert_eq!(seen.skipped, []);
    }
}

#[tokio::test]
async fn an_entry_without_what_it_needs_is_left_out_and_told() {
    let scene = Scene::start(impatient()).await;
    let (one, two, three) = (key(), key(), key());
    let record = standard(&one);
    let record = Some(record.as_slice());
    let entries = [
        entry(Some(b"other"), record, Some(600)),
        entry(Some(b"ns\xff"), record, Some(600)),
        entry(Some(b"ns"), None, Some(600)),
        entry(Some(b"ns"), record, Some(0)),
        entry(None, None, None),
        good_entry("ns", &standard(&two)),
        // go leaves the namespace out, and proto3 leaves nothing out that is not 0.
        entry(None, Some(&standard(&three)), None),
    ];
    let seen = list(&scene, &entries, scope("ns")).await;
    assert_eq!(peers(&seen), [id(&two), id(&three)]);
    let expected = [
        (Skip::ForeignNamespace, 2),
        (Skip::NoRecord, 2),
        (Skip::Expired, 1),
    ];
    assert_eq!(seen.skipped, expected);

    // Where everything is asked for, the name is needed, and has to be one.
    let long = [b'n'; 256];
    let entries = [
        entry(None, record, Some(600)),
        entry(Some(b""), record, Some(600)),
        entry(Some(b"ns\xff"), record, Some(600)),
        entry(Some(&long), record, Some(600)),
        good_entry("other", &standard(&two)),
    ];
    let seen = list(&scene, &entries, Scope::All).await;
    assert_eq!(peers(&seen), [id(&two)]);
    assert_eq!(seen.peers[0].namespace, namespace("other"));
    let expected = [(Skip::NoNamespace, 2), (Skip::ForeignNamespace, 2)];
    assert_eq!(seen.skipped, expected);
    scene.healthy_goes_on("after all").await;
}

#[tokio::test]
async fn what_remains_of_a_ttl_is_never_more_than_the_protocol_allows() {
    let scene = Scene::start(impatient()).await;
    let keys = [key(), key(), key(), key()];
    let ttls = [Some(600), None, Some(72 * 3_600), Some(u64::MAX)];
    let entries: Vec<_> = keys
        .iter()
        .zip(ttls)
        .map(|(key, ttl)| entry(Some(b"ns"), Some(&standard(key)), ttl))
        .collect();
    let seen = list(&scene, &entries, scope("ns")).await;
    let until: Vec<_> = seen.peers.iter().map(|it| it.until).collect();
    let after = |secs: u64| {
        let pause = std::time::Duration::from_secs(secs);
        let start: Time = until[0];
        start.saturating_add(pause)
    };
    assert_eq!(until[1], after(7_200 - 600));
    assert_eq!(until[2], after(72 * 3_600 - 600));
    assert_eq!(until[3], until[2]);
}

#[tokio::test]
async fn an_address_that_is_none_is_left_out_of_an_unsigned_record() {
    let scene = Scene::start(impatient()).await;
    let key = key();
    let addresses = [
        vec![],
        b"junk".to_vec(),
        address(7).to_vec(),
        vec![0xff; 40],
    ];
    let entries = [good_entry("ns", &plain(&id(&key), &addresses))];
    let seen = list(&scene, &entries, scope("ns")).await;
    assert_eq!(seen.peers[0].addresses(), [address(7)]);
    assert!(!seen.peers[0].is_verified());
}

#[tokio::test]
async fn an_entry_that_is_there_twice_counts_once_with_its_newest_record() {
    let scene = Scene::start(impatient()).await;
    let key = key();
    let numbered = |seq, port| good_entry("ns", &sealed(&key, Dialect::Standard, seq, port));
    // Signed ones, an older one, the same again, and what the point says without a signature.
    let unsigned = good_entry("ns", &plain(&id(&key), &[address(99).to_vec()]));
    let entries = [
        numbered(5, 5),
        numbered(4, 4),
        numbered(5, 5),
        unsigned.clone(),
        numbered(6, 6),
        unsigned,
    ];
    let seen = list(&scene, &entries, scope("ns")).await;
    let told: Vec<_> = seen
        .peers
        .iter()
        .map(|it| it.addresses().to_vec())
        .collect();
    assert_eq!(told, [[address(6)]]);
    assert_eq!(seen.skipped, []);
}

#[tokio::test]
async fn a_record_that_goes_back_in_time_does_not_replace_a_newer_one() {
    let scene = Scene::start(impatient()).await;
    let key = key();
    let saying = |seq, port| {
        let record = sealed(&key, Dialect::Standard, seq, port);
        let page = page(&[good_entry("ns", &record)], b"");
        WickedPoint::saying(register_response(&[number(3, 600)]), page)
    };
    let (honest, stale) = (saying(5, 5).await, saying(4, 4).await);
    for point in [&honest, &stale] {
        scene.meet(point.at.clone()).await;
    }
    let newest = |peers: &[Discovered]| {
        let found = peers.iter().find(|it| it.peer() == id(&key));
        found.expect("it is listed").addresses().to_vec()
    };
    let first = scene.list_at(honest.at.0, scope("ns")).await;
    assert_eq!(newest(&first.peers), [address(5)]);
    // The other point lists what was true once.
    let second = scene.list_at(stale.at.0, scope("ns")).await;
    assert_eq!(newest(&second.peers), [address(5)], "what is known is told");
    let cached = scene.client.cached(scope("ns"), None).await;
    assert_eq!(newest(&cached), [address(5)]);
    let found = within("listing", scene.client.discover(scope("ns"), None)).await;
    assert_eq!(newest(&found.expect("answered").peers), [address(5)]);
    scene.healthy_goes_on("after all").await;
}
