//! What of libp2p-kad has to stay as it is.

use dht_walk::swarm::libp2p_kad::store::{MemoryStore, RecordStore};
use dht_walk::swarm::{Behaviour, Config, FromHandler, ToHandler, libp2p_kad as kad, prepare};
use dht_walk::{Contact, Peer};
use futures::future::poll_fn;
use libp2p::PeerId;
use libp2p::core::Endpoint;
use libp2p::swarm::{
    ConnectionHandler, ConnectionId, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm,
};

/// Compiles as long as kad's handler can stand beside ours without a name of a private type.
#[test]
fn kad_internals_compile_guard() {
    fn of_kad<S: RecordStore + Send + 'static>(
        event: THandlerOutEvent<Behaviour<S>>,
    ) -> Option<THandlerOutEvent<kad::Behaviour<S>>> {
        event.left()
    }
    fn of_ours<S: RecordStore + Send + 'static>(
        event: THandlerOutEvent<Behaviour<S>>,
    ) -> Option<FromHandler> {
        event.right()
    }
    fn to_ours<S: RecordStore + Send + 'static>(
        event: THandlerInEvent<Behaviour<S>>,
    ) -> Option<ToHandler> {
        event.right()
    }
    fn takes_inbound<H: ConnectionHandler<InboundOpenInfo = ((), ())>>() {}
    let _ = of_kad::<MemoryStore>;
    let _ = of_ours::<MemoryStore>;
    let _ = to_ours::<MemoryStore>;
    takes_inbound::<THandler<Behaviour<MemoryStore>>>();
}

/// Nothing else shows it: the first bootstrap by the clock would be five minutes away.
#[test]
fn a_prepared_kad_inserts_nobody_by_itself_and_has_no_bootstrap_by_the_clock() {
    let mut config = kad::Config::new(kad::PROTOCOL_NAME);
    prepare(&mut config);
    let shown = format!("{config:?}");
    for set in [
        "kbucket_inserts: Manual",
        "periodic_bootstrap_interval: None",
    ] {
        assert!(shown.contains(set), "{shown}");
    }
}

#[tokio::test]
async fn a_kad_that_has_entries_already_is_taken_over_with_them() {
    let (local, other) = (PeerId::random(), PeerId::random());
    let address: libp2p::Multiaddr = "/ip4/127.0.0.1/tcp/9".parse().expect("an address");
    let mut of_kad = kad::Config::new(kad::PROTOCOL_NAME);
    prepare(&mut of_kad);
    let mut kad = kad::Behaviour::with_config(local, MemoryStore::new(local), of_kad);
    kad.add_address(&other, address.clone());
    let mut config = Config::default();
    config.walk.auto = false;
    let mut walk = Behaviour::new(local, kad, config).expect("the bounds make sense");
    let entries: Vec<Contact> = walk.table().iter().map(|it| it.contact()).collect();
    assert_eq!(entries, [Contact::new(Peer::new(other), [address])]);
    // Kad's event of it follows, and adds nobody twice.
    let event = poll_fn(|cx| walk.poll(cx)).await;
    assert!(matches!(event, ToSwarm::GenerateEvent(_)));
    assert_eq!(walk.table().len(), 1);
}

/// A kad keeps addresses with the peer's id at their end, the walk without.
#[test]
fn an_address_that_is_dialled_already_is_not_added_again_by_kad() {
    let (local, other) = (PeerId::random(), PeerId::random());
    let mut kad = kad::Behaviour::new(local, MemoryStore::new(local));
    let both = ["/ip4/127.0.0.1/tcp/9", "/ip4/127.0.0.1/tcp/10"];
    let [first, second] = both.map(|it| it.parse::<libp2p::Multiaddr>().expect("an address"));
    kad.add_address(&other, first.clone());
    kad.add_address(&other, second.clone());
    let mut walk = Behaviour::new(local, kad, Config::default()).expect("the bounds make sense");
    let more = walk
        .handle_pending_outbound_connection(
            ConnectionId::new_unchecked(1),
            Some(other),
            &[first],
            Endpoint::Dialer,
        )
        .expect("nobody is refused");
    assert_eq!(more, [second.with_p2p(other).expect("its own id")]);
}

#[test]
fn an_answer_that_may_have_no_byte_is_a_bound_that_makes_no_sense() {
    let local = PeerId::random();
    let kad = kad::Behaviour::new(local, MemoryStore::new(local));
    let config = Config {
        answer_bytes_max: 0,
        ..Config::default()
    };
    let error = Behaviour::new(local, kad, config).expect_err("nothing could be read");
    assert_eq!(error.to_string(), "the bounds make no sense");
}
