//! `rv watch`: who comes and goes.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::PeerId;
use rv_client::rv_core::client::{ClientConfig, DiscoverOptions, Event, Pages, Target};
use rv_client::rv_proto::Scope;
use tokio::sync::oneshot;

use super::node::Node;
use super::points::Points;
use super::progress::Progress;
use super::show::{self, Form, Listed};
use super::trouble::{self, Trouble};
use super::{identity, text};
use crate::args::WatchArgs;
use crate::failure::{Exit, Failure};
use crate::output;

/// The pause between two questions while things change, if that is not above the longest.
const POLL_MIN: Duration = Duration::from_secs(2);

/// After so many of the longest pauses everything is listed anew, which shows who unregistered.
const RELIST_POLLS: u32 = 4;

pub(super) async fn run(args: &WatchArgs, end: oneshot::Receiver<()>) -> Result<(), Failure> {
    tokio::select! {
        biased;
        // There is no other end than a signal, so that is a good one.
        Ok(()) = end => Ok(()),
        failed = watch(args) => failed,
    }
}

async fn watch(args: &WatchArgs) -> Result<(), Failure> {
    let points = Points::new(&args.common)?;
    let key = identity::load(args.common.identity.as_deref(), &points)?;
    let form = Form::new(args.common.json);
    let count = text::count(points.len(), "point");
    let progress = Progress::new(format!("asking {count}"));
    let change = |config: &mut ClientConfig| {
        config.poll_min = POLL_MIN.min(args.interval);
        config.poll_max = args.interval;
        config.push = !args.poll;
        config.relist_interval = args.interval * RELIST_POLLS;
    };
    let mut node = Node::start(&args.common, key, points, change).await?;
    let scope = Scope::from(args.namespace.clone());
    let troubles = probe(&mut node, &scope).await?;
    drop(progress);
    trouble::tell(&troubles);
    if form == Form::Terminal {
        let namespace = text::shown(args.namespace.as_str());
        output::note(format_args!("watching {namespace} at {count}; Ctrl-C ends"));
    }
    // Those that do not answer are asked again and again, as they may come back.
    let all: Vec<_> = node.points().ids().collect();
    node.add_points(all)?;
    node.rendezvous()
        .watch(&scope)
        .map_err(|error| Failure::new(Exit::Internal, error))?;
    follow(&mut node, form).await
}

/// Asks every point once. Returns what is wrong with some of them.
///
/// # Errors
///
/// If something is wrong with all of them.
async fn probe(node: &mut Node, scope: &Scope) -> Result<Vec<Trouble>, Failure> {
    let (_, mut troubles) = node.reach().await?;
    let options = DiscoverOptions {
        limit: Some(1),
        pages: Pages::One,
        ..DiscoverOptions::default()
    };
    let asked = node
        .rendezvous()
        .discover(Target::Every, scope, options)
        .map_err(|error| Failure::new(Exit::Internal, error))?;
    loop {
        let Event::DiscoverDone { operation, points } = node.next().await else {
            continue;
        };
        if operation != asked {
            continue;
        }
        let failed = points.iter().filter_map(|it| {
            let cause = it.cause.as_ref()?;
            Some(node.explain(&it.point, cause))
        });
        let failed: Vec<_> = failed.collect();
        let is_answered = failed.len() < points.len();
        troubles.extend(failed);
        return if is_answered {
            Ok(troubles)
        } else {
            Err(trouble::failure(troubles))
        };
    }
}

/// Tells every change, for ever.
async fn follow(node: &mut Node, form: Form) -> Result<(), Failure> {
    let us = node.peer();
    let mut silent: BTreeMap<PeerId, Trouble> = BTreeMap::new();
    loop {
        match node.next().await {
            Event::Joined(found) => show::there(form, "joined", &Listed::new(&found, us))?,
            Event::Renewed(found) => show::there(form, "renewed", &Listed::new(&found, us))?,
            Event::Gone {
                namespace,
                peer,
                reason,
            } => show::gone(form, &namespace, peer, reason)?,
            Event::WatchFailed { point, cause, .. } => {
                // Told once, however often it is tried.
                let trouble = node.explain(&point, &cause);
                if silent.get(&point) != Some(&trouble) {
                    output::note(&trouble.sentence);
                    silent.insert(point, trouble);
                }
            }
            Event::PointUp { point } if silent.remove(&point).is_some() => {
                output::note(format_args!("{} answers again", node.points().name(&point)));
            }
            _ => {}
        }
    }
}
