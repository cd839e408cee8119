//! `rv register --keep`: stays registered until a signal.

use std::collections::BTreeSet;
use std::time::Duration;

use libp2p::PeerId;
use rv_client::rv_core::client::{Cause, Event};
use tokio::time::timeout;

use super::{Failure, Form, Registered, output, trouble, unless};
use crate::client::unregister::{leave, unregistered};
use crate::signals::Ends;

/// How long the end waits for points to take it. What they do not take lapses at its deadline.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

impl Registered<'_> {
    pub(super) async fn keep(mut self, mut ends: Ends) -> Result<(), Failure> {
        if self.form == Form::Terminal {
            output::note("Ctrl-C unregisters and ends");
        }
        let kept = tokio::select! {
            biased;
            Ok(()) = &mut ends.first => Ok(()),
            failed = self.follow() => failed,
        };
        let left = unless(ends.second, self.leave()).await;
        kept.and(left)
    }

    /// Tells what becomes of the registration, for ever.
    async fn follow(&mut self) -> Result<(), Failure> {
        loop {
            match self.node.next().await {
                Event::Registered(grant) => {
                    self.told.remove(&grant.point);
                    let before = self.grants.insert(grant.point, grant.clone());
                    let event = before.map_or("registered", |_| "renewed");
                    self.granted(event, &grant)?;
                }
                Event::Lapsed { point, .. } => {
                    self.grants.remove(&point);
                    self.line("lapsed", point).print(self.form)?;
                }
                Event::RegistrationFailed { point, cause, .. } => self.failed(point, &cause),
                Event::PointDown { point, failure, .. } => {
                    self.failed(point, &Cause::Failed(failure));
                }
                _ => {}
            }
        }
    }

    /// Told once, however often it is tried.
    fn failed(&mut self, point: PeerId, cause: &Cause) {
        let trouble = self.node.explain(&point, cause);
        if self.told.get(&point) != Some(&trouble) {
            output::note(format_args!("{}; trying again", trouble.sentence));
            self.told.insert(point, trouble);
        }
    }

    async fn leave(&mut self) -> Result<(), Failure> {
        let namespace = &self.args.namespace;
        // Also where a request is out, which may be granted after the end.
        let status = self.node.rendezvous().status();
        let asked = status.registrations.into_iter();
        let asked = asked.filter(|it| it.namespace == *namespace && it.next_at.is_none());
        let mut points: BTreeSet<_> = asked.map(|it| it.point).collect();
        points.extend(self.grants.keys());
        let leaving = leave(&mut self.node, namespace, points);
        let Ok(done) = timeout(LEAVE_TIMEOUT, leaving).await else {
            output::note("not every point took the end: there it stands until its deadline");
            return Ok(());
        };
        let (left, troubles) = done?;
        trouble::tell(&troubles);
        for point in left {
            unregistered(&self.node, namespace, point).print(self.form)?;
        }
        Ok(())
    }
}
