//! Stock peers of other languages, made under `target/peers` by their own package managers.
//!
//! Each is made once, from a committed lock file, and kept until that changes. One of them may have
//! several programs; go has two peers, because their versions of go-libp2p differ.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::cargo::{execute, workspace};
use crate::say;

/// Names of the peers that the tests must find, with commas between; read by `rv-interop`.
const PEERS: &str = "RV_PEERS";

/// Where continuous integration says that it is; nothing may be left out there.
const CI: &str = "CI";

/// The file that says what was made, beside it. Its first line names the language's version, the
/// rest are the files of [`Peer::inputs`]; `rv-interop` compares those.
const STAMP: &str = "installed";

/// The programs of the peers, and what they need.
const SOURCES: &str = "crates/rv-interop/peers";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Go,
    GoKad,
    Js,
    Py,
}

/// The peers of this run.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    present: Vec<Present>,
    missing: Vec<Peer>,
}

#[derive(Debug)]
struct Present {
    peer: Peer,
    version: String,
}

/// Makes every peer whose language this machine has.
///
/// # Errors
/// When one cannot be made.
pub(crate) fn run() -> Result<()> {
    let peers = Peers::look();
    say(&peers.summary());
    peers.make()
}

/// Makes the go point, or says that this machine cannot.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn run_go() -> Result<()> {
    let peers = Peers::look_for(&[Peer::Go]);
    if !peers.missing.is_empty() {
        say(&peers.summary());
    }
    peers.make()
}

impl Peers {
    /// Looks which languages this machine has.
    pub(crate) fn look() -> Self {
        Self::look_for(&[Peer::Go, Peer::GoKad, Peer::Js, Peer::Py])
    }

    fn look_for(wanted: &[Peer]) -> Self {
        let mut peers = Self::default();
        for &peer in wanted {
            match peer.version() {
                Some(version) => peers.present.push(Present { peer, version }),
                None => peers.missing.push(peer),
            }
        }
        peers
    }

    /// Which peers take part, and which are left out for want of what.
    pub(crate) fn summary(&self) -> String {
        let mut lines = vec!["peers: rust".to_owned()];
        for Present { peer, version } in &self.present {
            lines[0].push_str(&format!(", {} ({version})", peer.name()));
        }
        for peer in &self.missing {
            let (name, needs) = (peer.name(), peer.needs());
            lines.push(format!(
                "left out: the {name} peer, because {needs} is not here"
            ));
        }
        lines.join("\n")
    }

    /// Makes what is not made yet.
    ///
    /// # Errors
    /// When a peer cannot be made, or one is missing in continuous integration.
    pub(crate) fn make(&self) -> Result<()> {
        let is_ci = std::env::var_os(CI).is_some_and(|value| !value.is_empty());
        if let (true, Some(peer)) = (is_ci, self.missing.first()) {
            bail!(
                "{CI} is set, so no peer may be left out: install {}",
                peer.needs()
            );
        }
        let peers = workspace()?.target_directory.join("peers");
        for present in &self.present {
            let name = present.peer.name();
            let folder = peers.join(name).into_std_path_buf();
            let made = present.make(&folder);
            made.with_context(|| format!("could not make the {name} peer"))?;
        }
        Ok(())
    }

    /// Tells a call of the tests that every peer must be found.
    pub(crate) fn require_all<'a>(&self, tests: &'a mut Command) -> &'a mut Command {
        let all = self.present.iter().map(|it| it.peer);
        let all = all.chain(self.missing.iter().copied());
        let names: Vec<_> = all.map(Peer::name).collect();
        tests.env(PEERS, names.join(","))
    }

    /// Tells a call of the tests which peers they must find.
    pub(crate) fn require<'a>(&self, tests: &'a mut Command) -> &'a mut Command {
        let names: Vec<_> = self.present.iter().map(|it| it.peer.name()).collect();
        tests.env(PEERS, names.join(","))
    }
}

impl Present {
    fn make(&self, folder: &Path) -> Result<()> {
        let sources = Path::new(SOURCES).join(self.peer.name());
        let stamp = self.stamp(&sources)?;
        let stamp_path = folder.join(STAMP);
        if fs::read_to_string(&stamp_path).is_ok_and(|made| made == stamp) {
            return Ok(());
        }
        // What an interrupted run left behind does not count as made.
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir_all(folder)?,
        }
        match self.peer {
            // The point's registry is sqlite, which is C.
            Peer::Go => make_go(&sources, folder, "1")?,
            Peer::GoKad => make_go(&sources, folder, "0")?,
            Peer::Js => make_js(&sources, folder)?,
            Peer::Py => make_py(&sources, folder)?,
        }
        fs::write(stamp_path, stamp)?;
        Ok(())
    }

    fn stamp(&self, sources: &Path) -> Result<String> {
        let mut stamp = format!("{}\n", self.version);
        for input in self.peer.inputs() {
            let path = sources.join(input);
            let text = fs::read_to_string(&path);
            stamp.push_str(&text.with_context(|| format!("could not read {}", path.display()))?);
        }
        Ok(stamp)
    }
}

