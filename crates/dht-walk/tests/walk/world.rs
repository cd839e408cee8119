//! A network in memory, and one walk in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use dht_walk::{
    AddressPolicy, Config, Contact, Event, EvictReason, Failure, LookupReport, Output, Peer,
    Report, RequestId, Seed, SeedSource, Target, Targets, Time, TimeoutReason, Walk,
};

/// How a peer behaves.
#[derive(Clone, Debug)]
pub(crate) enum Conduct {
    /// Answers with the nearest of the network's live peers.
    Live,
    /// Answers nothing, ever.
    Silent,
    /// Cannot be dialled.
    Unreachable,
    /// Speaks no Kademlia, or is a client.
    Client,
    /// Answers each question with these.
    Tells(Vec<Contact>),
}

/// The network, the walk, and all that came out of it.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) walk: Walk,
    pub(crate) peers: BTreeMap<Peer, (Contact, Conduct)>,
    /// Nothing gets through.
    pub(crate) is_cut: bool,
    pub(crate) delay: Duration,
    open: BTreeMap<RequestId, (Time, Contact, Target)>,
    pub(crate) asked: Vec<(Time, Contact, Target)>,
    pub(crate) inserted: Vec<Peer>,
    pub(crate) evicted: Vec<(Peer, EvictReason)>,
    pub(crate) reports: Vec<Report>,
    pub(crate) lookups: Vec<LookupReport>,
    pub(crate) events: Vec<Event>,
    pub(crate) seeds_asked: Vec<SeedSource>,
    /// What the host answers when it is asked for seeds.
    pub(crate) seeds: BTreeMap<SeedSource, Vec<Contact>>,
    pub(crate) cancelled: Vec<RequestId>,
    pub(crate) other: Vec<Output>,
    pub(crate) wakes: VecDeque<(Time, TimeoutReason)>,
}

pub(crate) fn random(seed: u8) -> Targets {
    Targets::new(Seed::from_bytes([seed; 32]))
}

/// A peer with a public address of its own network.
pub(crate) fn contact(peer: &Peer, at: usize) -> Contact {
    let (high, low) = (at / 250 + 1, at % 250 + 1);
    contact_at(peer, &format!("/ip4/9.{high}.{low}.7/tcp/4001"))
}

