//! Lists a whole DHT, peer by peer.

use std::path::Path;
use std::time::Duration;

use dht_walk::driver::Crawler;
use dht_walk::swarm::{Config, Handle};
use dht_walk::{AddressPolicy, CrawlConfig, CrawlEnd, CrawlEvent, CrawlState};
use futures::StreamExt as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::common::Form;
use super::graph::{Curve, Graph};
use super::node::Node;
use super::progress::Progress;
use super::show::{Listed, Listing};
use super::{Points, file, internal, text, trouble};
use crate::args::WalkArgs;
use crate::failure::{Exit, Failure};
use crate::output;

/// How often the state is written, while that takes little time.
const SAVE_INTERVAL: Duration = Duration::from_secs(2);

/// The pause after writing, in terms of how long that took.
const SAVE_PAUSE: u32 = 20;

/// Peers between two points of the curve, in a graph of many.
const CURVE_STEP: u64 = 10;

pub(super) async fn run(
    args: &WalkArgs,
    bootstrap: Points,
    addresses: AddressPolicy,
    mut end: oneshot::Receiver<()>,
) -> Result<(), Failure> {
    let before = match &args.resume {
        Some(path) => file::read_state(path)?,
        None => None,
    };
    let bounds = bounds(args, addresses);
    let mut config = Config::default();
    // Nothing is asked but what the crawl asks.
    config.walk.auto = false;
    config.walk.addresses = addresses;
    config.handles.in_flight_max = bounds.in_flight_max;
    let count = text::count(bootstrap.len(), "peer");
    let progress = Progress::new(format!("connecting to {count}"));
    let mut node = Node::start(bootstrap, &args.protocol, config).await?;
    let troubles = tokio::select! {
        biased;
        Ok(()) = &mut end => None,
        troubles = timeout(bounds.deadline, node.connect()) => match troubles {
            Ok(troubles) => Some(troubles?),
            Err(_) => None,
        },
    };
    let is_stopped = troubles.is_none();
    let troubles = troubles.unwrap_or_default();
    progress.beside(|| trouble::tell(&troubles));
    if let (Some(state), Some(path)) = (&before, &args.resume) {
        let known = text::count(state.peers.len(), "peer");
        let name = path.display();
        progress.beside(|| output::note(format_args!("going on from {name}: {known} known")));
    }
    let state = before.unwrap_or_default();
    let crawler = crawler(&mut node, bounds, &state).map_err(internal)?;
    let mut crawl = Crawl {
        node,
        crawler,
        form: Form::new(args.json),
        progress,
        curves: [Vec::new(), Vec::new()],
    };
    if is_stopped {
        crawl.crawler.stop();
    }
    let path = args.resume.as_deref();
    let followed = crawl.follow(path, end, is_stopped).await;
    let saved = crawl.save(path);
    followed?;
    let told = crawl.tell(args);
    saved?;
    told
}

fn bounds(args: &WalkArgs, addresses: AddressPolicy) -> CrawlConfig {
    let mut config = CrawlConfig {
        addresses,
        in_flight_max: args.in_flight.into(),
        messages_per_second: args.rate,
        ..CrawlConfig::default()
    };
    if let Some(budget) = args.budget {
        config.messages_max = budget.into();
    }
    if let Some(deadline) = args.deadline {
        config.deadline = deadline;
    }
    config
}

fn crawler(
    node: &mut Node,
    bounds: CrawlConfig,
    state: &CrawlState,
) -> anyhow::Result<Crawler<Handle>> {
    let handle = node.walk().handle();
    let mut crawler = Crawler::resume(node.peer(), handle, bounds, state)?;
    crawler.add_seeds(node.seeds());
    Ok(crawler)
}

struct Crawl {
    node: Node,
    crawler: Crawler<Handle>,
    form: Form,
    progress: Progress,
    /// Who is known, and who answered, over messages.
    curves: [Vec<(u64, usize)>; 2],
}

