//! A network in memory whose nodes have tables of their own, and one crawl in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dht_walk::{
    Contact, Cpl, Crawl, CrawlConfig, CrawlEnd, CrawlEvent, CrawlOutput, CrawlState, Failure, Fate,
    Peer, RequestId, Seed, Target, Targets, Time,
};

/// How a node behaves.
#[derive(Clone, Debug)]
pub(crate) enum Conduct {
    /// Answers with the nearest of its table.
    Live,
    /// Answers nothing, ever.
    Hung,
    /// Cannot be dialled.
    Unreachable,
    /// Serves no DHT.
    Client,
    /// Tells of twenty other invented peers each time.
    Invents,
    /// Answers each question with these.
    Tells(Vec<Contact>),
}

pub(crate) struct Node {
    pub(crate) contact: Contact,
    pub(crate) conduct: Conduct,
    table: Vec<Contact>,
}

pub(crate) struct Network {
    pub(crate) nodes: BTreeMap<Peer, Node>,
    pub(crate) delay: Duration,
    random: Targets,
    invented: usize,
}

/// A crawl, and all that came out of it.
pub(crate) struct Run {
    pub(crate) now: Time,
    pub(crate) crawl: Crawl,
    open: BTreeMap<RequestId, (Time, Contact, Target)>,
    pub(crate) asked: Vec<(Time, Contact, Target)>,
    pub(crate) settled: BTreeMap<Peer, Fate>,
    pub(crate) cancelled: usize,
    pub(crate) in_flight_max: usize,
    pub(crate) ended: Option<CrawlEnd>,
}

