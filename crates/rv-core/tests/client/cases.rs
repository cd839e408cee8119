//! What may happen in the small network.

use proptest::prelude::*;
use rv_proto::{DiscoverResponse, RegisterResponse, Response, Status};

use crate::network::{CALM_AT, CLIENTS, NAMES, POINTS};
use crate::samples::entry;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Address {
        client: usize,
        port: u16,
    },
    Connected {
        client: usize,
        point: usize,
    },
    Down {
        point: usize,
    },
    Register {
        client: usize,
        name: usize,
        ttl_secs: u64,
    },
    Restart {
        point: usize,
    },
    StepBack {
        client: usize,
        secs: u64,
    },
    Unregister {
        client: usize,
        name: usize,
    },
    Up {
        point: usize,
    },
}

/// What the network does to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Fine,
    /// The answer comes twice.
    Doubled,
    /// The point answers nonsense.
    Garbled(u8),
    /// The point never sees it.
    Lost,
    /// The point acts on it and the answer is lost.
    AnswerLost,
    /// The stream ends without a byte.
    Ended,
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) actions: Vec<(u64, Action)>,
    pub(crate) fates: Vec<(Fate, u64)>,
}

fn action() -> impl Strategy<Value = Action> {
    let client = 0..CLIENTS;
    let point = 0..POINTS;
    let name = 0..NAMES.len();
    prop_oneof![
        2 => (client.clone(), 1_u16..6).prop_map(|(client, port)| Action::Address { client, port }),
        1 => (client.clone(), point.clone())
            .prop_map(|(client, point)| Action::Connected { client, point }),
        2 => point.clone().prop_map(|point| Action::Down { point }),
        6 => (client.clone(), name.clone(), 160_u64..400)
            .prop_map(|(client, name, ttl_secs)| Action::Register { client, name, ttl_secs }),
        1 => point.clone().prop_map(|point| Action::Restart { point }),
        1 => (client.clone(), 1_u64..10_000)
            .prop_map(|(client, secs)| Action::StepBack { client, secs }),
        3 => (client, name).prop_map(|(client, name)| Action::Unregister { client, name }),
        2 => point.prop_map(|point| Action::Up { point }),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Fine),
        1 => Just(Fate::Doubled),
        1 => (0_u8..6).prop_map(Fate::Garbled),
        1 => Just(Fate::Lost),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::Ended),
    ]
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let actions = prop::collection::vec((0..CALM_AT, action()), 1..25);
    let fates = prop::collection::vec((fate(), 0_u64..20_000), 1..40);
    (any::<u64>(), actions, fates).prop_map(|(seed, mut actions, fates)| {
        actions.sort_by_key(|(at, _)| *at);
        Case {
            seed,
            actions,
            fates,
        }
    })
}

pub(crate) fn garbage(kind: u8) -> Response {
    match kind {
        0 => Response::Register(RegisterResponse {
            ttl_secs: Some(0),
            ..RegisterResponse::default()
        }),
        1 => Response::Register(RegisterResponse {
            ttl_secs: Some(u64::MAX),
            ..RegisterResponse::default()
        }),
        2 => Response::Register(RegisterResponse::refused(
            Status::NOT_AUTHORIZED,
            "?".into(),
        )),
        3 => Response::Discover(DiscoverResponse::refused(
            Status::INVALID_COOKIE,
            "?".into(),
        )),
        4 => Response::Discover(DiscoverResponse {
            entries: (50..80).map(|number| entry(number, 100)).collect(),
            cookie: Some("the same".into()),
            ..DiscoverResponse::default()
        }),
        _ => Response::Subscribe(rv_proto::SubscribeResponse::default()),
    }
}
