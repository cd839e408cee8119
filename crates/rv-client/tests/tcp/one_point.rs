//! The handle of one point.

use rv_client::RegisterError;
use rv_client::rv_core::client::{Cause, RegisterOptions};

use crate::support::*;

#[tokio::test]
async fn registering_at_one_point_waits_for_an_address_if_it_is_asked_to() {
    let point = own_point(120).await;
    let (node, client) = client_without_address();
    let added = client
        .add_point(point.peer(), [point.address.clone()])
        .await;
    added.expect("there is room");
    let here = client.point(point.peer());
    let early = within("answer", here.register(namespace("early"), secs(600))).await;
    assert_eq!(early, Err(RegisterError::NoAddress));

    let options = RegisterOptions {
        wait_for_address: true,
        ..ttl(600)
    };
    let waiting = here.register_with(namespace("ns"), options);
    let learn = async {
        let status = eventually("the call", async || here.status(namespace("ns")).await).await;
        assert_eq!((status.until, status.next_at), (None, None));
        let cause = status.last_failure.map(|(_, cause)| cause);
        assert_eq!(cause, Some(Cause::NoAddress));
        node.with(|swarm| swarm.add_external_address(external()))
            .await;
    };
    let (granted, ()) = within("grant", async { futures::join!(waiting, learn) }).await;
    assert_eq!(granted.ok(), secs(600));
}

#[tokio::test]
async fn the_handle_of_a_point_tells_how_a_registration_stands_there() {
    let points = [own_point(120).await, own_point(120).await];
    let at = points
        .iter()
        .map(|point| (point.peer(), point.address.clone()));
    let (_node, client) = client_of(at).await;
    let [here, there] = points.each_ref().map(|point| client.point(point.peer()));
    assert_eq!(here.status(namespace("ns")).await, None);
    let granted = within("grant", here.register(namespace("ns"), secs(600))).await;
    assert_eq!(granted.ok(), secs(600));

    let status = here.status(namespace("ns")).await.expect("registered");
    assert_eq!(
        (status.point, status.namespace),
        (points[0].peer(), namespace("ns"))
    );
    assert!(status.next_at.is_some() && status.next_at < status.until);
    assert_eq!((status.last_failure, status.is_leaving), (None, false));
    assert_eq!(here.status(namespace("other")).await, None);
    assert_eq!(there.status(namespace("ns")).await, None);

    let left = within("end", here.unregister(namespace("ns"))).await;
    assert_eq!(left, Ok(()));
    assert_eq!(here.status(namespace("ns")).await, None);
}