impl Peer {
    const fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::GoKad => "go-kad",
            Self::Js => "js",
            Self::Py => "py",
        }
    }

    const fn needs(self) -> &'static str {
        match self {
            Self::Go => "go (1.22 or newer) with a C compiler",
            Self::GoKad => "go (1.24.6 or newer)",
            Self::Js => "node (20 or newer) with npm",
            Self::Py => "python3 (3.11 or newer) with venv",
        }
    }

    /// What decides what is made, among the peer's sources: the packages, and the program where it
    /// is compiled.
    const fn inputs(self) -> &'static [&'static str] {
        match self {
            Self::Go | Self::GoKad => &["go.mod", "go.sum", "main.go"],
            Self::Js => &["package.json", "package-lock.json"],
            Self::Py => &["requirements.txt"],
        }
    }

    /// The version on this machine, if it is there and new enough.
    fn version(self) -> Option<String> {
        match self {
            Self::Go => {
                let compiler = ask("go", &["env", "CC"])?;
                ask(&compiler, &["--version"])?;
                go_version(&[1, 22])
            }
            Self::GoKad => go_version(&[1, 24, 6]),
            Self::Js => {
                ask("npm", &["--version"])?;
                let version = ask("node", &["--version"])?;
                is_at_least(&version, &[20]).then_some(version)
            }
            Self::Py => ask(
                "python3",
                &[
                    "-c",
                    "import ensurepip, platform, sys, venv; \
                     assert sys.version_info >= (3, 11); print(platform.python_version())",
                ],
            ),
        }
    }
}

fn go_version(least: &[u32]) -> Option<String> {
    let version = ask("go", &["env", "GOVERSION"])?;
    is_at_least(&version, least).then_some(version)
}

/// Whether a version such as `v20.20.2` or `go1.26.8` is `least` or newer.
fn is_at_least(version: &str, least: &[u32]) -> bool {
    let numbers = version.trim_start_matches(|first: char| first.is_ascii_alphabetic());
    let numbers = numbers.split('.').map(|number| number.parse().ok());
    let numbers: Option<Vec<u32>> = numbers.take(least.len()).collect();
    numbers.is_some_and(|numbers| numbers.as_slice() >= least)
}

/// With the toolchain and the modules that are named, and with neither fetched or raised on the
/// way.
fn make_go(sources: &Path, folder: &Path, cgo: &str) -> Result<()> {
    execute(
        Command::new("go")
            .args(["build", "-mod=readonly", "-buildvcs=false", "-o"])
            .arg(folder.join("peer"))
            .arg(".")
            .current_dir(sources)
            .env("GOTOOLCHAIN", "local")
            .env("CGO_ENABLED", cgo)
            .stdin(Stdio::null()),
    )
}

fn make_js(sources: &Path, folder: &Path) -> Result<()> {
    for input in Peer::Js.inputs() {
        fs::copy(sources.join(input), folder.join(input))?;
    }
    execute(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(folder)
            .stdin(Stdio::null()),
    )
}

fn make_py(sources: &Path, folder: &Path) -> Result<()> {
    execute(
        Command::new("python3")
            .args(["-m", "venv"])
            .arg(folder)
            .stdin(Stdio::null()),
    )?;
    let python: PathBuf = folder.join("bin").join("python");
    execute(
        Command::new(python)
            .args(["-m", "pip", "install", "--quiet", "--no-input"])
            .args(["--disable-pip-version-check", "--require-hashes", "-r"])
            .arg(sources.join("requirements.txt"))
            .stdin(Stdio::null()),
    )
}

/// What a program says on one line; `None` if it is not there or fails.
fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    fn js(version: &str) -> Present {
        Present {
            peer: Peer::Js,
            version: version.to_owned(),
        }
    }

    #[test]
    fn what_is_left_out_is_told_with_what_it_needs() {
        let peers = Peers {
            present: vec![js("v20.1.0")],
            missing: vec![Peer::Py],
        };
        assert_eq!(
            peers.summary(),
            "peers: rust, js (v20.1.0)\n\
             left out: the py peer, because python3 (3.11 or newer) with venv is not here"
        );
        let mut tests = Command::new("cargo");
        let told = peers.require(&mut tests).get_envs();
        assert_eq!(
            told.collect::<Vec<_>>(),
            [(PEERS.as_ref(), Some("js".as_ref()))]
        );
    }

    #[test]
    fn a_language_that_is_too_old_counts_as_missing() {
        assert!(is_at_least("v20.0.0", &[20]) && is_at_least("v100.1.0", &[20]));
        assert!(!is_at_least("v18.20.4", &[20]) && !is_at_least("odd", &[20]));
        assert!(is_at_least("go1.26.8", &[1, 22]) && is_at_least("go2.0", &[1, 22]));
        assert!(!is_at_least("go1.21.13", &[1, 22]) && !is_at_least("go1", &[1, 22]));
        assert!(is_at_least("go1.24.6", &[1, 24, 6]) && is_at_least("go1.25", &[1, 24, 6]));
        assert!(!is_at_least("go1.24.5", &[1, 24, 6]) && !is_at_least("go1.24", &[1, 24, 6]));
    }

    #[test]
    fn another_lock_file_or_another_version_is_another_stamp() -> Result<()> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let sources = sources.join(SOURCES).join("js");
        let stamp = js("v20.1.0").stamp(&sources)?;
        ensure!(stamp != js("v22.1.0").stamp(&sources)?);
        for input in Peer::Js.inputs() {
            ensure!(stamp.contains(&fs::read_to_string(sources.join(input))?));
        }
        Ok(())
    }
}
