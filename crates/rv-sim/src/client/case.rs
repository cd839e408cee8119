//! One case: what the network looks like, and what happens in it.

use super::point::Kind;
use crate::Dice;

/// A network and everything that happens in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Decides what the network does to each message, and the dice of the clients.
    pub seed: u64,
    /// What the network looks like.
    pub shape: Shape,
    /// What happens, in order of time.
    pub script: Vec<Happening>,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many clients there are.
    pub clients: usize,
    /// The points. The first is always up, keeps its store and its clock.
    pub points: Vec<Kind>,
    /// How many namespaces there are.
    pub names: usize,
    /// How the links are until the calm.
    pub link: Link,
    /// Whether the links to the first point lose and delay too.
    pub is_first_lossy: bool,
    /// Whether points say in identify what they are.
    pub has_identify: bool,
    /// The largest page of each point.
    pub page_entries_max: usize,
    /// When the faults end, in seconds.
    pub calm_at_secs: u64,
    /// When the case ends, in seconds.
    pub end_at_secs: u64,
}

/// What links do to messages until the calm, in percent of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Requests that never arrive.
    pub lost: u64,
    /// Answers that never arrive.
    pub answers_lost: u64,
    /// Requests and answers that arrive twice.
    pub doubled: u64,
    /// Requests and answers that arrive long after anybody waits for them.
    pub late: u64,
    /// The longest way of all others, in milliseconds.
    pub delay_millis_max: u64,
}

/// Something that happens at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When, in milliseconds since the start.
    pub at_millis: u64,
    /// What.
    pub action: Action,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "indices of clients, points and names, and units in the names"
)]
pub enum Action {
    /// The client is reached elsewhere from now on.
    Address { client: usize, port: u16 },
    /// The client's clock is set.
    ClientClock { client: usize, step_secs: i64 },
    /// The connection breaks; requests that are out end.
    ConnectionLost { client: usize, point: usize },
    /// The client is gone without a word.
    Crash { client: usize },
    /// The client lists a namespace once.
    Discover { client: usize, name: usize },
    /// The point ends, and starts again after a while.
    PointRestart {
        point: usize,
        down_secs: u64,
        keeps_store: bool,
    },
    /// The point's wall clock is set: it is read at the next start.
    PointClock { point: usize, step_secs: i64 },
    /// The client wants to be registered.
    Register {
        client: usize,
        name: usize,
        ttl_secs: u64,
    },
    /// The client does not want that any more.
    Unregister { client: usize, name: usize },
}

/// What registrations ask for: the shortest that our point grants, and some above.
const TTLS_SECS: [u64; 6] = [120, 120, 150, 300, 900, 7_200];

impl Case {
    /// The case of a seed.
    pub fn of_seed(seed: u64) -> Self {
        let mut dice = Dice::fork(seed, 1);
        let shape = Shape::draw(&mut dice);
        let count = dice.within(8, 40);
        let mut script: Vec<_> = (0..count).map(|_| shape.happening(&mut dice)).collect();
        // Somebody has to be there, or nothing is promised to anybody.
        for client in 0..shape.clients.min(2) {
            script.push(Happening {
                at_millis: dice.below(20_000),
                action: Action::Register {
                    client,
                    name: 0,
                    ttl_secs: dice.pick(&TTLS_SECS),
                },
            });
        }
        let reversed = script.iter().filter_map(|it| reversed(&mut dice, it));
        let reversed: Vec<_> = reversed.collect();
        script.extend(reversed);
        script.sort_by_key(|it| it.at_millis);
        Self {
            seed,
            shape,
            script,
        }
    }
}

impl Shape {
    fn draw(dice: &mut Dice) -> Self {
        let kinds = [Kind::Ours, Kind::Ours, Kind::StockRust, Kind::StockGo];
        let others = dice.index(3);
        let mut points = vec![Kind::Ours];
        points.extend((0..others).map(|_| dice.pick(&kinds)));
        let rates = [0, 5, 20, 45];
        let calm_at_secs = dice.within(600, 1_800);
        Self {
            clients: 2 + dice.index(3),
            points,
            names: 1 + dice.index(2),
            link: Link {
                lost: dice.pick(&rates),
                answers_lost: dice.pick(&rates),
                doubled: dice.pick(&rates),
                late: dice.pick(&[0, 0, 5]),
                delay_millis_max: dice.pick(&[50, 1_000, 2_000]),
            },
            is_first_lossy: dice.chance(50),
            has_identify: dice.chance(70),
            page_entries_max: dice.pick(&[1, 2, 1_000]),
            calm_at_secs,
            end_at_secs: calm_at_secs + 2_100,
        }
    }

    fn happening(&self, dice: &mut Dice) -> Happening {
        let client = dice.index(self.clients);
        let name = dice.index(self.names);
        let point = if self.points.len() > 1 {
            Some(1 + dice.index(self.points.len() - 1))
        } else {
            None
        };
        let register = |dice: &mut Dice| Action::Register {
            client,
            name,
            ttl_secs: dice.pick(&TTLS_SECS),
        };
        let action = match (dice.below(20), point) {
            (0..=1, _) => Action::Address {
                client,
                port: u16::try_from(dice.within(1, 9)).expect("small"),
            },
            (2..=3, _) => Action::ClientClock {
                client,
                step_secs: step(dice),
            },
            (4..=5, Some(point)) => Action::ConnectionLost { client, point },
            (6, _) if client > 0 => Action::Crash { client },
            (7..=8, _) => Action::Discover { client, name },
            (9..=11, Some(point)) => Action::PointRestart {
                point,
                down_secs: dice.pick(&[0, 5, 60, 400]),
                keeps_store: dice.chance(60),
            },
            (12, Some(point)) => Action::PointClock {
                point,
                step_secs: step(dice),
            },
            (13..=15, _) => Action::Unregister { client, name },
            _ => register(dice),
        };
        Happening {
            at_millis: dice.below(self.calm_at_secs * 1_000),
            action,
        }
    }
}

/// Somebody changes their mind while the first request may still be out.
fn reversed(dice: &mut Dice, happening: &Happening) -> Option<Happening> {
    let at_millis = happening.at_millis + dice.below(3_000);
    let ttl_secs = dice.pick(&TTLS_SECS);
    let action = match happening.action {
        Action::Register { client, name, .. } => Action::Unregister { client, name },
        Action::Unregister { client, name } => Action::Register {
            client,
            name,
            ttl_secs,
        },
        _ => return None,
    };
    dice.chance(25).then_some(Happening { at_millis, action })
}

/// A clock that is set: by seconds, by minutes, by a day; either way.
fn step(dice: &mut Dice) -> i64 {
    let most = dice.pick(&[10, 100, 3_600, 86_400]);
    let size = i64::try_from(dice.within(1, most)).expect("a day at the most");
    if dice.chance(50) { size } else { -size }
}
