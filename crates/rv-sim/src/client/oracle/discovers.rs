//! Discoveries end, and slow points delay them only for a moment.

use std::collections::BTreeMap;
use std::time::Duration;

use rv_core::client::{ClientConfig, Event, OperationId};
use rv_proto::Time;

use super::{Oracle, Promise, Violation, broken};
use crate::client::network::Network;
use crate::client::seen::{Call, Seen};
use crate::client::world::World;

/// Watches [`Promise::Discovers`].
#[derive(Debug)]
pub struct Discovers {
    config: ClientConfig,
    under_way: BTreeMap<(usize, OperationId), Time>,
}

impl Discovers {
    pub(super) const fn new(config: ClientConfig) -> Self {
        Self {
            config,
            under_way: BTreeMap::new(),
        }
    }

    /// How long a discovery takes where one point answers over links that lose nothing: that
    /// point's pages, then the wait for the slower points, which begins anew with each page.
    pub fn done_after(config: &ClientConfig, pages: u32) -> Duration {
        let page = Duration::from_millis(3 * Network::CALM_MILLIS_MAX);
        page * pages + config.straggler_wait
    }

    /// How long it takes in any case: a point's turn comes when the request that tries it is
    /// over, and then each page is waited for.
    pub fn ended_after(config: &ClientConfig, pages: u32) -> Duration {
        config.request_timeout * (pages + 1) + config.straggler_wait
    }
}

/// Pages of one listing at the most: an entry each, one for each that is renewed meanwhile, and
/// an empty one.
pub(super) fn pages_max(world: &World) -> u32 {
    let clients = u32::try_from(world.nodes.len()).expect("few");
    2 * clients + 1
}

impl Oracle for Discovers {
    fn see(&mut self, world: &World, seen: &Seen) -> Result<(), Violation> {
        match seen {
            Seen::Called {
                client,
                call: Call::Discover { operation },
            } => {
                let pages = pages_max(world);
                let takes = if world.shape.is_first_lossy {
                    Self::ended_after(&self.config, pages)
                } else {
                    Self::done_after(&self.config, pages)
                };
                let until = world.now.saturating_add(takes);
                self.under_way.insert((*client, *operation), until);
            }
            Seen::Told {
                client,
                event: Event::Found { operation, .. },
            } => {
                // A slow point that goes on is waited for.
                let until = world.now.saturating_add(self.config.straggler_wait);
                if let Some(before) = self.under_way.get_mut(&(*client, *operation)) {
                    *before = until.max(*before);
                }
            }
            Seen::Called {
                client,
                call: Call::Crash,
            } => {
                self.under_way.retain(|(it, _), _| it != client);
            }
            Seen::Told {
                client,
                event: Event::DiscoverDone { operation, .. },
            } => {
                if self.under_way.remove(&(*client, *operation)).is_none() {
                    let what = format!("client {client} was told twice that it is done");
                    return Err(broken(Promise::Discovers, world, what));
                }
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
        let late = self.under_way.iter().find(|(_, until)| world.now > **until);
        if let Some(((client, _), _)) = late {
            let what = format!("client {client} still discovers");
            return Err(broken(Promise::Discovers, world, what));
        }
        Ok(())
    }
}
