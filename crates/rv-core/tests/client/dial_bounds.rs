//! A dialler keeps its bounds whatever happens, in whatever order, on whatever clock.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use libp2p_identity::PeerId;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rv_core::client::dialling::{DialEnd, Dialler, DiallingConfig};
use rv_proto::Time;

use crate::dialling::{numbered, unsigned};
use crate::samples::{chat, local, point};

#[derive(Clone, Debug)]
enum Step {
    Clear,
    /// The clock jumps to this second.
    Clock(u64),
    Connected(u32),
    Disconnected(u32),
    /// The n-th dial under way ends.
    End(usize, DialEnd),
    ForgetSource(u8),
    List {
        by: u8,
        first: u32,
        count: u32,
        secs: u64,
        is_local: bool,
    },
    Pass(u64),
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        1 => Just(DialEnd::Connected),
        3 => Just(DialEnd::Failed),
        1 => Just(DialEnd::NotMade),
    ];
    let list = (
        0..4_u8,
        0..60_u32,
        1..20_u32,
        0..200_u64,
        prop::bool::weighted(0.2),
    );
    prop_oneof![
        1 => Just(Step::Clear),
        1 => (0..100_000_u64).prop_map(Step::Clock),
        4 => (0..80_u32).prop_map(Step::Connected),
        4 => (0..80_u32).prop_map(Step::Disconnected),
        10 => (0..8_usize, end).prop_map(|(which, end)| Step::End(which, end)),
        1 => (0..4_u8).prop_map(Step::ForgetSource),
        10 => list.prop_map(|(by, first, count, secs, is_local)| Step::List {
            by, first, count, secs, is_local
        }),
        10 => (0..30_u64).prop_map(Step::Pass),
        20 => Just(Step::Poll),
    ]
}

fn config() -> DiallingConfig {
    DiallingConfig {
        connected_target: Some(7),
        dials_in_flight_max: 4,
        dials_per_minute: 20,
        dials_burst: 5,
        backoff_min: Duration::from_secs(5),
        backoff_max: Duration::from_secs(60),
        waiting_max: 12,
        failures_max: 9,
        ..DiallingConfig::default()
    }
}

struct Check {
    dialler: Dialler,
    /// What the clock shows.
    now: Time,
    /// The time that has passed as the dialler can know it: a step back is none.
    passed: Duration,
    in_flight: Vec<PeerId>,
    connected: BTreeSet<PeerId>,
    dialled_at: VecDeque<Duration>,
}

impl Check {
    fn set_clock(&mut self, now: Time) {
        self.passed += now.saturating_since(self.now);
        self.now = now;
        // A step that no call sees is no step to the dialler.
        self.dialler.handle_disconnected(now, local());
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Clear => self.dialler.clear(),
            Step::Clock(secs) => self.set_clock(Time::from_millis(secs * 1_000)),
            Step::Connected(number) => {
                self.connected.insert(numbered(*number));
                self.dialler.handle_connected(self.now, numbered(*number));
            }
            Step::Disconnected(number) => {
                self.connected.remove(&numbered(*number));
                self.dialler
                    .handle_disconnected(self.now, numbered(*number));
            }
            Step::End(which, end) => {
                if *which < self.in_flight.len() {
                    let peer = self.in_flight.remove(*which);
                    self.end(peer, *end);
                }
            }
            Step::ForgetSource(by) => self.dialler.forget_source(point(*by)),
            Step::List {
                by,
                first,
                count,
                secs,
                is_local,
            } => {
                let until = self.now.saturating_add(Duration::from_secs(*secs));
                let host = if *is_local { "10.0.0.1" } else { "198.0.2.1" };
                for number in *first..first + count {
                    let address = format!("/ip4/{host}/tcp/{}", number + 1);
                    let record = unsigned(numbered(number), &address);
                    let (now, source) = (self.now, point(*by));
                    self.dialler
                        .handle_listed(now, source, &chat(), &record, until);
                }
                let own = unsigned(local(), "/ip4/198.0.2.1/tcp/1");
                let (now, source) = (self.now, point(*by));
                self.dialler
                    .handle_listed(now, source, &chat(), &own, until);
            }
            Step::Pass(secs) => {
                self.set_clock(self.now.saturating_add(Duration::from_secs(*secs)));
            }
            Step::Poll => self.poll()?,
        }
        self.check()
    }

    fn end(&mut self, peer: PeerId, end: DialEnd) {
        self.dialler.handle_dial_ended(self.now, peer, end);
        if end == DialEnd::Connected {
            self.connected.insert(peer);
        }
    }

    fn poll(&mut self) -> Result<(), TestCaseError> {
        let is_due = self.dialler.poll_timeout().is_some_and(|at| at <= self.now);
        let Some(dial) = self.dialler.poll_dial(self.now) else {
            prop_assert!(
                !is_due || self.dialler.waiting() == 0,
                "due, and not dialled"
            );
            return Ok(());
        };
        prop_assert!(is_due, "dialled before it was due");
        prop_assert_ne!(dial.peer, local());
        prop_assert!(!self.connected.contains(&dial.peer), "it is connected");
        prop_assert!(!self.in_flight.contains(&dial.peer), "it is being dialled");
        prop_assert!(!dial.is_verified);
        prop_assert_eq!(dial.addresses.len(), 1);
        let is_local = dial.addresses[0].to_string().starts_with("/ip4/10.");
        prop_assert!(!is_local, "an address of our own network");
        self.in_flight.push(dial.peer);
        self.dialled_at.push_back(self.passed);
        Ok(())
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let config = config();
        let in_flight = self.in_flight.len();
        prop_assert_eq!(self.dialler.in_flight(), in_flight);
        prop_assert!(in_flight <= config.dials_in_flight_max);
        prop_assert!(self.dialler.waiting() <= config.waiting_max);
        prop_assert!(self.dialler.failed() <= config.failures_max);
        let minute_ago = self.passed.saturating_sub(Duration::from_secs(60));
        while self.dialled_at.front().is_some_and(|at| *at <= minute_ago) {
            self.dialled_at.pop_front();
        }
        let most = (config.dials_per_minute + config.dials_burst) as usize;
        prop_assert!(self.dialled_at.len() <= most, "too many a minute");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bound_is_ever_exceeded(steps in prop::collection::vec(step(), 1..300), seed: u64) {
        let mut check = Check {
            dialler: Dialler::new(config(), local(), seed).expect("valid"),
            now: Time::from_millis(50_000_000),
            passed: Duration::ZERO,
            in_flight: Vec::new(),
            connected: BTreeSet::new(),
            dialled_at: VecDeque::new(),
        };
        // The dialler's time begins with its first call.
        check.set_clock(check.now);
        for step in &steps {
            check.take(step)?;
        }
        // Whatever happened, who is listed now is dialled in the end.
        check.dialler.clear();
        let all: Vec<_> = check.in_flight.drain(..).collect();
        for peer in all {
            check.end(peer, DialEnd::Failed);
        }
        let connected: Vec<_> = check.connected.iter().copied().collect();
        for peer in connected {
            check.dialler.handle_disconnected(check.now, peer);
            check.connected.remove(&peer);
        }
        check.take(&Step::Pass(600))?;
        check.take(&Step::List { by: 1, first: 90, count: 3, secs: 1_000, is_local: false })?;
        for _ in 0..3 {
            check.take(&Step::Poll)?;
        }
        prop_assert_eq!(check.in_flight.len(), 3);
    }
}
