//! Bytes that are no frame, or a frame that is no message.

use bytes::Bytes;
use rv_client::rv_core::client::{Breach, Failure};
use rv_client::rv_proto::{DecodeError, FrameError, encode_frame};

use super::scene::{Scene, Told, impatient};
use super::wicked::{Reply, WickedPoint};
use super::wire::*;

/// Meets a point that answers every request with these bytes, and sees what it is told to be.
async fn check(scene: &Scene, name: &str, bytes: Vec<u8>, closes: bool, failure: Failure) {
    let bytes = Bytes::from(bytes);
    let point = WickedPoint::start(move |_| match closes {
        true => Reply::Close(bytes.clone()),
        false => Reply::Keep(bytes.clone()),
    })
    .await;
    let peer = point.at.0;
    scene.meet(point.at.clone()).await;
    let told = || Told::Broken(failure.clone());
    assert_eq!(
        scene.register_at(peer).await,
        Err(told()),
        "{name}: REGISTER"
    );
    assert_eq!(
        scene.discover_at(peer).await,
        Err(told()),
        "{name}: DISCOVER"
    );
    scene.healthy_goes_on(name).await;
    scene.part(peer).await;
}

fn of_frame(error: FrameError) -> Failure {
    Failure::Broken(Breach::Frame(error))
}

fn of_message(error: DecodeError) -> Failure {
    Failure::Broken(Breach::Message(error))
}

#[tokio::test]
async fn a_frame_above_the_bound_is_refused_by_its_length_alone() {
    let scene = Scene::start(impatient()).await;
    let too_long = |bytes| {
        of_frame(FrameError::TooLong {
            bytes,
            bytes_max: 4_194_304,
        })
    };
    let prefix = varint(20_000_000);
    check(&scene, "announced", prefix, false, too_long(20_000_000)).await;
    let whole = encode_frame(&vec![0x0a; 20_000_000]);
    check(&scene, "sent", whole, false, too_long(20_000_000)).await;
    let highest = varint(u64::MAX);
    check(&scene, "2^64-1", highest, false, too_long(u64::MAX)).await;
    let just = varint(4_194_305);
    check(&scene, "one more", just, false, too_long(4_194_305)).await;
}

#[tokio::test]
async fn a_length_that_is_no_number_is_told_as_such() {
    let scene = Scene::start(impatient()).await;
    let bad = || of_frame(FrameError::BadPrefix);
    check(&scene, "padded", vec![0x80, 0x00], false, bad()).await;
    check(&scene, "endless", vec![0xff; 11], false, bad()).await;
}

#[tokio::test]
async fn a_stream_that_ends_within_a_frame_is_told_as_such() {
    let scene = Scene::start(impatient()).await;
    let cut = || of_frame(FrameError::Truncated);
    check(&scene, "in its length", vec![0x80], true, cut()).await;
    check(&scene, "in its body", vec![9, 8, 1], true, cut()).await;
    check(&scene, "without a byte", vec![], true, Failure::EndOfStream).await;
}

#[tokio::test]
async fn a_frame_that_is_no_message_is_told_as_such() {
    let scene = Scene::start(impatient()).await;
    let malformed = || of_message(DecodeError::Malformed);
    let garbage = encode_frame(&[0xff; 1_000]);
    check(&scene, "garbage", garbage, false, malformed()).await;
    // A body that claims to be longer than the message.
    let beyond = message(&[number(1, 4), vec![0x32, 0x7f]]);
    check(&scene, "beyond", beyond, false, malformed()).await;
    let many = [0x0a, 0x00].repeat(20_001);
    let many = message(&[number(1, 4), bytes(6, &many)]);
    let too_many = of_message(DecodeError::TooMany {
        what: "entries",
        max: 20_000,
    });
    check(&scene, "entries", many, false, too_many).await;
}
