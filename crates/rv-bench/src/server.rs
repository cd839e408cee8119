//! Servers under test, each a process of its own.

pub(crate) mod echo;
pub(crate) mod stock;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use libp2p::{Multiaddr, multiaddr::Protocol};
use rv_proto::Dialect;
use tempfile::TempDir;

use crate::{affinity::Affinity, client::Server};

/// A server that does not listen by then has failed.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// What `rv serve` is given: the limits that would refuse a load from few peers and one address
/// are lifted, everything else stays as it is shipped.
const RV_CONFIG: &str = include_str!("server/rv.toml");

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The server of `libp2p-rendezvous`, as published.
    Stock,
    /// `rv serve --ephemeral`.
    Memory,
    /// `rv serve` with its store.
    Durable,
    /// The server of `go-libp2p-rendezvous`, as published, with its store of SQLite on disk.
    Go,
    /// A server that answers any request with as many bytes as are asked for.
    Echo,
}

impl Kind {
    /// In the order in which they are measured: the echo last, since it repeats what it saw.
    pub(crate) const ALL: [Self; 5] = [
        Self::Stock,
        Self::Memory,
        Self::Durable,
        Self::Go,
        Self::Echo,
    ];

    /// Whether it takes many requests on one stream.
    pub(crate) fn keeps_streams(self) -> bool {
        match self {
            Self::Stock => false,
            Self::Memory | Self::Durable | Self::Go | Self::Echo => true,
        }
    }

    /// The dialects that its own clients register in, one of them.
    pub(crate) fn dialects(self) -> &'static [Dialect; 1] {
        match self {
            Self::Stock | Self::Memory | Self::Durable | Self::Echo => &[Dialect::Legacy],
            Self::Go => &[Dialect::Plain],
        }
    }

    /// What stands before the address in the line that tells it.
    fn address_prefix(self) -> &'static str {
        match self {
            Self::Stock | Self::Memory | Self::Durable | Self::Echo => "listening on ",
            Self::Go => "",
        }
    }
}

/// How servers are started.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    /// The program `rv`.
    pub(crate) rv: PathBuf,
    /// The go peer.
    pub(crate) go: PathBuf,
    /// Where stores are made: on a disk, since a store in memory would make durability free.
    pub(crate) store_parent: PathBuf,
    pub(crate) affinity: Affinity,
    /// Shows what servers write to stderr.
    pub(crate) verbose: bool,
}

impl Launcher {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(&self, kind: Kind) -> Result<RunningServer> {
        let folder = tempfile::Builder::new()
            .prefix("rv-bench-")
            .tempdir_in(&self.store_parent)
            .context("make a folder for the server")?;
        let mut command = self.command(kind, &folder)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if !self.verbose {
            command.stderr(Stdio::null());
        }
        let child = self.affinity.as_server(|| {
            command
                .spawn()
                .with_context(|| format!("start {}", command.get_program().display()))
        })?;
        let mut process = ChildGuard(child);
        let server = listening(&mut process.0, kind.address_prefix())
            .with_context(|| format!("{kind:?} did not start; --verbose shows its messages"))?;
        Ok(RunningServer {
            server,
            process,
            _folder: folder,
        })
    }

    fn command(&self, kind: Kind, folder: &TempDir) -> Result<Command> {
        let ours = std::env::current_exe().context("find our own program")?;
        Ok(match kind {
            Kind::Stock => {
                let mut command = Command::new(ours);
                command.arg("serve-stock");
                command
            }
            Kind::Echo => {
                let mut command = Command::new(ours);
                command.arg("serve-echo");
                command
            }
            Kind::Go => {
                let mut command = Command::new(&self.go);
                // It makes its store in the folder for temporary files.
                command.arg("server").env("TMPDIR", folder.path());
                command
            }
            Kind::Memory | Kind::Durable => {
                let config = folder.path().join("rv.toml");
                std::fs::File::create(&config)
                    .and_then(|mut file| file.write_all(RV_CONFIG.as_bytes()))
                    .context("write the config file")?;
                let mut command = Command::new(&self.rv);
                command.current_dir(folder.path());
                command.args(["serve", "--listen", "/ip4/127.0.0.1/tcp/0", "--config"]);
                command.arg(config);
                if kind == Kind::Memory {
                    command.arg("--ephemeral");
                } else {
                    command.arg("--data-dir").arg(folder.path().join("data"));
                }
                command
            }
        })
    }
}

