//! Joins the DHT, and looks around until enough of it was seen.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::time::Duration;

use dht_walk::swarm::Config;
use dht_walk::{AddressPolicy, Estimate, Event, RoundEnd, RoundId, RoundKind, SweepForecast};
use libp2p::PeerId;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::common::Form;
use super::graph::{Curve, Graph};
use super::node::Node;
use super::progress::Progress;
use super::show::{self, Expected, Seen, percent};
use super::{Points, file, internal, text, trouble};
use crate::args::WalkArgs;
use crate::failure::{Exit, Failure};

/// Messages, if nobody says how many: enough for a network of five thousand.
const BUDGET: u32 = 10_000;

/// How long, if nobody says how long.
const DEADLINE: Duration = Duration::from_secs(600);

/// How often the bootstrap peers are tried that are connected and do not answer.
const JOINS_MAX: usize = 3;

/// A kad with fewer entries bootstraps by itself after each new one, half a second later, which
/// nobody can switch off. Its messages are none of a sweep's, so that is ended first.
const BOOTSTRAP_ENTRIES: usize = 20;
const BOOTSTRAP_PAUSE: Duration = Duration::from_millis(600);

/// How often it is looked whether that is over.
const TICK: Duration = Duration::from_millis(50);

pub(super) async fn run(
    args: &WalkArgs,
    bootstrap: Points,
    addresses: AddressPolicy,
    end: oneshot::Receiver<()>,
) -> Result<(), Failure> {
    let form = Form::new(args.json);
    let count = text::count(bootstrap.len(), "peer");
    let progress = Progress::new(format!("joining by {count}"));
    let node = Node::start(bootstrap, &args.protocol, config(args, addresses)).await?;
    let mut tour = Tour {
        node,
        form,
        progress,
        wanted: args.coverage.0,
        budget: args.budget.unwrap_or(BUDGET).into(),
        is_uniform: args.uniform,
        has_joined: false,
        started_at: Instant::now(),
        ends_at: Instant::now() + args.deadline.unwrap_or(DEADLINE),
        seen: BTreeSet::new(),
        lookups: 0,
        recaptured: 0.0,
        curve: Vec::new(),
    };
    let ends_at = tour.ends_at;
    let end = tokio::select! {
        biased;
        Ok(()) = end => End::Stopped,
        done = timeout_at(ends_at, tour.look_around()) => match done {
            Ok(end) => end?,
            Err(_) => End::Deadline,
        },
    };
    tour.tell(args, end)
}

fn config(args: &WalkArgs, addresses: AddressPolicy) -> Config {
    let mut config = Config::default();
    let (rate, in_flight) = (args.rate, usize::from(args.in_flight));
    let walk = &mut config.walk;
    walk.addresses = addresses;
    walk.budget.messages_per_hour = rate * 3_600;
    walk.budget.dials_per_hour = rate * 3_600;
    walk.budget.messages_burst = rate * BURST_SECS;
    walk.budget.dials_burst = rate * BURST_SECS;
    walk.budget.in_flight_max = in_flight;
    walk.refresh.deadline = args.deadline.unwrap_or(DEADLINE);
    // A lookup has three requests out.
    walk.refresh.lookups_max = (in_flight / walk.lookup.parallelism).max(1);
    config
}

/// New lookups leave a half of what may be sent at once.
const BURST_SECS: u32 = 4;

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Budget,
    Covered,
    Deadline,
    Stopped,
}

impl End {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Covered => "covered",
            Self::Deadline => "deadline",
            Self::Stopped => "stopped",
        }
    }
}

struct Tour {
    node: Node,
    form: Form,
    progress: Progress,
    wanted: f64,
    budget: u64,
    is_uniform: bool,
    /// Before, the estimate says little.
    has_joined: bool,
    started_at: Instant,
    ends_at: Instant,
    seen: BTreeSet<PeerId>,
    lookups: u64,
    /// How many of a sweep's peers were known before it: at least as much had been seen.
    recaptured: f64,
    /// How many were seen, over messages.
    curve: Vec<(u64, usize)>,
}

impl Tour {
    async fn look_around(&mut self) -> Result<End, Failure> {
        let troubles = self.node.connect().await?;
        self.progress.beside(|| trouble::tell(&troubles));
        if let Some(end) = self.join().await? {
            return Ok(end);
        }
        self.has_joined = true;
        loop {
            let (needed, per_lookup) = self.forecast();
            let affordable = self.budget.saturating_sub(self.messages()) / per_lookup;
            let Some(affordable) = NonZero::new(affordable) else {
                return Ok(End::Budget);
            };
            let affordable = u32::try_from(affordable.get()).unwrap_or(u32::MAX);
            let lookups = needed.min(affordable);
            if let Some(end) = self.sweep(lookups, per_lookup).await? {
                return Ok(end);
            }
        }
    }

