//! `rv unregister`: takes a registration out.

use std::collections::BTreeMap;

use libp2p::PeerId;
use rv_client::rv_core::client::{Event, OperationId, Target};
use rv_client::rv_proto::Namespace;

use super::node::Node;
use super::points::Points;
use super::progress::Progress;
use super::show::{Form, Standing};
use super::trouble::{self, Trouble};
use super::{identity, text};
use crate::args::UnregisterArgs;
use crate::failure::{Exit, Failure};

pub(super) async fn run(args: &UnregisterArgs) -> Result<(), Failure> {
    let points = Points::new(&args.common)?;
    let key = identity::load(args.common.identity.as_deref(), &points)?;
    let form = Form::new(args.common.json);
    let progress = Progress::new(format!("asking {}", text::count(points.len(), "point")));
    let mut node = Node::start(&args.common, key, points, |_| {}).await?;
    let (ready, mut troubles) = node.reach().await?;
    let (left, stayed) = leave(&mut node, &args.namespace, ready).await?;
    drop(progress);
    troubles.extend(stayed);
    for point in &left {
        unregistered(&node, &args.namespace, *point).print(form)?;
    }
    if left.is_empty() {
        return Err(trouble::failure(troubles));
    }
    trouble::tell(&troubles);
    Ok(())
}

/// Takes the registration out at these points. Returns where that was written, and what is wrong
/// at the others.
pub(super) async fn leave(
    node: &mut Node,
    namespace: &Namespace,
    points: impl IntoIterator<Item = PeerId>,
) -> Result<(Vec<PeerId>, Vec<Trouble>), Failure> {
    let mut waiting: BTreeMap<OperationId, PeerId> = BTreeMap::new();
    for point in points {
        let operation = node
            .rendezvous()
            .unregister(Target::Point(point), namespace)
            .map_err(|error| Failure::new(Exit::Internal, error))?;
        waiting.insert(operation, point);
    }
    let (mut left, mut troubles) = (Vec::new(), Vec::new());
    while !waiting.is_empty() {
        let Event::UnregisterDone {
            operation,
            failures,
        } = node.next().await
        else {
            continue;
        };
        if let Some(point) = waiting.remove(&operation) {
            match failures.first() {
                None => left.push(point),
                Some((point, cause)) => troubles.push(node.explain(point, cause)),
            }
        }
    }
    Ok((left, troubles))
}

/// The line for a registration that was taken out.
pub(super) fn unregistered<'a>(
    node: &Node,
    namespace: &'a Namespace,
    point: PeerId,
) -> Standing<'a> {
    let name = node.points().name(&point);
    Standing::new("unregistered", namespace, node.peer(), point, name)
}
