//! Looking around.

use rustix::process::Signal;

use crate::common::dht::Dht;
use crate::common::terminal::Terminal;
use crate::{check_svg, names, objects, start, walk};

const NODES: usize = 30;

#[test]
fn a_sweep_announces_what_it_costs_and_sees_nearly_all() {
    let dht = Dht::start(NODES, 0);
    let ended = walk(&dht.entrance(), &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let note = "rv: all bootstrap addresses are private, so private addresses are taken\n";
    assert_eq!(ended.stderr, note);
    let lines: Vec<Vec<&str>> = ended
        .stdout
        .iter()
        .map(|it| it.split('\t').collect())
        .collect();
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let (expected, swept) = (&lines[0], &lines[1]);
    assert_eq!((expected[0], swept[0]), ("expected", "swept"));
    // A bootstrap of kad's own, or a check, may fall into it.
    assert!(
        number(swept[1]) >= number(expected[1]),
        "lookups: {lines:?}"
    );
    assert!(
        number(swept[2]) <= 1.5 * number(expected[2]),
        "messages: {lines:?}"
    );
    let last = lines.last().expect("a line");
    assert_eq!(last[..2], ["walk", "covered"]);
    assert!(number(last[2]) >= 0.95);
    assert!(number(last[3]) >= 28.0, "{last:?}");
    let buckets = lines.iter().filter(|it| it[0] == "bucket");
    let entries: f64 = buckets.map(|it| number(it[2])).sum();
    assert_eq!(entries, number(last[6]));
}

#[test]
fn objects_have_the_documented_names_and_the_graph_is_well_formed() {
    let dht = Dht::start(NODES, 0);
    let folder = tempfile::tempdir().expect("folder");
    let args = [
        "--json",
        "--uniform",
        "--coverage",
        "0.5",
        "--graph",
        "g.svg",
    ];
    let ended = start(folder.path(), &dht.entrance(), &args).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for object in objects(&ended) {
        let event = object["event"].as_str().expect("text").to_owned();
        let wanted: &[&str] = match event.as_str() {
            "expected" => &["event", "lookups", "messages", "peers", "relative_error"],
            "swept" => &["event", "lookups", "messages", "peers_new"],
            "bucket" => &["cpl", "doubtful", "entries", "event", "expected"],
            "walk" => &[
                "coverage",
                "doubtful_share",
                "elapsed_millis",
                "end",
                "entries",
                "event",
                "fill",
                "lookups",
                "messages",
                "peers",
                "peers_seen",
                "relative_error",
            ],
            other => panic!("{other}"),
        };
        assert_eq!(names(&object), wanted);
    }
    let svg = check_svg(&folder.path().join("g.svg"));
    assert!(
        svg.contains(">entries<") && svg.contains(">peers seen<"),
        "{svg}"
    );
}

#[test]
fn a_spent_budget_ends_it_with_what_was_found() {
    let dht = Dht::start(NODES, 0);
    let ended = walk(
        &dht.entrance(),
        &["--json", "--budget", "20", "--in-flight", "4"],
    );
    assert_eq!(ended.code, Some(7), "{}", ended.stderr);
    let said = ended.stderr.lines().last().unwrap_or_default();
    let wanted = "when the budget of 20 messages was spent: raise --budget";
    assert!(said.contains(wanted), "{}", ended.stderr);
    let objects = objects(&ended);
    let summary = objects.last().expect("a line");
    assert_eq!(summary["end"], "budget");
    assert!(summary["peers_seen"].as_u64().expect("a number") > 0);
    let messages = summary["messages"].as_u64().expect("a number");
    assert!((20..NODES as u64 * 5).contains(&messages), "{messages}");
    assert!(objects.iter().any(|it| it["event"] == "bucket"));
}

#[test]
fn a_signal_ends_it_with_what_was_found() {
    let dht = Dht::start(NODES, 0);
    let folder = tempfile::tempdir().expect("folder");
    // So slow that it takes minutes after the join.
    let args = ["--rate", "1", "--in-flight", "1"];
    let mut walk = start(folder.path(), &dht.entrance(), &args);
    walk.told("private addresses are taken");
    walk.signal(Signal::INT);
    let ended = walk.wait();
    assert_eq!(ended.code, Some(7), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("it was interrupted"),
        "{}",
        ended.stderr
    );
    let last = ended.stdout.last().expect("a line");
    assert!(last.starts_with("walk\tstopped\t"), "{last}");
}

#[test]
fn a_person_sees_a_table_and_sentences() {
    let dht = Dht::start(NODES, 0);
    let folder = tempfile::tempdir().expect("folder");
    let entrance = dht.entrance();
    let walk = Terminal::start(folder.path(), &["walk", "--bootstrap", &entrance]);
    let (lines, code) = walk.wait();
    assert_eq!(code, Some(0), "{lines:?}");
    let at = |start: &str| {
        let at = lines.iter().position(|line| line.starts_with(start));
        at.unwrap_or_else(|| panic!("{start:?}: {lines:?}"))
    };
    let header = at("BUCKET  ENTRIES  DOUBTFUL  CAN HOLD");
    assert!(lines[header + 1].starts_with("0       "), "{lines:?}");
    assert!(lines[at("about ")].contains(" lookups, which take about "));
    assert!(at("about ") < header && header < at("the table has "));
    assert!(lines[at("the network has about ")].contains(" peers, give or take "));
    let last = lines.last().expect("a line");
    assert!(
        last.contains(" peers seen, ") && last.contains(" messages in "),
        "{last}"
    );
}

#[test]
fn a_person_sees_how_far_it_is() {
    let dht = Dht::start(NODES, 0);
    let folder = tempfile::tempdir().expect("folder");
    let entrance = dht.entrance();
    let walk = Terminal::start(folder.path(), &["walk", "--bootstrap", &entrance]);
    let (written, code) = walk.written();
    assert_eq!(code, Some(0), "{written}");
    for wanted in [
        "joining by 1 peer",
        " peers seen, ",
        " lookups: ",
        " messages (",
    ] {
        assert!(written.contains(wanted), "{wanted:?}: {written}");
    }
    let args = ["walk", "--crawl", "--bootstrap", &entrance];
    let (written, code) = Terminal::start(folder.path(), &args).written();
    assert_eq!(code, Some(0), "{written}");
    for wanted in [
        "connecting to 1 peer",
        "crawling: ",
        " known, ",
        " messages (",
    ] {
        assert!(written.contains(wanted), "{wanted:?}: {written}");
    }
}