impl Crawl {
    /// Tells of each peer, until the crawl is over. `end` is not asked again once it was told.
    async fn follow(
        &mut self,
        path: Option<&Path>,
        mut end: oneshot::Receiver<()>,
        mut is_stopped: bool,
    ) -> Result<(), Failure> {
        let mut save_at = Instant::now() + SAVE_INTERVAL;
        loop {
            tokio::select! {
                biased;
                Ok(()) = &mut end, if !is_stopped => {
                    is_stopped = true;
                    self.crawler.stop();
                }
                event = self.crawler.next() => match event {
                    Some(CrawlEvent::Settled(contact, fate)) => {
                        let peer = contact.peer.id();
                        let agent = self.node.take_agent(&peer);
                        let listed = Listed::new(&contact, fate, agent.as_deref());
                        self.progress.beside(|| listed.print(self.form))?;
                        self.note();
                    }
                    Some(_) => {}
                    None => return Ok(()),
                },
                () = self.node.step() => {}
                () = tokio::time::sleep_until(save_at), if path.is_some() => {
                    let began_at = Instant::now();
                    self.save(path)?;
                    let pause = began_at.elapsed() * SAVE_PAUSE;
                    save_at = Instant::now() + pause.max(SAVE_INTERVAL);
                }
            }
        }
    }

    fn save(&self, path: Option<&Path>) -> Result<(), Failure> {
        match path {
            Some(path) => file::write(path, &self.crawler.state().to_string()),
            None => Ok(()),
        }
    }

    fn note(&mut self) {
        let counts = self.crawler.counts();
        let [known, answered] = &mut self.curves;
        let is_due = |last: &(u64, usize)| counts.messages >= last.0 + CURVE_STEP;
        if known.last().is_none_or(is_due) {
            known.push((counts.messages, counts.known));
            answered.push((counts.messages, counts.answered));
        }
        let line = format!(
            "crawling: {} known, {} answered, {} silent, {} messages",
            counts.known, counts.answered, counts.silent, counts.messages,
        );
        self.progress.say(line);
    }

    /// The counts at the end.
    fn tell(mut self, args: &WalkArgs) -> Result<(), Failure> {
        let (counts, end) = (self.crawler.counts(), self.crawler.end());
        let end = end.unwrap_or(CrawlEnd::Stopped);
        drop(self.progress);
        Listing::new(end, &counts).print(self.form)?;
        if let Some(path) = &args.graph {
            let names = ["known", "answered"];
            let lasts = [counts.known, counts.answered];
            for (curve, last) in self.curves.iter_mut().zip(lasts) {
                curve.push((counts.messages, last));
            }
            let curves = names.iter().zip(&self.curves);
            let curves = curves.map(|(name, points)| Curve::new(name, points));
            let graph = Graph {
                title: format!("crawl of {}", args.protocol),
                buckets: Vec::new(),
                curves: curves.collect(),
                expected: None,
            };
            file::write(path, &graph.to_svg())?;
        }
        let go_on = match &args.resume {
            Some(path) => format!("the same command goes on from {}", path.display()),
            None => "--resume FILE keeps what was found and goes on from it".to_owned(),
        };
        let waiting = text::count(counts.waiting(), "peer");
        let why = match end {
            CrawlEnd::Complete if counts.answered == 0 => {
                let nobody =
                    anyhow::anyhow!("nobody answered: try again, or use other bootstrap peers");
                return Err(Failure::new(Exit::Unreachable, nobody));
            }
            CrawlEnd::Complete => return Ok(()),
            CrawlEnd::Deadline => "the time was up",
            CrawlEnd::Spent => "the budget was spent",
            CrawlEnd::Stopped => "it was interrupted",
        };
        let error = anyhow::anyhow!("{waiting} not asked to the end when {why}: {go_on}");
        Err(Failure::new(Exit::Incomplete, error))
    }
}