    /// Waits until the first refresh has filled the table, and ends kad's own bootstrap; says
    /// whether the budget ended before.
    async fn join(&mut self) -> Result<Option<End>, Failure> {
        let (mut tries, mut is_refreshed) = (1, false);
        let mut quiet_at = Instant::now();
        loop {
            // They follow no pace, and what they take is charged to the walk's own.
            if self.node.end_bootstraps() {
                quiet_at = Instant::now() + BOOTSTRAP_PAUSE;
            } else if is_refreshed && Instant::now() >= quiet_at {
                return Ok(None);
            }
            let wake_at = quiet_at.max(Instant::now() + TICK);
            let Ok(Some(event)) = timeout_at(wake_at, self.node.next_or_idle()).await else {
                continue;
            };
            self.note(&event);
            let entries = self.node.walk().table().len();
            if matches!(event, Event::Admitted(_)) && entries <= BOOTSTRAP_ENTRIES {
                quiet_at = Instant::now() + BOOTSTRAP_PAUSE;
            }
            self.say("joining");
            if self.messages() >= self.budget {
                return Ok(Some(End::Budget));
            }
            let Event::Finished(report) = event else {
                continue;
            };
            match report.end {
                RoundEnd::NobodyToAsk if tries < JOINS_MAX => {
                    tries += 1;
                    self.node.walk().refresh(true).map_err(internal)?;
                }
                RoundEnd::NobodyToAsk => {
                    let silent = anyhow::anyhow!(
                        "the bootstrap peers are connected and answer nothing: try again, or use \
                         others"
                    );
                    return Err(Failure::new(Exit::Unreachable, silent));
                }
                _ => is_refreshed |= matches!(report.kind, RoundKind::Refresh { .. }),
            }
        }
    }

    /// Looks up so many targets; says whether that is enough.
    async fn sweep(&mut self, lookups: u32, per_lookup: u64) -> Result<Option<End>, Failure> {
        let (before, messages) = (self.seen.clone(), self.messages());
        let done = self.lookups;
        let estimate = self.estimate();
        let expected = u64::from(lookups) * per_lookup + self.entries_missing();
        let expected = Expected::new(lookups, expected, estimate);
        self.progress.beside(|| expected.print(self.form))?;
        let time_left = self.ends_at.saturating_duration_since(Instant::now());
        let walk = self.node.walk();
        let id = match self.is_uniform {
            true => walk.walks(lookups),
            false => walk.sweep(lookups, time_left),
        };
        let found = self.follow(id.map_err(internal)?, lookups).await;
        let took = self.messages() - messages;
        let told = Seen {
            lookups: self.lookups - done,
            messages: took,
            peers_new: self.seen.len() - before.len(),
        };
        self.progress.beside(|| told.print(self.form))?;
        let Some(found) = found else {
            return Ok(Some(match self.is_covered() {
                true => End::Covered,
                false => End::Budget,
            }));
        };
        if !before.is_empty() && !found.is_empty() {
            let known = found.intersection(&before).count();
            self.recaptured = self.recaptured.max(ratio(known, found.len()));
        }
        Ok(self.is_covered().then_some(End::Covered))
    }

    /// Whom a round told of; `None` where there is no need to wait for its end.
    async fn follow(&mut self, id: RoundId, lookups: u32) -> Option<BTreeSet<PeerId>> {
        let mut found = BTreeSet::new();
        let mut ended = 0_u32;
        loop {
            let event = self.node.next().await;
            self.note(&event);
            match &event {
                Event::LookupEnded { round, report } if *round == id => {
                    ended += 1;
                    found.extend(report.closest.iter().copied());
                }
                Event::Finished(report) if report.id == id => {
                    found.extend(report.found.iter().map(|it| it.peer.id()));
                    return Some(found);
                }
                _ => {}
            }
            self.say(&format!("{ended} of {lookups} lookups"));
            if self.messages() >= self.budget || self.is_nearly_all() {
                return None;
            }
        }
    }