pub(crate) fn local() -> Peer {
    Targets::new(Seed::from_bytes([9; 32]))
        .uniform()
        .as_peer()
        .clone()
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A contact with an address of its own.
pub(crate) fn contact(peer: &Peer, at: usize) -> Contact {
    let address = format!("/ip4/9.{}.{}.7/tcp/4001", at / 250 + 1, at % 250 + 1);
    Contact::new(peer.clone(), [address.parse().expect("an address")])
}

impl Network {
    /// So many nodes, each of which knows up to twenty others in each bucket.
    pub(crate) fn new(nodes: usize) -> Self {
        let mut random = Targets::new(Seed::from_bytes([1; 32]));
        let contacts: Vec<Contact> = (0..nodes)
            .map(|at| contact(random.uniform().as_peer(), at))
            .collect();
        let node = |own: &Contact| {
            // Which twenty differs from node to node: those next to it in a circle.
            let at = contacts.iter().position(|it| it == own).unwrap_or(0);
            let others = contacts[at..].iter().chain(&contacts[..at]);
            let mut sizes = [0; 256];
            let is_taken = |it: &&Contact| match own.peer.cpl(&it.peer) {
                Some(cpl) => {
                    let size = &mut sizes[usize::from(cpl.bits())];
                    *size += 1;
                    *size <= 20
                }
                None => false,
            };
            let node = Node {
                contact: own.clone(),
                conduct: Conduct::Live,
                table: others.filter(is_taken).cloned().collect(),
            };
            (own.peer.clone(), node)
        };
        Self {
            nodes: contacts.iter().map(node).collect(),
            delay: Duration::from_millis(50),
            random,
            invented: 0,
        }
    }

    pub(crate) fn peers(&self) -> BTreeSet<Peer> {
        self.nodes.keys().cloned().collect()
    }

    /// So many nodes, others each time.
    pub(crate) fn some(&self, skip: usize, count: usize) -> Vec<Contact> {
        let nodes = self.nodes.values().skip(skip).take(count);
        nodes.map(|node| node.contact.clone()).collect()
    }

    pub(crate) fn set(&mut self, contacts: &[Contact], conduct: &Conduct) {
        for contact in contacts {
            let node = self.nodes.get_mut(&contact.peer).expect("a node of it");
            node.conduct = conduct.clone();
        }
    }

    /// So many who do not exist, next to a peer.
    pub(crate) fn near(&mut self, peer: &Peer, count: usize) -> Vec<Contact> {
        let mut near = || {
            self.invented += 1;
            let target = self.random.in_bucket(peer.key(), Cpl::new(12));
            contact(target.expect("a target").as_peer(), self.invented)
        };
        (0..count).map(|_| near()).collect()
    }

    /// What comes back of a request; nothing where nothing ever does.
    fn answer(
        &mut self,
        asked: &Contact,
        target: &Target,
    ) -> Option<Result<Vec<Contact>, Failure>> {
        let Some(node) = self.nodes.get(&asked.peer) else {
            return Some(Err(Failure::Unreachable));
        };
        let own = &node.contact.addresses.as_slice()[0];
        if !asked.addresses.as_slice().contains(own) {
            return Some(Err(Failure::Unreachable));
        }
        Some(match &node.conduct {
            Conduct::Live => {
                let mut near = node.table.clone();
                near.sort_by_key(|it| it.peer.distance(target.key()));
                near.truncate(20);
                Ok(near)
            }
            Conduct::Hung => return None,
            Conduct::Unreachable => Err(Failure::Unreachable),
            Conduct::Client => Err(Failure::NotServing),
            Conduct::Invents => Ok((0..20).map(|_| self.invent(&asked.peer, target)).collect()),
            Conduct::Tells(told) => Ok(told.clone()),
        })
    }

    /// Somebody who does not exist, in the bucket of the liar that it is asked for.
    fn invent(&mut self, liar: &Peer, target: &Target) -> Contact {
        self.invented += 1;
        let cpl = liar.cpl(target.as_peer()).expect("another one");
        let near = Cpl::new(cpl.bits() + 1);
        let near = self.random.in_bucket(target.key(), near);
        contact(near.expect("a target").as_peer(), self.invented)
    }
}

impl Run {
    /// Knows the first node.
    pub(crate) fn new(network: &Network, config: CrawlConfig) -> Self {
        Self::resumed(network, config, &CrawlState::default())
    }

    pub(crate) fn resumed(network: &Network, config: CrawlConfig, state: &CrawlState) -> Self {
        let now = Time::from_millis(0);
        let seed = Seed::from_bytes([2; 32]);
        let crawl = Crawl::resume(now, config, local(), seed, state);
        let mut crawl = crawl.expect("the bounds make sense");
        crawl.add_seeds(now, network.some(0, 1));
        Self {
            now,
            crawl,
            open: BTreeMap::new(),
            asked: Vec::new(),
            settled: BTreeMap::new(),
            cancelled: 0,
            in_flight_max: 0,
            ended: None,
        }
    }

    /// To its end.
    pub(crate) fn finish(mut self, network: &mut Network) -> Self {
        self.run_while(network, |_| true);
        assert!(self.ended.is_some() && self.crawl.poll_timeout().is_none());
        self
    }

    /// Until it has sent so many messages, or is over.
    pub(crate) fn send(&mut self, network: &mut Network, messages: usize) {
        self.run_while(network, |run| run.asked.len() < messages);
    }

    pub(crate) fn run_while(&mut self, network: &mut Network, goes_on: impl Fn(&Self) -> bool) {
        for _ in 0..1_000_000 {
            let answer = self.open.iter().map(|(id, (at, ..))| (*at, *id)).min();
            let wake = self.crawl.poll_timeout();
            let next = answer.map(|(at, _)| at).into_iter().chain(wake).min();
            let Some(next) = next.filter(|_| goes_on(self)) else {
                return;
            };
            self.now = self.now.max(next);
            match answer {
                Some((at, id)) if at <= self.now => self.answer(network, id),
                Some(_) | None => self.crawl.handle_timeout(self.now),
            }
            self.take(network.delay);
        }
        panic!("a million steps");
    }

    fn answer(&mut self, network: &mut Network, id: RequestId) {
        let (_, contact, target) = self.open.remove(&id).expect("it is open");
        match network.answer(&contact, &target) {
            Some(Ok(told)) => self.crawl.handle_answer(self.now, id, told),
            Some(Err(failure)) => self.crawl.handle_failure(self.now, id, failure),
            None => {
                let never = Time::from_millis(u64::MAX);
                self.open.insert(id, (never, contact, target));
            }
        }
    }

    pub(crate) fn take(&mut self, delay: Duration) {
        while let Some(output) = self.crawl.poll_output() {
            assert_eq!(self.ended, None, "nothing comes after the end");
            match output {
                CrawlOutput::Cancel(id) => {
                    assert!(self.open.remove(&id).is_some(), "it is open");
                    self.cancelled += 1;
                }
                CrawlOutput::Event(CrawlEvent::Ended(end)) => self.ended = Some(end),
                CrawlOutput::Event(CrawlEvent::Settled(contact, fate)) => {
                    let before = self.settled.insert(contact.peer, fate);
                    assert_eq!(before, None, "each peer is told once");
                }
                CrawlOutput::Event(event) => panic!("unknown: {event:?}"),
                CrawlOutput::FindNode {
                    id,
                    contact,
                    target,
                } => {
                    let is_same = |(_, it, _): &(_, Contact, _)| it.peer == contact.peer;
                    assert!(!self.open.values().any(is_same), "one at a time to a peer");
                    self.asked.push((self.now, contact.clone(), target.clone()));
                    let at = self.now.saturating_add(delay);
                    self.open.insert(id, (at, contact, target));
                    self.in_flight_max = self.in_flight_max.max(self.open.len());
                }
            }
        }
    }

    pub(crate) fn of(&self, wanted: Fate) -> BTreeSet<Peer> {
        let settled = self.settled.iter();
        let wanted = settled.filter(|(_, fate)| **fate == wanted);
        wanted.map(|(peer, _)| peer.clone()).collect()
    }

    pub(crate) fn times_asked(&self, peer: &Peer) -> usize {
        let asked = self.asked.iter();
        asked
            .filter(|(_, contact, _)| contact.peer == *peer)
            .count()
    }
}
