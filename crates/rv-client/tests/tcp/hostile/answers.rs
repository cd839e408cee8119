//! Well-formed frames that are no answer, or a strange one.

use rv_client::UnregisterError;
use rv_client::rv_core::client::{Breach, Failure};
use rv_client::rv_proto::{DecodeError, Request, Status};

use super::scene::{Scene, Told, impatient};
use super::wicked::{Reply, WickedPoint};
use super::wire::*;
use crate::support::*;

fn broken<T>(breach: Breach) -> Result<T, Told> {
    Err(Told::Broken(Failure::Broken(breach)))
}

fn unexpected<T>(number: i32) -> Result<T, Told> {
    broken(Breach::Message(DecodeError::UnexpectedType(number)))
}

fn refused<T>(code: u32, text: &str) -> Result<T, Told> {
    Err(Told::Refused(Status::from_code(code), text.to_owned()))
}

/// A message of a type with the body that belongs to it, as honest as can be.
fn of_type(number_of_type: u64) -> Vec<u8> {
    let name = bytes(1, b"ns");
    let body = match number_of_type {
        kind::REGISTER => bytes(2, &name),
        kind::REGISTER_RESPONSE => bytes(3, &[number(1, 0), number(3, 600)].concat()),
        kind::UNREGISTER => bytes(4, &name),
        kind::DISCOVER => bytes(5, &name),
        kind::DISCOVER_RESPONSE => bytes(6, &[bytes(2, b""), number(3, 0)].concat()),
        kind::SUBSCRIBE => bytes(100, &bytes(2, b"ns")),
        kind::SUBSCRIBE_RESPONSE => bytes(101, &number(3, 0)),
        _ => Vec::new(),
    };
    message(&[number(1, number_of_type), body])
}

/// Meets a point that answers so, and sees what a REGISTER and a DISCOVER come to there, and that
/// the healthy point serves before, between and after.
async fn check(
    scene: &Scene,
    name: &str,
    register: (Vec<u8>, Result<u32, Told>),
    discover: (Vec<u8>, Result<usize, Told>),
) {
    let point = WickedPoint::saying(register.0, discover.0).await;
    let peer = point.at.0;
    scene.meet(point.at.clone()).await;
    assert_eq!(
        scene.register_at(peer).await,
        register.1,
        "{name}: REGISTER"
    );
    assert_eq!(
        scene.discover_at(peer).await,
        discover.1,
        "{name}: DISCOVER"
    );
    scene.healthy_goes_on(name).await;
    scene.part(peer).await;
}

#[tokio::test]
async fn a_message_of_another_type_is_no_answer_to_any_request() {
    let scene = Scene::start(impatient()).await;
    let negative_one = u64::MAX;
    let types = [
        (kind::REGISTER, unexpected(0), unexpected(0)),
        (
            kind::REGISTER_RESPONSE,
            Ok(600),
            broken(Breach::WrongResponse),
        ),
        (kind::UNREGISTER, unexpected(2), unexpected(2)),
        (kind::DISCOVER, unexpected(3), unexpected(3)),
        (
            kind::DISCOVER_RESPONSE,
            broken(Breach::WrongResponse),
            Ok(0),
        ),
        (kind::SUBSCRIBE, unexpected(100), unexpected(100)),
        (
            kind::SUBSCRIBE_RESPONSE,
            broken(Breach::WrongResponse),
            broken(Breach::WrongResponse),
        ),
        (7, unexpected(7), unexpected(7)),
        (negative_one, unexpected(-1), unexpected(-1)),
    ];
    for (number, registered, discovered) in types {
        let name = format!("type {number}");
        let answer = of_type(number);
        check(
            &scene,
            &name,
            (answer.clone(), registered),
            (answer, discovered),
        )
        .await;
    }
}

#[tokio::test]
async fn whatever_answers_an_unregister_it_is_written() {
    let scene = Scene::start(impatient()).await;
    for number in [0, 1, 2, 3, 4, 7, 100, 101] {
        let point = WickedPoint::start(move |request| match request {
            Request::Unregister(_) => Reply::Keep(of_type(number).into()),
            _ => Reply::Silence,
        })
        .await;
        let peer = point.at.0;
        scene.meet(point.at.clone()).await;
        let here = scene.client.point(peer);
        let left = within("end", here.unregister(namespace("ns"))).await;
        assert_eq!(left, Ok::<(), UnregisterError>(()), "type {number}");
        assert_eq!(point.asked(), 1);
        scene.part(peer).await;
    }
    scene.healthy_goes_on("after all").await;
}

