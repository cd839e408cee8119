//! Records that are valid, but that some stock client cannot parse: nobody's listing suffers.

use std::collections::BTreeSet;

use libp2p::Multiaddr;
use rv_interop::wire::Register;
use rv_interop::{Identity, RawClient, RunningDaemon, plain_record};

use crate::client::{Kind, Kinds, Listing};
use crate::{NAMESPACE, TTL_SECS};

/// An address that every library parses.
const USUAL: &str = "/ip4/127.0.0.1/tcp/4001";

/// Addresses that some library does not parse.
const ODD: [&str; 3] = [
    "/ip4/127.0.0.1/udp/4001/utp",
    "/ip4/127.0.0.1/udp/4001/webrtc-direct",
    "/dns4/under_score.example/tcp/4001",
];

/// A part with a code that nobody knows.
const UNKNOWN: [u8; 3] = [0xff, 0xff, 0x7f];

#[tokio::test]
async fn a_record_that_some_client_cannot_parse_changes_no_clients_result() {
    let Some(kinds) = Kinds::find() else {
        return;
    };
    let point = RunningDaemon::for_every_language().await;
    let address = &point.addresses()[0];
    let usual: Multiaddr = USUAL.parse().expect("an address");
    let listed = |own: &Identity| (own.peer(), BTreeSet::from([usual.clone()]));

    let mut mixed = vec![usual.to_vec()];
    for odd in ODD {
        mixed.push(odd.parse::<Multiaddr>().expect("an address").to_vec());
    }
    let mut unknown = mixed.clone();
    unknown.push(UNKNOWN.to_vec());
    let new = Identity::new;
    let (legacy, standard, plain) = (new(), new(), new());
    let odd_legacy = register(address, new(), |own| own.legacy_of(1, &mixed)).await;
    let odd_standard = register(address, new(), |own| own.standard_of(1, &mixed)).await;
    let odd_plain = register(address, new(), |own| plain_record(own.peer(), &unknown)).await;
    let secp = Identity::new_secp256k1;
    let secp_legacy = register(address, secp(), Identity::legacy).await;
    let secp_standard = register(address, secp(), Identity::standard).await;
    let rsa_standard = register(address, Identity::rsa(), Identity::standard).await;
    let legacy = register(address, legacy, Identity::legacy).await;
    let standard = register(address, standard, Identity::standard).await;
    let plain = register(address, plain, Identity::plain).await;

    let of_rust = Listing::from([listed(&legacy)]);
    let of_js = [&standard, &secp_standard, &rsa_standard]
        .map(listed)
        .into();
    let mut of_plain: Listing = [&legacy, &standard, &plain].map(listed).into();
    of_plain.extend([&odd_legacy, &odd_standard, &odd_plain].map(listed));
    of_plain.extend([&secp_legacy, &secp_standard, &rsa_standard].map(listed));

    for kind in [Kind::Rust, Kind::Js, Kind::Go, Kind::Py] {
        let expected = match kind {
            Kind::Rust => &of_rust,
            Kind::Js => &of_js,
            Kind::Go | Kind::Py | Kind::Ours => &of_plain,
        };
        // By what the client shows of itself, and by its own registration.
        let mut reader = kinds.connect(kind, address).await;
        assert_eq!(reader.listing(NAMESPACE).await, *expected, "{kind:?}");
        reader.register("elsewhere", TTL_SECS).await;
        assert_eq!(reader.listing(NAMESPACE).await, *expected, "{kind:?}");
        reader.end().await;
    }
    point.stop().await;
}

async fn register(
    point: &Multiaddr,
    own: Identity,
    record: impl FnOnce(&Identity) -> Vec<u8>,
) -> Identity {
    let record = record(&own);
    let client = RawClient::dial(point, own).await;
    let request = Register::new(NAMESPACE, record);
    client.open().await.register_ok(&request).await;
    client.identity().clone()
}
