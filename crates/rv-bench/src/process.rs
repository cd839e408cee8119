//! What the kernel says about a process: CPU time and resident memory.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// The kernel reports CPU times in ticks of 1/100 s on every architecture that it shows to
/// programs (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Resident memory of a process, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) resident_kib: u64,
    /// The most that it ever was.
    pub(crate) peak_kib: u64,
}

/// User and system time that the process `pid` has used since it started.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let ticks = parse_cpu_ticks(&text).with_context(|| format!("parse {path}"))?;
    Ok(TICK * u32::try_from(ticks).context("more CPU time than a benchmark can use")?)
}

/// Resident memory of the process `pid`.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    parse_memory(&text).with_context(|| format!("parse {path}"))
}

/// Fields 14 and 15 (utime, stime) of a `/proc/<pid>/stat` line, added.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    // The command's name, field 2, is in parentheses and may hold spaces and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// `VmRSS` and `VmHWM` of a `/proc/<pid>/status` page.
fn parse_memory(status: &str) -> Option<Memory> {
    Some(Memory {
        resident_kib: kib_field(status, "VmRSS:")?,
        peak_kib: kib_field(status, "VmHWM:")?,
    })
}

fn kib_field(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_ticks_are_user_plus_system() {
        let line =
            "14840 (rv) S 14825 14825 11341 0 -1 4194304 105 0 0 0 31 11 7 5 20 0 1 0 103986";
        assert_eq!(parse_cpu_ticks(line), Some(42));
    }

    #[test]
    fn a_command_name_with_spaces_and_parentheses_shifts_no_field() {
        let line = "7 (a b) c) (d) R 1 1 1 0 -1 4194304 105 0 0 0 300 4 7 5 20 0 1 0 9";
        assert_eq!(parse_cpu_ticks(line), Some(304));
    }

    #[test]
    fn a_cut_stat_line_is_refused() {
        assert_eq!(
            parse_cpu_ticks("7 (rv) R 1 1 1 0 -1 4194304 105 0 0 0 300"),
            None
        );
        assert_eq!(parse_cpu_ticks("7 rv R 1 1"), None);
    }

    #[test]
    fn memory_is_read_in_kib() {
        let page = "Name:\trv\nVmPeak:\t  999 kB\nVmHWM:\t   12345 kB\nVmRSS:\t    6789 kB\n";
        let want = Memory {
            resident_kib: 6789,
            peak_kib: 12345,
        };
        assert_eq!(parse_memory(page), Some(want));
    }

    #[test]
    fn a_process_without_memory_is_refused() {
        // A zombie's page has no Vm lines.
        assert_eq!(parse_memory("Name:\trv\nState:\tZ (zombie)\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        let memory = memory(std::process::id()).expect("own status is readable");
        assert!(memory.peak_kib >= memory.resident_kib);
        cpu_time(std::process::id()).expect("own stat is readable");
    }
}