pub(crate) fn contact_at(peer: &Peer, address: &str) -> Contact {
    Contact::new(peer.clone(), [address.parse().expect("an address")])
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Bounds of a walk that does nothing by itself.
pub(crate) fn by_hand() -> Config {
    Config {
        auto: false,
        ..Config::default()
    }
}

impl World {
    pub(crate) fn new(peers: usize, config: Config) -> Self {
        let mut random = random(1);
        let local = random.uniform().as_peer().clone();
        let now = Time::from_millis(0);
        let walk = Walk::new(now, config, local, Seed::from_bytes([2; 32]));
        let all = (0..peers).map(|at| {
            let contact = contact(random.uniform().as_peer(), at);
            (contact.peer.clone(), (contact, Conduct::Live))
        });
        Self {
            now,
            walk: walk.expect("the bounds make sense"),
            peers: all.collect(),
            is_cut: false,
            delay: Duration::from_millis(50),
            open: BTreeMap::new(),
            asked: Vec::new(),
            inserted: Vec::new(),
            evicted: Vec::new(),
            reports: Vec::new(),
            lookups: Vec::new(),
            events: Vec::new(),
            seeds_asked: Vec::new(),
            seeds: BTreeMap::new(),
            cancelled: Vec::new(),
            other: Vec::new(),
            wakes: VecDeque::new(),
        }
    }

    /// A walk that knows the network and whose table is whole.
    pub(crate) fn grown(peers: usize, config: Config) -> Self {
        let mut world = Self::new(peers, config);
        world.know(1);
        world.run(secs(120));
        assert!(
            world.fill() > 0.95,
            "{}: {:?}",
            world.fill(),
            world.walk.health(world.now)
        );
        world
    }

    /// Live entries, as a share of those that a table of this network could hold.
    pub(crate) fn fill(&self) -> f64 {
        let local = self.local();
        let mut exist = [0_u32; 256];
        let mut have = [0_u32; 256];
        for (peer, (_, conduct)) in &self.peers {
            if let (Conduct::Live, Some(cpl)) = (conduct, local.cpl(peer)) {
                let at = usize::from(cpl.bits());
                exist[at] = (exist[at] + 1).min(20);
                have[at] += u32::from(self.walk.table().entry(peer).is_some());
            }
        }
        f64::from(have.iter().sum::<u32>()) / f64::from(exist.iter().sum::<u32>())
    }

    pub(crate) fn local(&self) -> Peer {
        self.walk.table().local().clone()
    }

    pub(crate) fn contacts(&self) -> Vec<Contact> {
        self.peers
            .values()
            .map(|(contact, _)| contact.clone())
            .collect()
    }

    /// Gives the walk a bootstrap list of so many peers.
    pub(crate) fn know(&mut self, count: usize) {
        let bootstrap = self.contacts().into_iter().take(count).collect();
        self.walk.set_bootstrap(self.now, bootstrap);
        self.take();
    }

    /// The host's table holds these from the start.
    pub(crate) fn hold(&mut self, count: usize) {
        for contact in self.contacts().into_iter().take(count) {
            self.walk.handle_entry_added(self.now, &contact);
        }
        self.take();
    }

    pub(crate) fn set(&mut self, peer: &Peer, conduct: Conduct) {
        self.peers.get_mut(peer).expect("a peer of the network").1 = conduct;
    }

    /// Everything that happens in that time.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now.saturating_add(span);
        self.run_until(end, |_| false);
    }

    /// Goes on until something holds; fails if it does not come to that.
    pub(crate) fn run_to(&mut self, span: Duration, is_reached: impl Fn(&Self) -> bool) {
        let end = self.now.saturating_add(span);
        assert!(self.run_until(end, is_reached), "not reached in {span:?}");
    }

    fn run_until(&mut self, end: Time, is_reached: impl Fn(&Self) -> bool) -> bool {
        self.take();
        for _ in 0..1_000_000 {
            if is_reached(self) {
                return true;
            }
            let answer = self.open.iter().map(|(id, (at, ..))| (*at, *id)).min();
            let wake = self.walk.poll_timeout();
            let next = answer
                .map(|(at, _)| at)
                .into_iter()
                .chain(wake.map(|(at, _)| at))
                .min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = end;
                return is_reached(self);
            };
            self.now = self.now.max(next);
            match answer {
                Some((at, id)) if at <= self.now => self.answer(id),
                Some(_) | None => {
                    self.wakes.extend(wake);
                    self.walk.handle_timeout(self.now);
                }
            }
            self.take();
        }
        panic!(
            "a million steps, the last wake-ups: {:?}",
            self.walk.poll_timeout()
        );
    }

    fn answer(&mut self, id: RequestId) {
        let Some((_, contact, target)) = self.open.remove(&id) else {
            return;
        };
        let conduct = self
            .peers
            .get(&contact.peer)
            .map(|(_, conduct)| conduct.clone());
        if self.is_cut {
            return self.walk.handle_failure(self.now, id, Failure::Unreachable);
        }
        match conduct {
            Some(Conduct::Live) => {
                let told = self.nearest(&target, 20);
                self.walk.handle_answer(self.now, id, told);
            }
            Some(Conduct::Tells(told)) => self.walk.handle_answer(self.now, id, told),
            Some(Conduct::Client) => self.walk.handle_failure(self.now, id, Failure::NotServing),
            Some(Conduct::Silent) => {}
            Some(Conduct::Unreachable) | None => {
                self.walk.handle_failure(self.now, id, Failure::Unreachable);
            }
        }
    }

    /// The live peers nearest to a target.
    pub(crate) fn nearest(&self, target: &Target, count: usize) -> Vec<Contact> {
        let live = self
            .peers
            .values()
            .filter(|(_, it)| matches!(it, Conduct::Live));
        let mut live: Vec<&Contact> = live.map(|(contact, _)| contact).collect();
        live.sort_by_key(|it| it.peer.distance(target.key()));
        live.into_iter().take(count).cloned().collect()
    }

    pub(crate) fn take(&mut self) {
        while let Some(output) = self.walk.poll_output() {
            match output {
                Output::AskSeeds(source) => {
                    self.seeds_asked.push(source);
                    let seeds = self.seeds.get(&source).cloned().unwrap_or_default();
                    self.walk.handle_seeds(self.now, source, seeds);
                }
                Output::Cancel(id) => {
                    self.open.remove(&id);
                    self.cancelled.push(id);
                }
                Output::Event(event) => {
                    match &event {
                        Event::Finished(report) => self.reports.push(*report.clone()),
                        Event::LookupEnded { report, .. } => self.lookups.push(*report.clone()),
                        _ => {}
                    }
                    self.events.push(event);
                }
                Output::Evict { peer, reason } => self.evicted.push((peer, reason)),
                Output::FindNode {
                    id,
                    contact,
                    target,
                } => {
                    self.asked.push((self.now, contact.clone(), target.clone()));
                    let conduct = self.peers.get(&contact.peer).map(|(_, conduct)| conduct);
                    let is_silent = matches!(conduct, Some(Conduct::Silent));
                    if !is_silent || self.is_cut {
                        let at = self.now.saturating_add(self.delay);
                        self.open.insert(id, (at, contact, target));
                    }
                }
                Output::Insert(contact) => self.inserted.push(contact.peer),
                output @ (Output::CancelLookup(_) | Output::Lookup { .. }) => {
                    self.other.push(output);
                }
            }
        }
    }

    pub(crate) fn entries(&self) -> BTreeSet<Peer> {
        self.walk
            .table()
            .iter()
            .map(|entry| entry.peer().clone())
            .collect()
    }

    /// Who is dead, but still an entry.
    pub(crate) fn stale(&self) -> usize {
        let is_live = |peer: &Peer| {
            matches!(
                self.peers.get(peer),
                Some((_, Conduct::Live | Conduct::Tells(_)))
            )
        };
        self.walk
            .table()
            .iter()
            .filter(|entry| !is_live(entry.peer()))
            .count()
    }
}

/// Every address is taken, as in a laboratory.
pub(crate) fn any_address() -> Config {
    Config {
        addresses: AddressPolicy::Any,
        ..Config::default()
    }
}
