//! A child process that talks in lines, and does not outlive its test.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::mpsc;

use serde_json::Value;

use super::Program;
use super::shown::parse;
use crate::{eventually, within};

/// Killed when dropped. Its last lines are shown if the test fails.
pub(super) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    log: Log,
}

/// The last lines of both outputs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Process {
    /// Lines of stdout that wait to be read: a peer answers one line at a time.
    const LINES_MAX: usize = 64;

    pub(super) fn start(program: Program, arguments: &[String]) -> Self {
        let mut command = Command::new(&program.executable);
        command.args(program.arguments).args(arguments);
        command.current_dir(program.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let spawned = command.stderr(Stdio::piped()).spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => panic!("cannot start {}: {error}", program.executable.display()),
        };
        let log = Log::default();
        let (said, lines) = mpsc::channel(Self::LINES_MAX);
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        read(stdout, log.clone(), Some(said));
        read(stderr, log.clone(), None);
        Self {
            stdin: child.stdin.take(),
            child,
            lines,
            log,
        }
    }

    /// The next line of its stdout.
    pub(super) async fn line(&mut self) -> String {
        let line = within("line of the peer", self.lines.recv()).await;
        line.expect("the peer goes on")
    }

    /// Asks for one thing, and gives the answer.
    ///
    /// # Errors
    ///
    /// What the library raises.
    pub(super) async fn call(&mut self, request: &Value) -> Result<Value, String> {
        self.say(&request.to_string());
        let answer = parse(&self.line().await);
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }

    /// Writes one line to its stdin.
    fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("it is open until the end");
        let written = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        written.expect("the peer goes on");
    }

    /// Ends its stdin, and waits until it ends well.
    pub(super) async fn end(mut self) {
        drop(self.stdin.take());
        let rest = within("end of the peer's output", self.lines.recv()).await;
        assert_eq!(rest, None, "nobody asked for it");
        let ended = async || self.child.try_wait().expect("it is our child");
        let status = eventually("end of the peer", ended).await;
        assert!(status.success(), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let _ = writeln!(std::io::stderr(), "{:?}", self.log);
        }
    }
}

impl Log {
    const LINES_MAX: usize = 200;

    fn add(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == Self::LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(f, "the last lines of a stock peer:")?;
        lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut it = f.debug_struct("Process");
        it.field("child", &self.child).finish_non_exhaustive()
    }
}

/// Reads an output to its end in a thread of its own, which the end of the process ends.
fn read(output: impl Read + Send + 'static, log: Log, said: Option<mpsc::Sender<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { return };
            log.add(line.clone());
            if let Some(said) = &said {
                // Nobody reads any more: the rest is for the log.
                let _ = said.blocking_send(line);
            }
        }
    });
}
