//! Networks that stand still: each node has a perfect table, and one walker looks around.
//!
//! A node's table is drawn anew at each question, always the same, so that 100,000 of them take no
//! memory beyond their addresses.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use dht_walk::{Config, Contact, Event, Key, Output, Report, Seed, Targets, Time, Walk};

use crate::Dice;
use crate::walk::figures;
use crate::walk::place::{Slot, contact, head};

/// Nodes that never change, in the order of their positions.
#[derive(Debug)]
pub struct Still {
    nodes: Vec<(u64, Contact)>,
    seed: u64,
}

impl Still {
    const K: usize = 20;

    /// A network of so many.
    pub fn new(seed: u64, count: u32) -> Self {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let mut ids = Targets::new(Seed::from_bytes(bytes));
        let node = |slot: Slot| {
            let peer = ids.uniform().as_peer().clone();
            (head(peer.key()), contact(&peer, slot))
        };
        let mut nodes: Vec<(u64, Contact)> = (0..count).map(node).collect();
        nodes.sort_unstable_by_key(|(head, _)| *head);
        Self { nodes, seed }
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Who shares exactly `cpl` bits with a position.
    fn bucket(&self, here: u64, cpl: u32) -> Range<usize> {
        figures::bucket(&self.nodes, |(it, _)| *it, here, cpl)
    }

    /// The entries of a bucket: all that there are, or 20 of them.
    fn entries(&self, here: u64, cpl: u32, into: &mut Vec<usize>) {
        let range = self.bucket(here, cpl);
        if range.len() <= Self::K {
            return into.extend(range);
        }
        let mut dice = Dice::fork(self.seed ^ here, cpl.into());
        let begin = into.len();
        while into.len() < begin + Self::K {
            let pick = range.start + dice.index(range.len());
            if !into[begin..].contains(&pick) {
                into.push(pick);
            }
        }
    }

    /// What a node answers: the 20 nearest entries of its table.
    fn answer(&self, asked: &Contact, key: &Key) -> Vec<Contact> {
        let (here, there) = (head(asked.peer.key()), head(key));
        let at = (here ^ there).leading_zeros().min(62);
        let mut near = Vec::new();
        self.entries(here, at, &mut near);
        if near.len() < Self::K {
            (at + 1..62).for_each(|cpl| self.entries(here, cpl, &mut near));
        }
        for cpl in (0..at).rev() {
            if near.len() >= Self::K {
                break;
            }
            self.entries(here, cpl, &mut near);
        }
        near.sort_unstable_by_key(|at| self.nodes[*at].0 ^ there);
        near.truncate(Self::K);
        near.into_iter()
            .map(|at| self.nodes[at].1.clone())
            .collect()
    }

    /// What one of the nodes finds when it is told to look around.
    pub fn look_around(&self, begin: impl FnOnce(&mut Walk, Time)) -> Report {
        let mut now = Time::from_millis(0);
        let (local, mut bytes) = (&self.nodes[0].1, [8; 32]);
        bytes[..8].copy_from_slice(&self.seed.to_be_bytes());
        let walk = Walk::new(
            now,
            Self::config(),
            local.peer.clone(),
            Seed::from_bytes(bytes),
        );
        let mut walk = walk.expect("the bounds make sense");
        let mut table = Vec::new();
        (0..62).for_each(|cpl| self.entries(head(local.peer.key()), cpl, &mut table));
        for at in table {
            walk.handle_entry_added(now, &self.nodes[at].1);
        }
        begin(&mut walk, now);
        let mut open = VecDeque::new();
        loop {
            while let Some(output) = walk.poll_output() {
                match output {
                    Output::FindNode {
                        id,
                        contact,
                        target,
                    } => {
                        let at = now.saturating_add(Duration::from_millis(100));
                        open.push_back((at, id, contact, target));
                    }
                    Output::Event(Event::Finished(report)) => return *report,
                    _ => {}
                }
            }
            if let Some((at, id, contact, target)) = open.pop_front() {
                now = now.max(at);
                walk.handle_answer(now, id, self.answer(&contact, target.key()));
            } else {
                let (at, _) = walk.poll_timeout().expect("it has not ended");
                now = now.max(at);
                walk.handle_timeout(now);
            }
        }
    }

    fn config() -> Config {
        let mut config = Config {
            auto: false,
            ..Config::default()
        };
        config.budget.messages_per_hour = u32::MAX;
        config.budget.messages_burst = u32::MAX;
        config.budget.dials_per_hour = u32::MAX;
        config.budget.dials_burst = u32::MAX;
        config.refresh.found_max = 1 << 20;
        config.refresh.deadline = Duration::from_secs(7 * 86_400);
        config
    }
}
