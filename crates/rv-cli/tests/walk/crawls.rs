//! Listing everybody.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::Value;

use crate::common::Rv;
use crate::common::dht::{AGENT, Dht};
use crate::common::terminal::Terminal;
use crate::{check_svg, names, objects, start};

const NODES: usize = 30;

#[test]
fn a_crawl_lists_everybody_with_agent_and_addresses() {
    let dht = Dht::start(NODES, 2);
    let folder = tempfile::tempdir().expect("folder");
    let args = ["--crawl", "--json", "--graph", "g.svg"];
    let ended = start(folder.path(), &dht.entrance(), &args).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut objects = objects(&ended);
    let last = objects.pop().expect("a line");
    let of = |fate: &str| -> BTreeSet<String> {
        let of_fate = objects.iter().filter(|it| it["fate"] == fate);
        let id = |it: &Value| it["peer_id"].as_str().expect("text").to_owned();
        of_fate.map(id).collect()
    };
    assert_eq!(of("answered"), dht.peers());
    assert_eq!(of("silent"), dht.gone());
    assert_eq!(objects.len(), NODES + 2, "each is told once");
    for object in &objects {
        assert_eq!(
            names(object),
            ["addresses", "agent", "event", "fate", "peer_id"]
        );
        let address = object["addresses"][0].as_str().expect("text");
        assert!(address.starts_with("/ip4/127.0.0.1/tcp/"), "{address}");
        let wanted = match object["fate"] == "answered" {
            true => Value::from(AGENT),
            false => Value::Null,
        };
        assert_eq!(
            (&object["event"], &object["agent"]),
            (&"peer".into(), &wanted)
        );
    }
    let wanted = [
        "answered",
        "elapsed_millis",
        "end",
        "event",
        "known",
        "left_out",
        "messages",
        "not_serving",
        "silent",
        "waiting",
    ];
    assert_eq!(names(&last), wanted);
    let counts = ["event", "end", "known", "answered", "silent"].map(|name| last[name].clone());
    let wanted: [Value; 5] = [
        "crawl".into(),
        "complete".into(),
        32.into(),
        30.into(),
        2.into(),
    ];
    assert_eq!(counts, wanted);
    let messages = last["messages"].as_u64().expect("a number");
    assert!((60..=34 * 6).contains(&messages), "{messages}");
    let svg = check_svg(&folder.path().join("g.svg"));
    assert!(
        svg.contains(">known<") && svg.contains(">answered<"),
        "{svg}"
    );
}

/// The peers of the next lines.
fn peers(crawl: &mut Rv, count: usize) -> Vec<String> {
    (0..count).map(|_| peer(&crawl.line())).collect()
}

fn peer(line: &str) -> String {
    let mut parts = line.split('\t');
    assert_eq!(parts.next(), Some("answered"), "{line}");
    parts.next().expect("a peer id").to_owned()
}

/// So slow that it is not over before it is ended.
const SLOW: [&str; 7] = [
    "--crawl",
    "--resume",
    "state",
    "--rate",
    "10",
    "--in-flight",
    "4",
];

#[test]
fn a_crawl_that_was_interrupted_goes_on_and_tells_nobody_twice() {
    let dht = Dht::start(NODES, 0);
    let folder = tempfile::tempdir().expect("folder");
    let mut crawl = start(folder.path(), &dht.entrance(), &SLOW);
    let mut told = peers(&mut crawl, 5);
    crawl.signal(Signal::INT);
    let mut ended = crawl.wait();
    assert_eq!(ended.code, Some(7), "{}", ended.stderr);
    let wanted =
        "not asked to the end when it was interrupted: the same command goes on from state";
    assert!(ended.stderr.contains(wanted), "{}", ended.stderr);
    let counts = ended.stdout.pop().expect("a line");
    assert!(counts.starts_with("crawl\tstopped\t"), "{counts}");
    told.extend(ended.stdout.iter().map(|line| peer(line)));
    assert!(told.len() < NODES, "it was interrupted");

    let mut ended = start(folder.path(), &dht.entrance(), &SLOW[..3]).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("going on from state: "),
        "{}",
        ended.stderr
    );
    let counts = ended.stdout.pop().expect("a line");
    assert!(
        counts.starts_with("crawl\tcomplete\t30\t30\t0\t0\t0\t0\t"),
        "{counts}"
    );
    told.extend(ended.stdout.iter().map(|line| peer(line)));
    assert_eq!(told.len(), NODES, "each is told once");
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), dht.peers());
}

#[test]
fn a_crawl_that_was_killed_goes_on_from_its_last_state() {
    let dht = Dht::start(NODES, 0);
    let folder = tempfile::tempdir().expect("folder");
    let mut crawl = start(folder.path(), &dht.entrance(), &SLOW);
    let mut told = Vec::new();
    while !folder.path().join("state").exists() {
        told.extend(peers(&mut crawl, 1));
    }
    crawl.kill();
    assert!(told.len() < NODES, "it was killed");
    let mut ended = start(folder.path(), &dht.entrance(), &SLOW[..3]).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let counts = ended.stdout.pop().expect("a line");
    assert!(counts.starts_with("crawl\tcomplete\t30\t30\t"), "{counts}");
    let more: BTreeSet<String> = ended.stdout.iter().map(|line| peer(line)).collect();
    assert!(more.len() < NODES, "some were kept: {}", more.len());
    let all: BTreeSet<String> = told.into_iter().chain(more).collect();
    assert_eq!(all, dht.peers());
}

#[test]
fn a_person_sees_each_peer_and_a_sentence() {
    let dht = Dht::start(5, 0);
    let folder = tempfile::tempdir().expect("folder");
    let entrance = dht.entrance();
    let args = ["walk", "--crawl", "--bootstrap", &entrance];
    let (lines, code) = Terminal::start(folder.path(), &args).wait();
    assert_eq!(code, Some(0), "{lines:?}");
    let is_peer = |line: &&String| line.starts_with("answered     12D3KooW");
    let listed: Vec<_> = lines.iter().filter(is_peer).collect();
    assert_eq!(listed.len(), 5, "{lines:?}");
    assert!(listed.iter().all(|line| line.contains(AGENT)), "{lines:?}");
    let last = lines.last().expect("a line");
    let wanted = "5 peers: 5 answered, 0 silent, 0 serving no DHT, 0 not asked to the end; ";
    assert!(last.starts_with(wanted), "{last}");
}
