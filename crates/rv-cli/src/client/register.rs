//! `rv register`: lets others find this identity.

mod keep;

use std::collections::BTreeMap;

use anyhow::Context as _;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use rv_client::rv_core::client::{Event, Grant, OperationId, RegisterOptions, Target};
use tokio::time::{Instant, timeout_at};

use super::node::Node;
use super::points::Points;
use super::progress::Progress;
use super::show::{Form, Standing};
use super::trouble::{self, Trouble};
use super::{identity, text, unless};
use crate::args::RegisterArgs;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::signals::Ends;

/// How long further points are waited for after the first granted: a dead one delays nobody.
const STRAGGLER_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

pub(super) async fn run(args: &RegisterArgs, mut ends: Ends) -> Result<(), Failure> {
    let registered = unless(&mut ends.first, register(args)).await?;
    if args.keep {
        return registered.keep(ends).await;
    }
    registered.warn();
    Ok(())
}

/// A node that is registered at one point at least.
struct Registered<'a> {
    args: &'a RegisterArgs,
    form: Form,
    node: Node,
    addresses: Vec<Multiaddr>,
    /// Where it stands, and until when.
    grants: BTreeMap<PeerId, Grant>,
    /// What was told to be wrong with points, so that it is told once.
    told: BTreeMap<PeerId, Trouble>,
}

async fn register(args: &RegisterArgs) -> Result<Registered<'_>, Failure> {
    let points = Points::new(&args.common)?;
    let key = identity::load(args.common.identity.as_deref(), &points)?;
    let external = &args.external_addresses;
    check_external(external, key.public().to_peer_id())?;
    let (points, mut troubles) = with_address(points, !external.is_empty());
    if points.len() == 0 {
        return Err(trouble::failure(troubles));
    }
    let progress = Progress::new(format!("asking {}", text::count(points.len(), "point")));
    let mut node = Node::start(&args.common, key, points, |config| {
        config.refresh = args.keep;
    })
    .await?;
    let (ready, unreached) = node.connect().await;
    troubles.extend(unreached);
    if ready.is_empty() {
        return Err(trouble::failure(troubles));
    }
    let all: Vec<_> = node.points().ids().collect();
    let asked = if args.keep { &all } else { &ready };
    node.add_points(asked.iter().copied())?;
    let mut registered = Registered {
        addresses: announce(&mut node, external, &all).await?,
        args,
        form: Form::new(args.common.json),
        node,
        grants: BTreeMap::new(),
        told: BTreeMap::new(),
    };
    let refusals = registered.first_round(&ready).await?;
    drop(progress);
    registered.tell_first(troubles, refusals)?;
    if args.keep {
        let others = all.into_iter().filter(|point| !ready.contains(point));
        registered.start(others)?;
    }
    Ok(registered)
}

