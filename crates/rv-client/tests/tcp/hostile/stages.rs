//! Streams and connections that break off, at each stage of a request.

use rv_client::rv_core::client::{Breach, Failure};
use rv_client::rv_proto::FrameError;

use super::muxed::{MuxedConnection, MuxedPoint, MuxedStream};
use super::scene::{Scene, Told, impatient};

use libp2p::{Multiaddr, PeerId};
use tokio::io::AsyncWriteExt as _;

/// How far a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Opened,
    Negotiated,
    Asked,
    HalfAnswered,
}

/// What then breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    Connection,
    Reset,
    Stream,
}

const STAGES: [Stage; 4] = [
    Stage::Opened,
    Stage::Negotiated,
    Stage::Asked,
    Stage::HalfAnswered,
];

async fn play(stage: Stage, stream: &mut MuxedStream) {
    let proposal = stream.read_proposal().await;
    if stage == Stage::Opened {
        return;
    }
    stream.negotiate(proposal).await;
    if stage == Stage::Negotiated {
        return;
    }
    stream.read_frame().await;
    if stage == Stage::HalfAnswered {
        stream.write(&[9, 8, 4]).await;
    }
}

/// Lets every request on a connection break off, until the connection is cut.
async fn serve(mut connection: MuxedConnection, stage: Stage, how: Break) {
    let mut closed = Vec::new();
    while let Some(mut stream) = connection.accept().await {
        play(stage, &mut stream).await;
        match how {
            Break::Connection => return connection.cut().await,
            Break::Reset => drop(stream),
            Break::Stream => {
                stream.close().await;
                // Dropped, it would be reset.
                closed.push(stream);
            }
        }
    }
}

/// What a DISCOVER comes to at a point where every request breaks off, while the healthy one goes
/// on.
async fn check(stage: Stage, how: Break) -> Result<usize, Told> {
    let scene = Scene::start(impatient()).await;
    let mut point = MuxedPoint::start().await;
    scene.meet(point.at.clone()).await;
    let peer = point.at.0;
    let breaks = async {
        loop {
            let connection = point.accept().await;
            serve(connection, stage, how).await;
        }
    };
    let checks = async {
        let told = scene.discover_at(peer).await;
        scene.healthy_goes_on("meanwhile").await;
        told
    };
    tokio::select! {
        told = checks => told,
        () = breaks => unreachable!("it goes on"),
    }
}

#[tokio::test]
async fn a_stream_that_ends_is_told_by_how_far_it_came() {
    for how in [Break::Reset, Break::Stream] {
        let told = [
            Failure::Unsupported,
            Failure::EndOfStream,
            Failure::EndOfStream,
            Failure::Broken(Breach::Frame(FrameError::Truncated)),
        ];
        for (stage, failure) in STAGES.into_iter().zip(told) {
            let expected = Err(Told::Broken(failure));
            assert_eq!(check(stage, how).await, expected, "{how:?} at {stage:?}");
        }
    }
}

#[tokio::test]
async fn a_point_that_cuts_every_connection_cannot_be_reached() {
    for stage in STAGES {
        let told = check(stage, Break::Connection).await;
        assert_eq!(told, Err(Told::Unreachable), "{stage:?}");
    }
}

#[tokio::test]
async fn a_register_that_may_have_arrived_is_told_apart_from_one_that_was_never_sent() {
    let scene = Scene::start(impatient()).await;
    let mut point = MuxedPoint::start().await;
    let peer = point.at.0;
    scene.meet(point.at.clone()).await;
    let breaks = async {
        // Then it is gone, so that nothing can be sent once more.
        serve(point.accept().await, Stage::Asked, Break::Connection).await;
        drop(point);
    };
    let (told, ()) = futures::join!(scene.register_at(peer), breaks);
    assert_eq!(told, Err(Told::Unreachable));
    assert_eq!(scene.failures_at(peer)[0], Failure::ConnectionLost);

    let nobody = plain_listener(b"").await;
    let peer = nobody.0;
    scene.meet(nobody).await;
    assert_eq!(scene.register_at(peer).await, Err(Told::Unreachable));
    assert_eq!(scene.failures_at(peer)[0], Failure::Unreachable);
    scene.healthy_goes_on("after all").await;
}

#[tokio::test]
async fn garbage_instead_of_a_negotiation_breaks_the_protocol() {
    let garbage: [&[u8]; 3] = [
        b"\x03xy\n",
        b"\xff\xff\xff\xff\xff\xff",
        b"\x13/multistream/9.9.9\n",
    ];
    for bytes in garbage {
        let scene = Scene::start(impatient()).await;
        let mut point = MuxedPoint::start().await;
        scene.meet(point.at.clone()).await;
        let peer = point.at.0;
        let answers = async {
            let mut kept = Vec::new();
            loop {
                let mut connection = point.accept().await;
                while let Some(mut stream) = connection.accept().await {
                    stream.write(bytes).await;
                    kept.push(stream);
                }
            }
        };
        let checks = async {
            let expected = Failure::Broken(Breach::Negotiation);
            let told = scene.discover_at(peer).await;
            assert_eq!(told, Err(Told::Broken(expected.clone())), "{bytes:?}");
            let told = scene.register_at(peer).await;
            assert_eq!(told, Err(Told::Broken(expected)), "{bytes:?}");
            scene.healthy_goes_on("meanwhile").await;
        };
        tokio::select! {
            () = checks => {}
            () = answers => unreachable!("it goes on"),
        }
    }
}

/// A listener that writes something to each connection and closes it.
async fn plain_listener(hello: &'static [u8]) -> (PeerId, Multiaddr) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.write_all(hello).await;
        }
    });
    let address = format!("/ip4/127.0.0.1/tcp/{port}");
    (PeerId::random(), address.parse().expect("a good address"))
}

#[tokio::test]
async fn what_is_no_point_at_all_cannot_be_reached() {
    let scene = Scene::start(impatient()).await;
    let hellos: [&[u8]; 3] = [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x13/multistream/1.0.0\n"];
    for (index, hello) in hellos.into_iter().enumerate() {
        let at = plain_listener(hello).await;
        let peer = at.0;
        scene.meet(at).await;
        assert_eq!(scene.register_at(peer).await, Err(Told::Unreachable));
        assert_eq!(scene.discover_at(peer).await, Err(Told::Unreachable));
        scene.healthy_goes_on(&index.to_string()).await;
        scene.part(peer).await;
    }
    // Somebody else answers there than who was to be asked.
    let other = MuxedPoint::start().await;
    let at = (PeerId::random(), other.at.1.clone());
    let peer = at.0;
    scene.meet(at).await;
    assert_eq!(scene.discover_at(peer).await, Err(Told::Unreachable));
    scene.healthy_goes_on("somebody else").await;
}
