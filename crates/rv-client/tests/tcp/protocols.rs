//! Networks with a protocol name of their own.

use libp2p::identity::Keypair;
use libp2p::swarm::StreamProtocol;
use libp2p::{Multiaddr, PeerId};
use rv_client::rv_core::client::Failure;
use rv_client::rv_proto::{Dialect, EXTENSION_PROTOCOL, Ttl};
use rv_client::{
    Behaviour, Client, Config, ConfigError, DiscoverError, PROTOCOL, RegisterError, UnregisterError,
};
use rv_server::random_epoch;

use crate::hostile::muxed::MuxedPoint;
use crate::support::*;

const PRIVATE: StreamProtocol = StreamProtocol::new("/mynet/rendezvous/1.0.0");

/// Our own point under these names, for readers of what our clients register where there is no
/// extension.
async fn point_of(protocols: &[StreamProtocol]) -> Point<rv_server::Behaviour> {
    let mut config = rv_server::Config {
        protocols: protocols.to_vec(),
        ..rv_server::Config::default()
    };
    config.rules.dialect_default = Dialect::Standard;
    let behaviour = rv_server::Behaviour::in_memory(config, random_epoch());
    let behaviour = behaviour.expect("a good configuration");
    Point::start(&Keypair::generate_ed25519(), behaviour, loopback()).await
}

/// A client under these names that knows this point.
async fn client_at(
    at: (PeerId, Multiaddr),
    protocols: &[StreamProtocol],
) -> (Node<Behaviour>, Client) {
    let config = Config {
        protocols: protocols.to_vec(),
        ..quick()
    };
    client_of_with(config, [at]).await
}

/// The names that a client under these ones proposes for its first stream, in their order.
async fn proposed_by(protocols: &[StreamProtocol]) -> Vec<String> {
    let mut point = MuxedPoint::start().await;
    let (_node, client) = client_at(point.at.clone(), protocols).await;
    let proposals = async {
        let mut connection = point.accept().await;
        let mut stream = connection.accept().await.expect("it asks");
        stream.refuse_all().await
    };
    let asked = client.discover(scope("ns"), None);
    let (found, proposals) = futures::join!(within("answer", asked), proposals);
    let point = point.at.0;
    let failure = Failure::Unsupported;
    assert_eq!(found, Err(DiscoverError::Broken { point, failure }));
    proposals
}

#[tokio::test]
async fn the_extension_is_proposed_only_where_the_name_of_the_specification_is() {
    assert_eq!(proposed_by(&[PRIVATE]).await, [PRIVATE.as_ref()]);
    assert_eq!(
        proposed_by(&[PROTOCOL]).await,
        [EXTENSION_PROTOCOL, PROTOCOL.as_ref()]
    );
    assert_eq!(
        proposed_by(&[PRIVATE, PROTOCOL]).await,
        [EXTENSION_PROTOCOL, PRIVATE.as_ref(), PROTOCOL.as_ref()]
    );
    let extension = StreamProtocol::new(EXTENSION_PROTOCOL);
    assert_eq!(
        proposed_by(&[PROTOCOL, extension.clone()]).await,
        [EXTENSION_PROTOCOL, PROTOCOL.as_ref()]
    );
    let config = Config {
        protocols: vec![PRIVATE, extension],
        ..Config::default()
    };
    let refused = Behaviour::new(Keypair::generate_ed25519(), config).err();
    assert_eq!(refused, Some(ConfigError::Extension));
}

#[tokio::test]
async fn a_client_of_a_private_network_does_not_meet_a_public_point() {
    for (of_client, of_point) in [(PRIVATE, PROTOCOL), (PROTOCOL, PRIVATE)] {
        let public = point_of(&[of_point]).await;
        let point = public.peer();
        let at = (point, public.address.clone());
        let (_node, client) = client_at(at, &[of_client]).await;
        let here = client.point(point);
        let failure = Failure::Unsupported;
        let registered = within("answer", here.register(namespace("ns"), None)).await;
        let expected = RegisterError::Broken {
            point,
            failure: failure.clone(),
        };
        assert_eq!(registered, Err(expected));
        let found = within("answer", here.discover(scope("ns"), None, None)).await;
        let expected = DiscoverError::Broken {
            point,
            failure: failure.clone(),
        };
        assert_eq!(found.map(|page| page.peers), Err(expected));
        let left = within("answer", here.unregister(namespace("ns"))).await;
        assert_eq!(left, Err(UnregisterError::Broken { point, failure }));
    }
}

#[tokio::test]
async fn clients_of_a_private_network_find_each_other_at_its_point() {
    let private = point_of(&[PRIVATE]).await;
    let at = (private.peer(), private.address.clone());
    let (node, client) = client_at(at.clone(), &[PRIVATE]).await;
    let (_seeker, seeker) = client_at(at, &[PRIVATE]).await;
    let here = client.point(private.peer());
    let granted = within("grant", here.register(namespace("ns"), secs(7_200))).await;
    assert_eq!(granted, Ok(Ttl::from_secs(7_200).expect("a good ttl")));

    let found = within("listing", seeker.discover(scope("ns"), None)).await;
    let found = found.expect("the point answers");
    let peers: Vec<_> = found.peers.iter().map(|it| it.peer()).collect();
    assert_eq!(peers, [node.peer]);
    assert!(found.peers[0].is_verified());
    assert!(!client.status().await.points[0].has_extension);

    let left = within("end", here.unregister(namespace("ns"))).await;
    assert_eq!(left, Ok(()));
    let found = within("listing", seeker.discover(scope("ns"), None)).await;
    assert_eq!(found.expect("the point answers").peers, []);
}

#[tokio::test]
async fn a_client_with_both_names_uses_the_extension_at_a_public_point_and_meets_private_ones() {
    let both = [PRIVATE, PROTOCOL];
    let public = point_of(&[PROTOCOL]).await;
    let private = point_of(&[PRIVATE]).await;
    for (point, other, has_extension) in [(&public, PROTOCOL, true), (&private, PRIVATE, false)] {
        let at = (point.peer(), point.address.clone());
        let (node, client) = client_at(at.clone(), &both).await;
        let granted = within("grant", client.register(namespace("ns"), ttl(7_200))).await;
        granted.expect("granted");
        let status = client.status().await;
        assert_eq!(status.points[0].has_extension, has_extension);
        let (_seeker, seeker) = client_at(at, &[other]).await;
        let found = within("listing", seeker.discover(scope("ns"), None)).await;
        let found = found.expect("the point answers");
        let peers: Vec<_> = found.peers.iter().map(|it| it.peer()).collect();
        assert_eq!(peers, [node.peer]);
    }
}
