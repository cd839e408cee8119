//! Stock peers of other languages, each in a process of its own.
//!
//! Their programs are in `peers/` of this crate: a server that serves until its stdin ends, and a
//! client and a Kademlia node that take a request a line. `cargo xtask peers` makes what they need.

mod client;
mod kad;
mod made;
mod process;
mod program;
mod shown;

use std::path::PathBuf;

use libp2p::Multiaddr;

use made::Made;
use process::Process;
use program::Program;

pub use client::{ForeignClient, ForeignPage};
pub use kad::{KadNode, KadRuntime, Kademlia};

/// A language that a stock peer is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// go-libp2p with `github.com/berty/go-libp2p-rendezvous`.
    Go,
    /// js-libp2p with `@canvas-js/libp2p-rendezvous`.
    Js,
    /// py-libp2p.
    Py,
}

/// How to run the peer of a language.
#[derive(Clone, Debug)]
pub struct Runtime {
    language: Language,
    folder: PathBuf,
}

const JS_PROGRAM: &str = include_str!("../peers/js/peer.mjs");

impl Runtime {
    /// Finds what `cargo xtask peers` made. If it made nothing, says so on stderr, past the capture
    /// of the test harness.
    ///
    /// # Panics
    ///
    /// If it made nothing although this run must have it.
    pub fn find(language: Language) -> Option<Self> {
        let made = match language {
            Language::Go => Made::Go,
            Language::Js => Made::Js,
            Language::Py => Made::Py,
        };
        let folder = made.folder()?;
        Some(Self { language, folder })
    }

    /// A rendezvous point of the stock library.
    pub async fn serve(&self) -> ForeignServer {
        let mut process = Process::start(self.program(), &[String::from("server")]);
        let line = process.line().await;
        let Ok(address) = line.parse() else {
            panic!("not an address: {line}");
        };
        ForeignServer { process, address }
    }

    /// A client of the stock library, connected to a point.
    pub async fn connect(&self, point: &Multiaddr) -> ForeignClient {
        let arguments = [String::from("client"), point.to_string()];
        ForeignClient::new(Process::start(self.program(), &arguments)).await
    }

    fn program(&self) -> Program {
        match self.language {
            Language::Go => Program::compiled(&self.folder),
            Language::Js => Program::module(JS_PROGRAM, &self.folder),
            Language::Py => Program::python("peer.py", &self.folder),
        }
    }
}

/// A point in another process, which ends when this is dropped.
#[derive(Debug)]
pub struct ForeignServer {
    process: Process,
    address: Multiaddr,
}

impl ForeignServer {
    /// Where it listens, its id included.
    pub fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub async fn end(self) {
        self.process.end().await;
    }
}
