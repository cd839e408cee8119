//! A registration never lapses at a point that answers, whatever happens elsewhere.

use std::collections::BTreeSet;

use super::{Oracle, Promise, Violation, broken};
use crate::client::samples::{client_peer, name};
use crate::client::seen::{Call, Seen};
use crate::client::world::World;

/// Watches [`Promise::Holds`] at the first point, which is always up and keeps its clock.
///
/// Its links may lose any DISCOVER, and any write of a client or its answer; after that the next
/// write of each of its registrations comes through. The shortest ttl leaves time for one more
/// REGISTER after one that was lost, and at a point that seems to be down one registration tries
/// for all.
#[derive(Debug, Default)]
pub struct Holds {
    wanted: BTreeSet<(usize, usize)>,
    standing: BTreeSet<(usize, usize)>,
}

impl Oracle for Holds {
    fn see(&mut self, _: &World, seen: &Seen) -> Result<(), Violation> {
        match *seen {
            Seen::Granted {
                client,
                point: 0,
                name,
                is_late,
                ..
            } => {
                if is_late {
                    // An older REGISTER, of which the client knows nothing: it may be shorter.
                    self.standing.remove(&(client, name));
                } else if self.wanted.contains(&(client, name)) {
                    // What was withdrawn while it was out is granted too, and has to end.

                    self.standing.insert((client, name));
                }
            }
            Seen::Called {
                client,
                call: Call::Register { name, .. },
            } => {
                self.wanted.insert((client, name));
            }
            Seen::Called {
                client,
                call: Call::Unregister { name, .. },
            } => {
                self.wanted.remove(&(client, name));
                self.standing.remove(&(client, name));
            }
            Seen::Removed {
                client,
                point: 0,
                name,
                ..
            } => {
                self.standing.remove(&(client, name));
            }
            Seen::Called {
                client,
                call: Call::Crash,
            } => {
                self.wanted.retain(|(it, _)| *it != client);
                self.standing.retain(|(it, _)| *it != client);
            }
            Seen::Answered { .. }
            | Seen::Called { .. }
            | Seen::Forgot { .. }
            | Seen::Granted { .. }
            | Seen::Removed { .. }
            | Seen::Sent { .. }
            | Seen::Told { .. } => {}
        }
        Ok(())
    }

    fn look(&mut self, world: &World) -> Result<(), Violation> {
        for (client, number) in &self.standing {
            let held = world.points[0].held(world.now, client_peer(*client), &name(*number));
            if held.is_none() {
                let what = format!("client {client} lapsed at the first point in {number}");
                return Err(broken(Promise::Holds, world, what));
            }
        }
        Ok(())
    }
}
