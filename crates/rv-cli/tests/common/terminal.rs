//! `rv` at a terminal.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{PATIENCE, alone};

/// A running `rv` whose stdout and stderr are one terminal. Dropping it kills it.
pub(crate) struct Terminal {
    child: Child,
    lines: Receiver<String>,
    /// All that was written there, also what was overwritten.
    written: Arc<Mutex<String>>,
}

impl Terminal {
    pub(crate) fn start(folder: &Path, args: &[&str]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&ours).expect("granted");
        unlockpt(&ours).expect("unlocked");
        let name = ptsname(&ours, Vec::new()).expect("named");
        let theirs = {
            use std::os::unix::fs::OpenOptionsExt as _;
            let flags = i32::try_from(OFlags::NOCTTY.bits()).expect("small");
            let mut options = OpenOptions::new();
            options.read(true).write(true).custom_flags(flags);
            let name = name.to_str().expect("UTF-8");
            options.open(name).expect("opened")
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_rv"));
        let child = alone(&mut command, folder)
            .args(args)
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .stdout(theirs.try_clone().expect("cloned"))
            .stderr(theirs)
            .spawn()
            .expect("rv starts");
        // The command holds the other side open, and with it our reading.
        drop(command);
        let (sender, lines) = channel();
        let written = Arc::new(Mutex::new(String::new()));
        let all = Arc::clone(&written);
        std::thread::spawn(move || {
            // At the end of the other side reading fails, which is our end too.
            for line in BufReader::new(File::from(ours))
                .lines()
                .map_while(Result::ok)
            {
                all.lock().expect("nobody panics with it").push_str(&line);
                let _ = sender.send(seen(&line));
            }
        });
        Self {
            child,
            lines,
            written,
        }
    }

    /// The next line as it is to be seen, without what was overwritten.
    pub(crate) fn line(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.unwrap_or_else(|error| panic!("no line: {error}"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// All that was written, and the exit code, when it has ended.
    pub(crate) fn written(self) -> (String, Option<i32>) {
        let written = Arc::clone(&self.written);
        let (_, code) = self.wait();
        let written = written.lock().expect("nobody panics with it").clone();
        (written, code)
    }

    /// The rest of the lines and the exit code, when it has ended.
    pub(crate) fn wait(mut self) -> (Vec<String>, Option<i32>) {
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            lines.push(line);
        }
        (lines, self.child.wait().expect("it is ours").code())
    }
}

/// What a line looks like in the end: the part after the last return to its start, and without
/// the code that erased what stood there.
fn seen(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let last = line.rsplit('\r').next().unwrap_or_default();
    last.replace("\u{1b}[2K", "").trim_end().to_owned()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Either fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