impl Registered<'_> {
    /// Asks these points, and goes on asking until it is told otherwise.
    fn start(
        &mut self,
        points: impl IntoIterator<Item = PeerId>,
    ) -> Result<BTreeMap<OperationId, PeerId>, Failure> {
        let mut started = BTreeMap::new();
        for point in points {
            let options = RegisterOptions {
                ttl: self.args.ttl,
                ..RegisterOptions::default()
            };
            let namespace = self.args.namespace.clone();
            let operation = self
                .node
                .rendezvous()
                .register(Target::Point(point), namespace, options)
                .map_err(|error| Failure::new(Exit::Internal, error))?;
            started.insert(operation, point);
        }
        Ok(started)
    }

    /// Asks these points once. Returns what is wrong with some of them.
    async fn first_round(&mut self, points: &[PeerId]) -> Result<Vec<(PeerId, Trouble)>, Failure> {
        let mut waiting = self.start(points.iter().copied())?;
        let mut refusals = Vec::new();
        let mut until = None;
        while !waiting.is_empty() {
            let event = match until {
                None => self.node.next().await,
                Some(until) => match timeout_at(until, self.node.next()).await {
                    Ok(event) => event,
                    Err(_) => break,
                },
            };
            let Event::RegisterDone { operation, result } = event else {
                continue;
            };
            let Some(point) = waiting.remove(&operation) else {
                continue;
            };
            match result {
                Ok(grants) => {
                    let here = grants.into_iter().filter(|grant| grant.point == point);
                    self.grants.extend(here.map(|grant| (point, grant)));
                    until.get_or_insert_with(|| Instant::now() + STRAGGLER_WAIT);
                }
                Err(causes) => {
                    let causes = causes.iter();
                    let explained =
                        causes.map(|(_, cause)| (point, self.node.explain(&point, cause)));
                    refusals.extend(explained);
                }
            }
        }
        for point in waiting.into_values() {
            let sentence = format!("{} did not answer in time", self.node.points().name(&point));
            refusals.push((point, Trouble::new(Exit::Unreachable, sentence)));
        }
        Ok(refusals)
    }

    fn tell_first(
        &mut self,
        mut troubles: Vec<Trouble>,
        refusals: Vec<(PeerId, Trouble)>,
    ) -> Result<(), Failure> {
        for (point, trouble) in refusals {
            troubles.push(trouble.clone());
            self.told.insert(point, trouble);
        }
        if self.grants.is_empty() {
            return Err(trouble::failure(troubles));
        }
        for grant in self.grants.values() {
            self.granted("registered", grant)?;
        }
        trouble::tell(&troubles);
        if self.form == Form::Terminal {
            let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
            let addresses = text::shown(&addresses.join(", "));
            output::note(format_args!("as {} at {addresses}", self.node.peer()));
        }
        Ok(())
    }

    fn granted(&self, event: &'static str, grant: &Grant) -> Result<(), Failure> {
        self.line(event, grant.point)
            .granted(grant, &self.addresses)
            .print(self.form)
    }

    fn line(&self, event: &'static str, point: PeerId) -> Standing<'_> {
        let name = self.node.points().name(&point);
        Standing::new(event, &self.args.namespace, self.node.peer(), point, name)
    }

    /// What will not be so any more when the command has ended.
    fn warn(&self) {
        if self.args.external_addresses.is_empty() {
            output::note(
                "nobody answers at this address now that the command has ended: stay with --keep, \
                 or name your program's own with --external-address and --identity",
            );
        } else if self.form == Form::Terminal {
            output::note("it is not renewed: --keep stays and renews it");
        }
    }
}

/// The points that get an address: all of them if there are external ones, else those on this
/// machine. And what is wrong with the others.
fn with_address(mut points: Points, has_external: bool) -> (Points, Vec<Trouble>) {
    let mut troubles = Vec::new();
    if !has_external {
        let elsewhere: Vec<_> = points
            .ids()
            .filter(|point| !points.is_on_loopback(point))
            .collect();
        for point in elsewhere {
            let sentence = trouble::no_address(&points.name(&point));
            troubles.push(Trouble::new(Exit::NoAddress, sentence));
            points.remove(&point);
        }
    }
    (points, troubles)
}

/// Says where this identity is reached. Without external addresses it listens on loopback, so that
/// somebody answers there.
async fn announce(
    node: &mut Node,
    external: &[Multiaddr],
    points: &[PeerId],
) -> Result<Vec<Multiaddr>, Failure> {
    for address in external {
        node.add_external_address(address.clone());
    }
    if !external.is_empty() {
        return Ok(external.to_vec());
    }
    let mut addresses = Vec::new();
    for on in node.points().loopbacks() {
        let listening = node.listen(on.clone()).await;
        let address = listening
            .with_context(|| format!("cannot listen on {on}: use --external-address"))
            .map_err(|error| Failure::new(Exit::NoAddress, error))?;
        addresses.push(address);
    }
    for point in points {
        let here = Some(addresses.clone());
        node.rendezvous().set_addresses_at(*point, here);
    }
    Ok(addresses)
}

/// An address that ends in another peer's id would send everybody there.
fn check_external(external: &[Multiaddr], us: PeerId) -> Result<(), Failure> {
    for address in external {
        if let Some(Protocol::P2p(peer)) = address.iter().last()
            && peer != us
        {
            let of_another = anyhow::anyhow!(
                "{address} is an address of another identity than {us}: leave out its /p2p/, or \
                 name its identity with --identity"
            );
            return Err(Failure::new(Exit::Usage, of_another));
        }
    }
    Ok(())
}