/// A server that listens. Dropping it kills the process and removes its store.
#[derive(Debug)]
pub(crate) struct RunningServer {
    pub(crate) server: Server,
    // Before the folder: the process must be gone when its files go.
    process: ChildGuard,
    _folder: TempDir,
}

impl RunningServer {
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

#[derive(Debug)]
struct ChildGuard(Child);

impl Drop for ChildGuard {
    fn drop(&mut self) {
        // Either fails only if the process has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn listening(child: &mut Child, prefix: &str) -> Result<Server> {
    let stdout = child.stdout.take().context("the server has no stdout")?;
    let (sender, lines) = mpsc::sync_channel(16);
    // Reads on after the line is found, so that the server never blocks on a full pipe; ends with
    // the process.
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody waits for a later line.
            let _ = sender.try_send(line);
        }
    });
    // Bounded: a server prints one line an address.
    for _ in 0..16 {
        let Ok(line) = lines.recv_timeout(START_PATIENCE) else {
            break;
        };
        if let Some(server) = parse_listening(&line, prefix) {
            return Ok(server);
        }
    }
    bail!("no address of TCP on its stdout")
}

/// Reads `<multiaddr>/p2p/<peer id>` behind `prefix`; `None` for other lines and other transports.
fn parse_listening(line: &str, prefix: &str) -> Option<Server> {
    let mut address: Multiaddr = line.trim().strip_prefix(prefix)?.parse().ok()?;
    let Some(Protocol::P2p(peer)) = address.pop() else {
        return None;
    };
    let mut parts = address.iter();
    let ip = parts.next()?;
    let is_ip = matches!(ip, Protocol::Ip4(_) | Protocol::Ip6(_));
    let is_tcp = matches!(parts.next()?, Protocol::Tcp(_));
    let server = Server {
        address: address.clone(),
        peer,
    };
    (is_ip && is_tcp && parts.next().is_none()).then_some(server)
}

/// Prints the line that [`parse_listening`] reads of our own servers.
fn print_listening(address: &Multiaddr, peer: libp2p::PeerId) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "listening on {address}/p2p/{peer}")?;
    Ok(stdout.flush()?)
}

/// Resolves when our stdin ends, so that a server does not outlive who started it.
async fn stdin_ended() {
    let (sender, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        // An error is an end, too.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop(sender);
    });
    let _ = ended.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "listening on ";
    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    #[test]
    fn a_listening_line_gives_address_and_peer() {
        let line = format!("listening on /ip4/127.0.0.1/tcp/4001/p2p/{PEER}\n");
        let server = parse_listening(&line, OURS).expect("a line of TCP");
        assert_eq!(server.address.to_string(), "/ip4/127.0.0.1/tcp/4001");
        assert_eq!(server.peer.to_string(), PEER);
        let bare = &line[OURS.len()..];
        assert_eq!(parse_listening(bare, ""), Some(server));
    }

    #[test]
    fn other_transports_and_other_lines_are_passed_over() {
        for line in [
            format!("listening on /ip4/127.0.0.1/udp/4001/quic-v1/p2p/{PEER}"),
            format!("listening on /ip4/127.0.0.1/tcp/4001/ws/p2p/{PEER}"),
            "listening on /ip4/127.0.0.1/tcp/4001".to_owned(),
            format!("/ip4/127.0.0.1/tcp/4001/p2p/{PEER}"),
            "listening on nothing".to_owned(),
            String::new(),
        ] {
            assert_eq!(parse_listening(&line, OURS), None, "{line}");
        }
    }
}