    /// Takes note of who was seen.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Admitted(peer) => {
                self.seen.insert(peer.id());
            }
            Event::LookupEnded { report, .. } => {
                self.lookups += 1;
                self.seen.extend(report.closest.iter().copied());
            }
            Event::Finished(report) => {
                let found = report.found.iter().map(|it| it.peer.id());
                self.seen.extend(found);
            }
            _ => return,
        }
        let point = (self.messages(), self.seen.len());
        self.curve.push(point);
    }

    fn say(&mut self, doing: &str) {
        let seen = text::count(self.seen.len(), "peer");
        let of = match (self.estimate(), self.coverage()) {
            (Some(estimate), Some(coverage)) => {
                format!(", {} of about {:.0}", percent(coverage), estimate.peers)
            }
            _ => String::new(),
        };
        let messages = text::count(usize::try_from(self.messages()).unwrap_or(0), "message");
        let line = format!("{doing}: {seen} seen{of}, {messages}");
        self.progress.say(line);
    }

    fn messages(&mut self) -> u64 {
        self.node.walk().walk().spent().messages
    }

    fn estimate(&mut self) -> Option<Estimate> {
        self.node.walk().estimate()
    }

    /// The share of the network that was seen: of its estimated size, or by how many of a sweep's
    /// peers had been seen before, which says it where the estimate is too high.
    fn coverage(&mut self) -> Option<f64> {
        let estimate = self.estimate().filter(|_| self.has_joined)?;
        let of_estimate = self.seen_of(estimate);
        Some(of_estimate.max(self.recaptured))
    }

    #[expect(clippy::cast_precision_loss, reason = "a share is an estimate")]
    fn seen_of(&self, estimate: Estimate) -> f64 {
        (self.seen.len() as f64 / estimate.peers.max(1.0)).min(1.0)
    }

    fn is_covered(&mut self) -> bool {
        self.coverage().is_some_and(|it| it >= self.wanted)
    }

    /// Whether a round that runs need not go on: only where less than nearly all is wanted, since
    /// its end tells better.
    fn is_nearly_all(&mut self) -> bool {
        self.wanted < SWEEP_SHARE && self.is_covered()
    }

    /// How many lookups show nearly all of the network, and how many messages each takes at the
    /// most.
    fn forecast(&mut self) -> (u32, u64) {
        match self.node.walk().forecast_sweep() {
            Some(SweepForecast { slices, messages }) => {
                let each = messages.div_ceil(u64::from(slices.max(1)));
                (slices.max(LOOKUPS_MIN), each.max(1))
            }
            None => (LOOKUPS_MIN, LOOKUP_MESSAGES),
        }
    }

    /// Entries that the table can still get: each is asked before it becomes one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a bucket's size at the most"
    )]
    fn entries_missing(&mut self) -> u64 {
        let health = self.node.walk().health();
        let buckets = health.buckets().iter();
        let missing =
            buckets.map(|it| (it.expected.ceil() as u64).saturating_sub(it.entries as u64));
        missing.sum()
    }

    /// The results.
    fn tell(mut self, args: &WalkArgs, end: End) -> Result<(), Failure> {
        // What ended it came when enough was seen already.
        let end = if self.is_covered() { End::Covered } else { end };
        let (coverage, messages) = (self.coverage(), self.messages());
        let health = self.node.walk().health();
        let entries = self.node.walk().table().len();
        drop(self.progress);
        let summary = show::Summary {
            end,
            coverage,
            peers_seen: self.seen.len(),
            estimate: health.estimate(),
            entries,
            fill: health.fill(),
            doubtful_share: health.doubtful_share(),
            lookups: self.lookups,
            messages,
            elapsed: self.started_at.elapsed(),
        };
        show::buckets(self.form, &health)?;
        summary.print(self.form)?;
        if let Some(path) = &args.graph {
            let graph = Graph {
                title: format!("{} seen from here", args.protocol),
                buckets: health.buckets().to_vec(),
                curves: vec![Curve::new("peers seen", &self.curve)],
                expected: health.estimate().map(|it| it.peers),
            };
            file::write(path, &graph.to_svg())?;
        }
        if end == End::Covered {
            return Ok(());
        }
        Err(incomplete(args, end, &summary))
    }
}

/// A sweep is told of this much by itself.
const SWEEP_SHARE: f64 = 0.9;

/// So few lookups are no sweep.
const LOOKUPS_MIN: u32 = 2;

/// What a lookup takes where none has ended yet: in a network of a thousand.
const LOOKUP_MESSAGES: u64 = 25;

fn incomplete(args: &WalkArgs, end: End, summary: &show::Summary) -> Failure {
    let wanted = args.coverage;
    let seen = match summary.coverage {
        Some(coverage) => format!(
            "{} of the network was seen, not {wanted}",
            percent(coverage)
        ),
        None => "the network's size was not known yet".to_owned(),
    };
    let why = match end {
        End::Budget => format!(
            "the budget of {} was spent: raise --budget",
            text::count(args.budget.unwrap_or(BUDGET) as usize, "message")
        ),
        End::Deadline => format!(
            "{} had passed: raise --deadline",
            humantime::format_duration(args.deadline.unwrap_or(DEADLINE))
        ),
        End::Covered | End::Stopped => "it was interrupted".to_owned(),
    };
    let error = anyhow::anyhow!("{seen} when {why}");
    Failure::new(Exit::Incomplete, error)
}

#[expect(clippy::cast_precision_loss, reason = "a share is an estimate")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}
