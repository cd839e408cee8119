//! The command as a process, and clients to talk to it.

#![allow(dead_code, reason = "each test program uses a part of this")]

pub(crate) mod dht;
pub(crate) mod raw;
pub(crate) mod stock;
pub(crate) mod terminal;
pub(crate) mod wrong;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take that should take a moment: two busy cores are slow at times.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a future that must end in time.
///
/// # Panics
///
/// If it does not.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// A running `rv`. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Rv {
    child: Child,
    stdout: Receiver<String>,
    /// Its lines of stderr while it runs.
    told: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

/// How an `rv` ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; none after a signal that it did not handle.
    pub(crate) code: Option<i32>,
    /// The lines of stdout that were not taken before.
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: String,
}

impl Rv {
    /// Starts `rv` with these arguments in this folder.
    pub(crate) fn start(folder: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rv"));
        command.args(args);
        Self::spawn(folder, command)
    }

    /// Starts a command that is or becomes `rv`, with an own identity in this folder.
    pub(crate) fn spawn(folder: &Path, mut command: Command) -> Self {
        let mut child = alone(&mut command, folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("rv starts");
        let (sender, stdout) = channel();
        let pipe = child.stdout.take().expect("piped");
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                // The test may have seen enough.
                let _ = sender.send(line);
            }
        });
        let (sender, told) = channel();
        let pipe = child.stderr.take().expect("piped");
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                text.push_str(&line);
                text.push('\n');
                // The test may have seen enough.
                let _ = sender.send(line);
            }
            text
        });
        Self {
            child,
            stdout,
            told,
            stderr: Some(stderr),
        }
    }

    /// `rv serve` on these listen addresses, with the store in `data` under the folder.
    pub(crate) fn serve(folder: &Path, listen: &[&str], args: &[&str]) -> Self {
        let listen = listen.iter().flat_map(|address| ["--listen", *address]);
        let all: Vec<_> = ["serve", "--data-dir", "data"]
            .into_iter()
            .chain(listen)
            .chain(args.iter().copied())
            .collect();
        Self::start(folder, &all)
    }

    /// The next address that it says it listens on.
    pub(crate) fn address(&mut self) -> Address {
        Address::parse(&self.line())
    }

    /// The next line of stdout.
    ///
    /// # Panics
    ///
    /// If none comes in time.
    pub(crate) fn line(&mut self) -> String {
        match self.stdout.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => {
                let ended = self.end_now();
                panic!("no line ({error}): {ended:?}");
            }
        }
    }

    /// The next line of stderr that holds this.
    ///
    /// # Panics
    ///
    /// If none comes in time.
    pub(crate) fn told(&mut self, wanted: &str) -> String {
        loop {
            match self.told.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(wanted) => return line,
                Ok(_) => {}
                Err(error) => {
                    let ended = self.end_now();
                    panic!("not told {wanted:?} ({error}): {ended:?}");
                }
            }
        }
    }

    /// The next address, if it comes in this time.
    pub(crate) fn address_within(&self, wait: Duration) -> Option<Address> {
        self.stdout
            .recv_timeout(wait)
            .ok()
            .map(|line| Address::parse(&line))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
    }

    /// SIGTERM, and what came of it.
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL, and gone.
    pub(crate) fn kill(mut self) -> Ended {
        self.end_now()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    ///
    /// If it does not in time.
    pub(crate) fn wait(mut self) -> Ended {
        let mut lines = Vec::new();
        loop {
            match self.stdout.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                // Its stdout ends when it does.
                Err(RecvTimeoutError::Disconnected) => return self.ended(lines),
                Err(RecvTimeoutError::Timeout) => {
                    let ended = self.end_now();
                    panic!("it did not end: {ended:?}");
                }
            }
        }
    }

    fn end_now(&mut self) -> Ended {
        // It may have ended by itself.
        let _ = self.child.kill();
        let lines = self.stdout.iter().collect();
        self.ended(lines)
    }

    fn ended(&mut self, stdout: Vec<String>) -> Ended {
        let status = self.child.wait().expect("it is ours");
        let stderr = self
            .stderr
            .take()
            .map(|stderr| stderr.join().expect("reads"));
        Ended {
            code: status.code(),
            stdout,
            stderr: stderr.unwrap_or_default(),
        }
    }
}

/// Keeps what the machine or the user set away from a command, but not what the test set.
pub(crate) fn alone<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    if !command.get_envs().any(|(name, _)| name == "RV_POINT") {
        command.env_remove("RV_POINT");
    }
    command
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .env("XDG_DATA_HOME", folder.join("share"))
        .stdin(Stdio::null())
}

impl Drop for Rv {
    fn drop(&mut self) {
        // Either fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a point is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) peer: PeerId,
    /// Without the peer id.
    pub(crate) address: Multiaddr,
}

impl Address {
    /// Reads a line of stdout.
    ///
    /// # Panics
    ///
    /// If it is anything else than `listening on <multiaddr>/p2p/<peer id>`.
    pub(crate) fn parse(line: &str) -> Self {
        let parse = || {
            let mut address: Multiaddr = line.strip_prefix("listening on ")?.parse().ok()?;
            let Some(Protocol::P2p(peer)) = address.pop() else {
                return None;
            };
            Some(Self { peer, address })
        };
        parse().unwrap_or_else(|| panic!("not an address: {line:?}"))
    }

    /// As it is given on a command line.
    pub(crate) fn whole(&self) -> String {
        format!("{}/p2p/{}", self.address, self.peer)
    }
}
