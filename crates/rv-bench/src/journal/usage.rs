//! What this process used of the machine. On systems without procfs it reads as nothing.

use std::time::Duration;

/// Length of one tick of the process times; the same on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// A reading, or the difference of two.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// Time on a processor, in user and kernel mode, of all threads.
    pub(super) cpu: Duration,
    /// Bytes that this process caused to be sent to the disk.
    pub(super) disk_bytes: u64,
}

impl Usage {
    pub(super) fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The command's name, in parentheses, may hold blanks; user time is the 12th field after.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let ticks: u32 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u32>().ok())
            .sum();
        let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
        let disk_bytes = io
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes: "))
            .and_then(|bytes| bytes.parse().ok())
            .unwrap_or_default();
        Self {
            cpu: TICK * ticks,
            disk_bytes,
        }
    }

    /// What was used since this reading.
    pub(super) fn elapsed(self) -> Self {
        let now = Self::now();
        Self {
            cpu: now.cpu.saturating_sub(self.cpu),
            disk_bytes: now.disk_bytes.saturating_sub(self.disk_bytes),
        }
    }
}
