//! Who may depend on what, and why each dependency is here.

use cargo_metadata::{DependencyKind, Metadata};

use super::{File, Finding};

/// All that the cores may depend on: nothing here has a clock, a socket or a runtime.
const ALLOWED: [(&str, &[&str]); 3] = [
    (
        "dht-walk",
        &["libp2p-identity", "multiaddr", "sha2", "thiserror"],
    ),
    (
        "rv-core",
        &[
            "bytes",
            "libp2p-identity",
            "multiaddr",
            "rv-proto",
            "sha2",
            "thiserror",
        ],
    ),
    (
        "rv-proto",
        &[
            "bytes",
            "libp2p-identity",
            "multiaddr",
            "prost",
            "thiserror",
        ],
    ),
];

/// What a core may depend on as an option, for a shell that has a folder of its own in it.
const ALLOWED_AS_OPTION: [(&str, &[&str]); 1] = [(
    "dht-walk",
    &[
        "asynchronous-codec",
        "either",
        "futures",
        "futures-timer",
        "getrandom",
        "libp2p-core",
        "libp2p-kad",
        "libp2p-swarm",
        "prost",
        "prost-codec",
        "tracing",
        "web-time",
    ],
)];

/// Programs, which assemble a whole swarm; the daemon in `rv-server` does so too, as an option.
const WITH_UMBRELLA: [&str; 3] = ["rv-bench", "rv-cli", "rv-interop"];

const WORKSPACE: &str = "Cargo.toml";

/// One dependency that a crate compiles with, tests aside.
#[derive(Clone, Copy, Debug)]
struct Edge<'a> {
    package: &'a str,
    dependency: &'a str,
    optional: bool,
}

/// Checks the workspace's crates and its table of dependencies.
pub(super) fn check(metadata: &Metadata, files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let compiled = |kind| kind != DependencyKind::Development;
        for dependency in package.dependencies.iter().filter(|d| compiled(d.kind)) {
            let edge = Edge {
                package: package.name.as_str(),
                dependency: &dependency.name,
                optional: dependency.optional,
            };
            if let Some(message) = judge(edge) {
                findings.push(at_manifest(edge, files, message));
            }
        }
    }
    let workspace = files.iter().filter(|file| file.path == WORKSPACE);
    findings.extend(workspace.flat_map(check_reasons));
    findings
}

fn judge(edge: Edge<'_>) -> Option<String> {
    let Edge {
        package,
        dependency,
        optional,
    } = edge;
    let allows = |table: &[(&str, &[&str])]| {
        let row = table.iter().find(|(core, _)| *core == package);
        row.is_some_and(|(_, allowed)| allowed.contains(&dependency))
    };
    let is_core = ALLOWED.iter().any(|(core, _)| *core == package);
    if is_core && !allows(&ALLOWED) && !(optional && allows(&ALLOWED_AS_OPTION)) {
        return Some(format!(
            "{package} may not depend on {dependency}: it belongs to a shell"
        ));
    }
    let may_assemble = WITH_UMBRELLA.contains(&package) || (package == "rv-server" && optional);
    (dependency == "libp2p" && !may_assemble)
        .then(|| format!("{package} is a library: depend on the parts of libp2p that it needs"))
}

fn at_manifest(edge: Edge<'_>, files: &[File], message: String) -> Finding {
    let path = format!("crates/{}/Cargo.toml", edge.package);
    let names = |line: &str| {
        let name = line.split(['.', '=']).next().unwrap_or_default();
        name.trim() == edge.dependency
    };
    let manifest = files.iter().find(|file| file.path == path);
    let line = manifest.and_then(|file| file.lines().find(|(_, line)| names(line)));
    Finding {
        path,
        line: line.map_or(1, |(number, _)| number),
        message,
    }
}

/// Every dependency of others says on its line why it is here.
fn check_reasons(manifest: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut inside = false;
    for (number, line) in manifest.lines() {
        if line.starts_with('[') {
            inside = line.starts_with("[workspace.dependencies]");
            if line.starts_with("[workspace.dependencies.") {
                findings.push(manifest.finding(number, "write the dependency on one line"));
            }
        } else if inside && is_of_others(line) && reason(line).is_none() {
            findings.push(manifest.finding(number, "say why it is here: `... # the reason`"));
        }
    }
    findings
}

/// Whether the line names a dependency that is no crate of this workspace.
fn is_of_others(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with(|first: char| first.is_ascii_alphabetic() || first == '"')
        && line.contains('=')
        && !line.contains("path = \"crates/")
}

/// The comment at the end of a line of a manifest, where it says something.
fn reason(line: &str) -> Option<&str> {
    let mut in_string = false;
    let start = line.find(|letter| {
        in_string ^= letter == '"';
        letter == '#' && !in_string
    })?;
    let comment = line[start + 1..].trim();
    (!comment.is_empty()).then_some(comment)
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn is_refused(package: &str, dependency: &str, optional: bool) -> bool {
        judge(Edge {
            package,
            dependency,
            optional,
        })
        .is_some()
    }

    #[test]
    fn a_core_may_depend_on_its_list_alone_even_as_an_option() {
        assert!(is_refused("rv-core", "tokio", false));
        assert!(is_refused("rv-core", "rand", true));
        assert!(is_refused("rv-proto", "rv-core", false));
        assert!(is_refused("dht-walk", "rv-proto", false));
        assert!(!is_refused("rv-core", "rv-proto", false));
        assert!(!is_refused("rv-proto", "prost", false));
        assert!(!is_refused("rv-server", "tokio", true));
    }

    #[test]
    fn what_a_cores_shell_needs_is_an_option() {
        assert!(is_refused("dht-walk", "futures", false));
        assert!(!is_refused("dht-walk", "futures", true));
        assert!(is_refused("dht-walk", "tokio", true));
        assert!(is_refused("rv-core", "futures", true));
    }

    #[test]
    fn only_programs_and_the_optional_daemon_assemble_a_swarm() {
        assert!(is_refused("rv-client", "libp2p", false));
        assert!(is_refused("rv-client", "libp2p", true));
        assert!(is_refused("rv-server", "libp2p", false));
        assert!(!is_refused("rv-server", "libp2p", true));
        assert!(!is_refused("rv-cli", "libp2p", false));
        assert!(!is_refused("rv-client", "libp2p-swarm", false));
    }

    #[test]
    fn a_finding_points_at_the_line_of_the_dependency() {
        let text = "[dependencies]\ntokio-util = \"1\"\ntokio.workspace = true\n";
        let files = [samples::file("crates/rv-core/Cargo.toml", text)];
        let edge = Edge {
            package: "rv-core",
            dependency: "tokio",
            optional: false,
        };
        let finding = at_manifest(edge, &files, "go".to_owned());
        assert_eq!(finding.to_string(), "crates/rv-core/Cargo.toml:3: go");
    }

    #[test]
    fn a_dependency_of_others_without_a_reason_is_found() {
        let text = "\
[workspace.dependencies]
# a group
ours = { path = \"crates/ours\" }
bare = \"1\"
\"quoted\" = \"1\"
empty = \"1\" #
string = { version = \"1\", features = [\"#a\"] }
good = { version = \"1\", features = [\"#a\"] } # wanted for this
[workspace.dependencies.table]
version = \"1\"
[profile.dev]
debug = false
";
        let found = check_reasons(&samples::file(WORKSPACE, text));
        assert_eq!(samples::lines(&found), [4, 5, 6, 7, 9]);
    }
}
