//! What a person at a terminal sees.

use rustix::process::Signal;

use crate::common::terminal::Terminal;
use crate::{done, identity, point};

#[test]
fn peers_are_shown_as_a_table() {
    let (folder, _rv, point) = point();
    let (folder, at) = (folder.path(), &point.whole());
    let (one, other) = (identity(folder, "one"), identity(folder, "other"));
    let of = |file| ["register", "ns", "--identity", file, "--point", at];
    let two = [
        "--external-address",
        "/ip4/203.0.113.7/tcp/1",
        "--external-address",
        "/ip4/203.0.113.7/tcp/2",
    ];
    done(folder, &[&of("one")[..], &two].concat());
    done(folder, &[&of("other")[..], &two[..2]].concat());

    let line = ["discover", "ns", "--identity", "one", "--point", at];
    let (lines, code) = Terminal::start(folder, &line).wait();
    assert_eq!(code, Some(0), "{lines:?}");
    let row = |columns: [&str; 4]| {
        let [peer, expires, record, address] = columns;
        format!("{peer:<54}{expires:<12}{record:<13}{address}")
    };
    let mut wanted = vec![row(["PEER", "EXPIRES IN", "RECORD", "ADDRESSES"])];
    let ours = [
        row([&one, "2h", "signed, own", "/ip4/203.0.113.7/tcp/1"]),
        row(["", "", "", "/ip4/203.0.113.7/tcp/2"]),
    ];
    let theirs = row([&other, "2h", "signed", "/ip4/203.0.113.7/tcp/1"]);
    if one < other {
        wanted.extend(ours);
        wanted.push(theirs);
    } else {
        wanted.push(theirs);
        wanted.extend(ours);
    }
    wanted.push("2 peers".to_owned());
    // Peers expire while the test runs, to the second.
    let shown: Vec<_> = lines
        .iter()
        .map(|line| line.replace(after_the_hour(line), "2h          "))
        .collect();
    assert_eq!(shown, wanted);
}

fn after_the_hour(line: &str) -> &str {
    match line.get(54..66) {
        Some(expires) if expires.starts_with("1h 59m") => expires,
        _ => "2h          ",
    }
}

#[test]
fn an_empty_namespace_is_said_in_words() {
    let (folder, _rv, point) = point();
    let line = ["discover", "ns", "--point", &point.whole()];
    done(folder.path(), &line);
    let (lines, code) = Terminal::start(folder.path(), &line).wait();
    assert_eq!(
        (lines, code),
        (vec!["rv: nobody is registered in ns".to_owned()], Some(0))
    );
}

#[test]
fn a_kept_registration_says_how_it_ends() {
    let (folder, _rv, point) = point();
    let at = point.whole();
    let us = identity(folder.path(), "us");
    let line = [
        "register",
        "ns",
        "--keep",
        "--identity",
        "us",
        "--point",
        &at,
    ];
    let kept = Terminal::start(folder.path(), &line);
    assert_eq!(kept.line(), format!("registered ns at {at} for 2h"));
    let told = kept.line();
    assert!(
        told.starts_with(&format!("rv: as {us} at /ip4/127.0.0.1/tcp/")),
        "{told}"
    );
    assert_eq!(kept.line(), "rv: Ctrl-C unregisters and ends");
    kept.signal(Signal::INT);
    let (lines, code) = kept.wait();
    assert_eq!(
        (lines, code),
        (vec![format!("unregistered ns at {at}")], Some(0))
    );
}

#[test]
fn a_name_that_would_move_the_cursor_is_shown_as_text() {
    let (folder, _rv, point) = point();
    let at = point.whole();
    let evil = "a\u{1b}[2Jb";
    done(folder.path(), &["register", evil, "--point", &at]);
    let (lines, _) = Terminal::start(folder.path(), &["discover", "--point", &at]).wait();
    assert!(lines[1].contains("a\\u{1b}[2Jb"), "{lines:?}");
    assert!(!lines.concat().contains('\u{1b}'), "{lines:?}");
}

#[test]
fn a_watch_says_that_it_watches() {
    let (folder, _rv, point) = point();
    let us = identity(folder.path(), "us");
    let at = point.whole();
    let with = ["--identity", "us", "--point", &at];
    done(folder.path(), &[&["register", "ns"][..], &with].concat());
    let watch = Terminal::start(folder.path(), &[&["watch", "ns"][..], &with].concat());
    assert_eq!(watch.line(), "rv: watching ns at 1 point; Ctrl-C ends");
    let line = watch.line();
    assert!(line.starts_with(&format!("joined   {us}  for ")), "{line}");
    watch.signal(Signal::INT);
    assert_eq!(watch.wait(), (vec![], Some(0)));
}
