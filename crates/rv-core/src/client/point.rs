//! One point: whether it answers, how it wants to be spoken to, and what it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use multiaddr::Multiaddr;
use rv_proto::{DialectSet, Namespace, Scope, Time};

use super::dialect::Tongue;
use super::registration::Registration;
use super::time::Dice;
use super::watch::Watch;
use super::{ClientConfig, Failure, OperationId, RequestId};

/// What a request is sent for. The order is that in which it is sent: what others see of us first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    Registration(Namespace),
    Lookup(OperationId),
    Watch(Scope),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Point {
    pub(super) health: Health,
    pub(super) tongue: Tongue,
    /// Instead of the client's own, for points that are not reached over the internet.
    pub(super) addresses: Option<Arc<[Multiaddr]>>,
    pub(super) registrations: BTreeMap<Namespace, Registration>,
    pub(super) watches: BTreeMap<Scope, Watch>,
    /// What is due and may not be sent yet.
    pub(super) waiting: BTreeSet<Work>,
    pub(super) requests: usize,
    /// The latest request, of whatever point, when this one answered one: what went out here up to
    /// then was out or over.
    answered_after: Option<RequestId>,
}

/// Whether a point answers, as all of its machines together learned it.
#[derive(Clone, Debug, Default)]
pub(super) enum Health {
    Down {
        failure: Failure,
        failures: u32,
        retry_at: Time,
        probe: Option<Probe>,
    },
    #[default]
    Unknown,
    Up,
}

/// The request that tries a point which does not answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    id: RequestId,
    /// How long it is waited for, if it is a REGISTER.
    patience: Option<Duration>,
}

impl Point {
    /// What may be sent next.
    pub(super) fn admit(&mut self, now: Time, config: &ClientConfig) -> Option<Work> {
        if self.requests >= config.requests_per_point_max {
            return None;
        }
        match &self.health {
            Health::Down { retry_at, .. } if *retry_at > now => None,
            Health::Down {
                probe: Some(probe), ..
            } => {
                let patience = probe.patience;
                let overtakes = |work: &&Work| {
                    let own = self.patience(work, config);
                    own.is_some_and(|own| patience.is_none_or(|of_probe| own < of_probe))
                };
                let work = self.waiting.iter().find(overtakes).cloned()?;
                self.waiting.take(&work)
            }
            Health::Down { probe: None, .. } | Health::Unknown | Health::Up => {
                self.waiting.pop_first()
            }
        }
    }

    /// How long the next request is waited for, if it is a REGISTER. Others may take longer than a
    /// registration has left, and so may a REGISTER for a longer ttl.
    fn patience(&self, work: &Work, config: &ClientConfig) -> Option<Duration> {
        match work {
            Work::Registration(namespace) => self.registrations.get(namespace)?.patience(config),
            Work::Lookup(_) | Work::Watch(_) => None,
        }
    }

    pub(super) fn sent(&mut self, id: RequestId, work: &Work, config: &ClientConfig) {
        self.requests += 1;
        let patience = self.patience(work, config);
        if let Health::Down { probe, .. } = &mut self.health {
            *probe = Some(Probe { id, patience });
        }
    }

    pub(super) fn landed(&mut self, id: RequestId) {
        self.requests = self.requests.saturating_sub(1);
        if let Health::Down { probe, .. } = &mut self.health {
            probe.take_if(|probe| probe.id == id);
        }
    }

    /// The point answered, when `latest` was the latest request. Returns whether it did not before.
    pub(super) fn answered(&mut self, now: Time, config: &ClientConfig, latest: RequestId) -> bool {
        self.answered_after = Some(latest);
        match std::mem::replace(&mut self.health, Health::Up) {
            Health::Down { .. } => {
                self.hurry(now, config);
                for registration in self.registrations.values_mut() {
                    registration.point_returned(now, config);
                }
                true
            }
            Health::Unknown | Health::Up => false,
        }
    }

    /// The point did not answer `id`. Returns when to try again, unless that is settled already.
    pub(super) fn missed(
        &mut self,
        now: Time,
        config: &ClientConfig,
        dice: &mut Dice,
        id: RequestId,
        failure: &Failure,
    ) -> Option<Time> {
        // It answered another while this one was out: the request was lost, and the point is not.
        if *failure == Failure::TimedOut && self.answered_after >= Some(id) {
            return None;
        }
        let failures = match &self.health {
            Health::Down {
                failures, probe, ..
            } if probe.is_some_and(|probe| probe.id == id) => failures.saturating_add(1),
            // One of several that were out when the first of them failed.
            Health::Down { .. } => return None,
            Health::Unknown | Health::Up => 1,
        };
        let caps = self.registrations.values().map(|it| it.pause_cap(config));
        let cap = caps.min().unwrap_or(config.backoff_max);
        let retry_at = now.saturating_add(dice.pause(config.backoff_min, failures, cap));
        self.health = Health::Down {
            failure: failure.clone(),
            failures,
            retry_at,
            probe: None,
        };
        Some(retry_at)
    }

    /// Somebody wants to know now whether the point answers.
    pub(super) fn knock(&mut self, now: Time) {
        if let Health::Down { retry_at, .. } = &mut self.health {
            *retry_at = now.min(*retry_at);
        }
    }

    /// Tries again soon whatever failed because the point could not be reached.
    pub(super) fn hurry(&mut self, now: Time, config: &ClientConfig) {
        for registration in self.registrations.values_mut() {
            registration.hurry(now, config);
        }
        for watch in self.watches.values_mut() {
            watch.hurry(now, config);
        }
    }

    /// The dialects to announce as readable.
    pub(super) fn accepts(&self) -> DialectSet {
        if self.tongue.has_extension() {
            DialectSet::ALL
        } else {
            DialectSet::EMPTY
        }
    }
}
