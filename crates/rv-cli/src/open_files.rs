//! The limit of open files, which bounds the connections of a point.

/// Files that a point has open besides its connections: store, lock, listeners, runtime.
#[cfg(unix)]
const OTHER_FILES: u64 = 128;

/// Raises the process's own limit of open files so that `connections` fit, as far as the system
/// allows, and warns if they do not.
#[cfg(unix)]
pub(crate) fn allow(connections: u32) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let wanted = u64::from(connections) + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    // None is no limit at all.
    let Some(current) = limit.current.filter(|current| *current < wanted) else {
        return;
    };
    let possible = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = Rlimit {
        current: Some(possible),
        maximum: limit.maximum,
    };
    let allowed = if setrlimit(Resource::Nofile, raised).is_ok() {
        possible
    } else {
        current
    };
    if allowed < wanted {
        tracing::warn!(
            open_files = allowed,
            connections,
            "open files are limited below connections.total: raise the limit of the system \
             (ulimit -n), or lower the setting"
        );
    }
}

/// Only unix has such a limit.
#[cfg(not(unix))]
pub(crate) fn allow(_: u32) {}
