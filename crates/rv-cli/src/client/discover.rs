//! `rv discover`: who is registered.

use std::collections::BTreeMap;

use rv_client::rv_core::client::{
    Cause, DiscoverOptions, Discovered, Event, Listed, OperationId, Skipped, Target,
};
use rv_client::rv_proto::Scope;

use super::node::Node;
use super::points::Points;
use super::progress::Progress;
use super::show::{self, Form};
use super::{identity, text, trouble};
use crate::args::DiscoverArgs;
use crate::failure::{Exit, Failure};
use crate::output;

/// Peers that are listed if nobody says how many: a few screens.
const LIMIT_DEFAULT: usize = 100;

pub(super) async fn run(args: &DiscoverArgs) -> Result<(), Failure> {
    let points = Points::new(&args.common)?;
    let key = identity::load(args.common.identity.as_deref(), &points)?;
    let form = Form::new(args.common.json);
    let progress = Progress::new(format!("asking {}", text::count(points.len(), "point")));
    let mut node = Node::start(&args.common, key, points, |_| {}).await?;
    let (_, mut troubles) = node.reach().await?;
    let listing = Listing::start(&mut node, args)?;
    let found = listing.read(&mut node, &progress).await;
    drop(progress);

    let mut is_answered = false;
    let mut notes = Vec::new();
    for Listed { point, cause, .. } in &found.points {
        match cause {
            None => is_answered = true,
            Some(Cause::Bound(bound)) => {
                is_answered = true;
                let name = node.points().name(point);
                notes.push(format!("{name} lists {bound}: the rest is left out"));
            }
            Some(cause) => troubles.push(node.explain(point, cause)),
        }
    }
    if !is_answered {
        return Err(trouble::failure(troubles));
    }
    trouble::tell(&troubles);
    notes.into_iter().for_each(output::note);
    found.print(args, form, &node)
}

/// A listing under way.
struct Listing {
    operation: OperationId,
    found: Found,
}

/// What a listing came to.
#[derive(Default)]
struct Found {
    /// In an order that stays the same from run to run.
    peers: BTreeMap<(String, String), Discovered>,
    skipped: BTreeMap<String, usize>,
    points: Vec<Listed>,
}

impl Listing {
    fn start(node: &mut Node, args: &DiscoverArgs) -> Result<Self, Failure> {
        let scope = args.namespace.clone().map_or(Scope::All, Scope::from);
        let options = DiscoverOptions {
            limit: limit_to_ask(args),
            ..DiscoverOptions::default()
        };
        let operation = node
            .rendezvous()
            .discover(Target::Every, &scope, options)
            .map_err(|error| Failure::new(Exit::Internal, error))?;
        let found = Found::default();
        Ok(Self { operation, found })
    }

    async fn read(mut self, node: &mut Node, progress: &Progress) -> Found {
        loop {
            match node.next().await {
                Event::Found {
                    operation,
                    peers,
                    skipped,
                    ..
                } if operation == self.operation => {
                    self.found.add(peers, &skipped);
                    let so_far = text::count(self.found.peers.len(), "peer");
                    progress.say(format!("listing: {so_far}"));
                }
                Event::DiscoverDone { operation, points } if operation == self.operation => {
                    self.found.points = points;
                    return self.found;
                }
                _ => {}
            }
        }
    }
}

impl Found {
    fn add(&mut self, peers: Vec<Discovered>, skipped: &Skipped) {
        for found in peers {
            let key = (found.namespace.to_string(), found.peer().to_string());
            // What comes later is newer.
            self.peers.insert(key, found);
        }
        for (reason, count) in &skipped.reasons {
            *self.skipped.entry(reason.to_string()).or_default() += count;
        }
    }

    fn print(&self, args: &DiscoverArgs, form: Form, node: &Node) -> Result<(), Failure> {
        let limit = limit_to_show(args);
        let us = node.peer();
        let peers = self.peers.values().take(limit);
        let peers: Vec<_> = peers.map(|found| show::Listed::new(found, us)).collect();
        show::list(form, &peers, args.namespace.is_none())?;
        if !self.skipped.is_empty() {
            let reasons = self.skipped.iter();
            let reasons: Vec<_> = reasons
                .map(|(reason, count)| format!("{count} {}", text::shown(reason)))
                .collect();
            output::note(format_args!("left out: {}", reasons.join(", ")));
        }
        if args.limit.is_none() && self.peers.len() > limit {
            output::note(format_args!(
                "there are more than {limit}: --all lists every peer"
            ));
        }
        if form == Form::Terminal && peers.is_empty() {
            match &args.namespace {
                Some(namespace) => {
                    let namespace = text::shown(namespace.as_str());
                    output::note(format_args!("nobody is registered in {namespace}"));
                }
                None => output::note("nobody is registered"),
            }
        }
        Ok(())
    }
}

/// One more than is shown tells whether there are more.
fn limit_to_ask(args: &DiscoverArgs) -> Option<usize> {
    match (args.limit, args.all) {
        (Some(limit), _) => Some(limit),
        (None, true) => None,
        (None, false) => Some(LIMIT_DEFAULT + 1),
    }
}

fn limit_to_show(args: &DiscoverArgs) -> usize {
    match (args.limit, args.all) {
        (Some(limit), _) => limit,
        (None, true) => usize::MAX,
        (None, false) => LIMIT_DEFAULT,
    }
}