#[tokio::test]
async fn a_granted_ttl_is_never_0_and_never_above_what_was_asked_without_a_meaning() {
    let scene = Scene::start(impatient()).await;
    let zero = || broken(Breach::TtlZero);
    let cases = [
        ("ttl 0", Some(0), zero()),
        ("ttl of 2^64-1", Some(u64::MAX), Ok(600)),
        ("ttl above 72 h", Some(72 * 3_600 + 1), Ok(600)),
        ("ttl of 72 h", Some(72 * 3_600), Ok(72 * 3_600)),
        ("ttl absent", None, Ok(600)),
    ];
    for (name, ttl, registered) in cases {
        let ttl = ttl.map_or_else(Vec::new, |ttl| number(3, ttl));
        let register = register_response(&[number(1, 0), ttl]);
        check(
            &scene,
            name,
            (register, registered),
            (page(&[], b""), Ok(0)),
        )
        .await;
    }
}

#[tokio::test]
async fn a_status_that_nobody_knows_is_a_refusal_with_its_number() {
    let scene = Scene::start(impatient()).await;
    let statuses = [
        ("status 7", 7, 7),
        ("status 1000", 1_000, 1_000),
        ("status -1", u64::MAX, u32::MAX),
    ];
    for (name, on_the_wire, code) in statuses {
        let register = register_response(&[number(1, on_the_wire), bytes(2, b"why")]);
        let discover = discover_response(&[number(3, on_the_wire), bytes(4, b"why not")]);
        check(
            &scene,
            name,
            (register, refused(code, "why")),
            (discover, refused(code, "why not")),
        )
        .await;
    }
}

#[tokio::test]
async fn fields_that_are_missing_mean_what_proto3_leaves_out() {
    let scene = Scene::start(impatient()).await;
    // The type that is 0 is REGISTER.
    let register_body = bytes(3, &[number(1, 0), number(3, 600)].concat());
    let discover_body = bytes(6, &[bytes(2, b""), number(3, 0)].concat());
    check(
        &scene,
        "type",
        (message(&[register_body]), unexpected(0)),
        (message(&[discover_body]), unexpected(0)),
    )
    .await;
    check(
        &scene,
        "everything",
        (message(&[]), unexpected(0)),
        (message(&[]), unexpected(0)),
    )
    .await;
    check(
        &scene,
        "body",
        (message(&[number(1, kind::REGISTER_RESPONSE)]), Ok(600)),
        (message(&[number(1, kind::DISCOVER_RESPONSE)]), Ok(0)),
    )
    .await;
    check(
        &scene,
        "status",
        (register_response(&[number(3, 300)]), Ok(300)),
        (discover_response(&[bytes(2, b"")]), Ok(0)),
    )
    .await;
    check(
        &scene,
        "registrations and cookie",
        (register_response(&[number(1, 0), number(3, 300)]), Ok(300)),
        (discover_response(&[number(3, 0)]), Ok(0)),
    )
    .await;
}

#[tokio::test]
async fn a_long_or_dirty_text_of_a_refusal_is_cut_and_cleaned() {
    let scene = Scene::start(impatient()).await;
    let long = vec![b'a'; 1_000_000];
    check(
        &scene,
        "long",
        (
            register_response(&[number(1, 400), bytes(2, &long)]),
            refused(400, &"a".repeat(512)),
        ),
        (
            discover_response(&[number(3, 400), bytes(4, &long)]),
            refused(400, &"a".repeat(512)),
        ),
    )
    .await;
    let dirty = b"\x1b[31mred\r\n\0\xff";
    let cleaned = " [31mred   \u{fffd}";
    check(
        &scene,
        "dirty",
        (
            register_response(&[number(1, 400), bytes(2, dirty)]),
            refused(400, cleaned),
        ),
        (
            discover_response(&[number(3, 400), bytes(4, dirty)]),
            refused(400, cleaned),
        ),
    )
    .await;
}
