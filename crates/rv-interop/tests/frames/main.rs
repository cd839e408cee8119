//! The requests that stock clients really send, replayed: each answer is, field by field, the one
//! that the client understood when it was recorded.
//!
//! `cargo xtask frames` records them anew, with live clients.

mod record;

use std::env;
use std::fs;
use std::path::PathBuf;

use rv_interop::wire::hex;
use rv_interop::{Exchange, Machine, Recording};
use tokio::sync::OnceCell;

/// What to do with the recordings; set by `cargo xtask frames`.
const RV_FRAMES: &str = "RV_FRAMES";

const NAMESPACE: &str = "my-app";

const CLIENTS: [&str; 6] = ["go", "js", "nim", "py", "rust", "rv"];

fn path(client: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("frames");
    folder.join(client).with_extension("txt")
}

/// Those that were recorded; in this run, if that is wanted.
async fn recording(client: &str) -> Recording {
    static RECORDED: OnceCell<()> = OnceCell::const_new();
    RECORDED.get_or_init(record).await;
    let text = fs::read_to_string(path(client)).expect("it is recorded");
    let recording = Recording::parse(&text);
    assert_eq!(recording.to_text(), text, "it reads as it was written");
    recording
}

async fn record() {
    if env::var_os(RV_FRAMES).is_none_or(|value| value != "write") {
        return;
    }
    for recording in record::all().await {
        let client = recording.origin.split(':').next().expect("a name");
        fs::write(path(client), recording.to_text()).expect("it can be written");
    }
}

#[tokio::test]
async fn recorded_requests_of_every_client_are_answered_as_they_were() {
    for client in CLIENTS {
        let recording = recording(client).await;
        let mut machine = Machine::new(NAMESPACE, recording.peer, recording.agent.as_deref());
        for (index, exchange) in recording.exchanges.into_iter().enumerate() {
            let answer = machine.ask(&exchange.request, recording.closes);
            let answered = Exchange::new(exchange.request.clone(), answer.as_deref());
            assert_eq!(
                answered.answer, exchange.answer,
                "{client}, request {index}"
            );
        }
    }
}

/// What was recorded has in it what tells the clients apart.
#[tokio::test]
async fn the_recordings_show_each_clients_habits() {
    for (client, dialect, sends_type, sends_id) in [
        ("go", "plain", false, true),
        ("js", "standard", false, false),
        ("nim", "standard", true, false),
        ("py", "plain", false, true),
        ("rust", "legacy", true, false),
        ("rv", "legacy", true, true),
    ] {
        let recording = recording(client).await;
        let register = recording.exchanges.first().expect("it registers first");
        let sent = body(&register.request);
        assert_eq!(sent.starts_with(&[8, 0]), sends_type, "{client}");
        let mut unanswered = recording.exchanges.iter().filter(|it| it.is_unanswered());
        let unregister = body(&unanswered.next().expect("it unregisters").request);
        assert!(unregister.starts_with(&[8, 2]), "{client}");
        let id = recording.peer.to_bytes();
        let names = unregister.windows(id.len()).any(|part| part == id);
        assert_eq!(names, sends_id, "{client}");
        let answers = recording.exchanges.iter().flat_map(|it| &it.answer);
        let mut records = answers.filter_map(|line| line.strip_prefix("entry record "));
        assert!(records.clone().count() >= 2, "{client}: itself and another");
        assert!(records.all(|record| record == dialect), "{client}");
    }
    let py = recording("py").await;
    let ends = py.exchanges.iter().flat_map(|it| &it.answer);
    let ends = ends.filter(|line| *line == "cookie empty").count();
    assert!(ends > 0, "py's last page has an empty cookie");
    for client in CLIENTS.into_iter().filter(|client| *client != "py") {
        for Exchange { answer, .. } in recording(client).await.exchanges {
            assert!(
                !answer.iter().any(|line| line == "cookie empty"),
                "{client}"
            );
        }
    }
}

/// The message in a frame.
fn body(frame: &[u8]) -> &[u8] {
    let prefix = frame.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    &frame[prefix..]
}

#[tokio::test]
async fn a_changed_field_of_an_answer_is_seen() {
    let mut recording = recording("rust").await;
    let exchange = recording.exchanges.first_mut().expect("a request");
    assert_eq!(exchange.answer[1], "status 0");
    let refused = Exchange::new(Vec::new(), Some(&hex("0a 08 01 1a 06 08 65 12 00 18 00")));
    assert_ne!(refused.answer, exchange.answer);
    assert_eq!(refused.answer[1], "status 101");
}
