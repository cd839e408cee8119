//! Which processors the server gets and which the load generator: a server that shares one with
//! its clients is charged for their cache misses.

use anyhow::Result;

/// A split of the processors that we may use.
#[derive(Clone, Debug)]
pub(crate) struct Affinity {
    #[cfg(target_os = "linux")]
    split: Option<linux::Split>,
}

impl Affinity {
    /// Gives the first processor to servers and the others to us, the calling thread and the
    /// threads that it starts from now on. With fewer than two, or where `enabled` is false,
    /// nothing is pinned.
    pub(crate) fn split(enabled: bool) -> Result<Self> {
        #[cfg(target_os = "linux")]
        {
            let split = if enabled { linux::Split::new()? } else { None };
            if let Some(split) = &split {
                split.enter_client()?;
            }
            Ok(Self { split })
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = enabled;
            Ok(Self {})
        }
    }

    /// Whether servers have a processor of their own.
    pub(crate) fn is_pinned(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.split.is_some();
        #[cfg(not(target_os = "linux"))]
        return false;
    }

    /// Runs `start` so that a process that it spawns is on the servers' processor.
    pub(crate) fn as_server<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        #[cfg(target_os = "linux")]
        if let Some(split) = &self.split {
            split.enter_server()?;
            let started = start();
            split.enter_client()?;
            return started;
        }
        start()
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use anyhow::{Context as _, Result};
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    #[derive(Clone, Debug)]
    pub(super) struct Split {
        server: CpuSet,
        client: CpuSet,
    }

    impl Split {
        pub(super) fn new() -> Result<Option<Self>> {
            let mut client = sched_getaffinity(None).context("read our processors")?;
            if client.count() < 2 {
                return Ok(None);
            }
            let Some(first) = (0..CpuSet::MAX_CPU).find(|&cpu| client.is_set(cpu)) else {
                return Ok(None);
            };
            client.unset(first);
            let mut server = CpuSet::new();
            server.set(first);
            Ok(Some(Self { server, client }))
        }

        pub(super) fn enter_server(&self) -> Result<()> {
            sched_setaffinity(None, &self.server).context("move to the servers' processor")
        }

        pub(super) fn enter_client(&self) -> Result<()> {
            sched_setaffinity(None, &self.client).context("move to the clients' processors")
        }
    }
}
