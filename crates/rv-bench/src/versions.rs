//! What was measured, for the head of the report.

use crate::load::Effort;

/// The lock file that this program was built with.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// The module that the go peer is built from.
const GO_MODULE: &str = include_str!("../../rv-interop/peers/go/go.mod");

/// The first lines of the report.
pub(crate) fn headline(processors: usize, is_pinned: bool, effort: Effort) -> String {
    let pinned = match is_pinned {
        true => "server on one of them, clients on the others",
        false => "shared by server and clients",
    };
    let build = if cfg!(debug_assertions) {
        ", NOT OPTIMIZED"
    } else {
        ""
    };
    format!(
        "# rv {}{build}, beside libp2p-rendezvous {} (libp2p {}, redb {}) and \
         go-libp2p-rendezvous {} (go-libp2p {})\n\n\
         {processors} processors, {pinned}. {} connections with one request in flight each, over \
         TCP (loopback), noise and yamux; {:.1} s a measurement.",
        env!("CARGO_PKG_VERSION"),
        locked_version(LOCK, "libp2p-rendezvous"),
        locked_version(LOCK, "libp2p"),
        locked_version(LOCK, "redb"),
        required_version(GO_MODULE, "github.com/berty/go-libp2p-rendezvous"),
        required_version(GO_MODULE, "github.com/libp2p/go-libp2p"),
        effort.connections,
        effort.duration.as_secs_f64(),
    )
}

/// The version of `package` in a `Cargo.lock`; with several, the first.
fn locked_version<'a>(lock: &'a str, package: &str) -> &'a str {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    let version = lines
        .next()
        .and_then(|line| line.strip_prefix("version = \""));
    version.map_or("unknown", |version| version.trim_end_matches('"'))
}

/// The version of `package` in a `go.mod`.
fn required_version<'a>(module: &'a str, package: &str) -> &'a str {
    let mut lines = module
        .lines()
        .map(|line| line.trim_start_matches("require"));
    let version = lines.find_map(|line| line.trim().strip_prefix(package)?.strip_prefix(' '));
    let version = version.and_then(|rest| rest.split_whitespace().next());
    version.unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_version_is_that_of_the_whole_name() {
        let lock = "[[package]]\nname = \"redb-x\"\nversion = \"9.9.9\"\n\n\
                    [[package]]\nname = \"redb\"\nversion = \"4.4.0\"\n";
        assert_eq!(locked_version(lock, "redb"), "4.4.0");
        assert_eq!(locked_version(lock, "red"), "unknown");
    }

    #[test]
    fn a_required_version_is_that_of_the_whole_path() {
        let module = "module x\n\ngo 1.22\n\nrequire (\n\ta.org/go-b v1.2.3\n\
                      \ta.org/go v0.3.4 // indirect\n)\n";
        assert_eq!(required_version(module, "a.org/go"), "v0.3.4");
        assert_eq!(
            required_version("require a.org/go v2.0.0\n", "a.org/go"),
            "v2.0.0"
        );
        assert_eq!(required_version(module, "a.org"), "unknown");
        assert_ne!(
            required_version(GO_MODULE, "github.com/libp2p/go-libp2p"),
            "unknown"
        );
    }

    #[test]
    fn our_own_lock_names_the_stock_server() {
        assert!(locked_version(LOCK, "libp2p-rendezvous").starts_with("0."));
    }
}
