//! Tests of the configuration, and of the example that documents it.

use std::collections::BTreeSet;

use super::*;

const EXAMPLE: &str = include_str!("../../../../../config.example.toml");

#[test]
fn the_example_is_the_default() {
    assert_eq!(valid(EXAMPLE), Config::default());
}

#[test]
fn the_example_names_every_key_and_no_other() {
    let default = toml::Table::try_from(Config::default()).expect("serializes");
    let example: toml::Table = toml::from_str(EXAMPLE).expect("parses");
    assert_eq!(keys(&default), keys(&example));
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(valid(""), Config::default());
}

#[test]
fn a_key_that_does_not_exist_is_refused_by_name() {
    for (text, name) in [
        ("listn = []", "listn"),
        ("[limits]\nregistrations = 7", "registrations"),
        ("[stores]\ncache_bytes = 7", "stores"),
    ] {
        let error = refused(text);
        assert!(error.contains(&format!("`{name}`")), "{error}");
    }
}

#[test]
fn values_arrive_where_they_belong() {
    let text = r#"
        listen = ["/ip4/127.0.0.1/tcp/0"]
        protocols = ["/a/1", "/b/2"]
        [limits]
        pending_registers = 7
        [rules]
        ttl_min = "1h 30m"
        discover_all = false
        dialect_default = "plain"
        identify_wait = "20ms"
        agents = { "my-app/" = "standard", "rust-libp2p/" = "plain" }
        [streams]
        write_timeout = "1m"
        [store]
        erase_after = "1d"
    "#;
    let point = valid(text).point().expect("valid");
    assert_eq!(point.protocols.len(), 2);
    assert_eq!(point.limits.pending_max, 7);
    assert_eq!(point.rules.ttl_min.as_secs(), 5_400);
    assert!(!point.rules.discover_all);
    assert_eq!(point.rules.dialect_default, rv_proto::Dialect::Plain);
    assert_eq!(point.rules.identify_wait.as_millis(), 20);
    let agents = &point.rules.agents;
    let plain = Some(rv_proto::Dialect::Plain);
    assert_eq!(
        agents.dialect("my-app/1"),
        Some(rv_proto::Dialect::Standard)
    );
    assert_eq!(agents.dialect("rust-libp2p/0.47.0"), plain);
    assert_eq!(agents.dialect("py-libp2p/0.8.1"), plain, "as it was");
    assert_eq!(point.streams.write_timeout.as_secs(), 60);
    assert_eq!(point.erase_after.as_secs(), 86_400);
    assert!(!point.events);
}

#[test]
fn what_cannot_work_is_refused_with_what_to_do() {
    for (text, wanted) in [
        ("listen = []", "no listen address: give at least one"),
        (
            r#"listen = ["/dns4/localhost/tcp/1"]"#,
            "/dns4/localhost/tcp/1 is not supported: use",
        ),
        (
            r#"external_addresses = ["/ip4/0.0.0.0/tcp/1"]"#,
            "cannot be dialed: start it with",
        ),
        (r#"protocols = []"#, "give at least one"),
        (
            r#"protocols = ["/my-net/1", "/rendezvous/ext/1.0.0"]"#,
            "/rendezvous/ext/1.0.0 is there by itself beside /rendezvous/1.0.0, and nowhere else",
        ),
        (
            r#"protocols = ["rendezvous"]"#,
            "\"rendezvous\" is not valid: use",
        ),
        (
            "[limits]\nregister_burst = 0",
            "limits.register_burst must be at least 1: raise it",
        ),
        (
            "[connections]\ntotal = 0",
            "connections.total must be at least 1: raise it",
        ),
        (
            "[streams]\nidle_timeout = \"10ms\"",
            "streams.idle_timeout must be at least 1s",
        ),
        (
            "[store]\ncache_bytes = 4096",
            "store.cache_bytes must be at least 1048576",
        ),
        (
            "[store]\nerase_after = \"25h\"",
            "store.erase_after must be at most 24h: lower it",
        ),
        (
            "[streams]\nstreams_per_connection = 1025",
            "streams.streams_per_connection must be at most 1024: lower it",
        ),
        ("restored = true", "unknown field `restored`"),
        (
            "[rules]\nttl_max = \"73h\"",
            "rules.ttl_max is not a ttl: use",
        ),
        (
            "[rules]\nttl_min = \"1500ms\"",
            "rules.ttl_min is not a ttl: use",
        ),
        (
            "[rules]\nttl_min = \"3h\"",
            "default ttl of 7200 s lies outside",
        ),
        ("[rules]\npage_bytes_max = 7", "choose 8192 to"),
        (
            "[rules]\ndialect_default = \"french\"",
            "use one of legacy, standard, plain",
        ),
        ("[log]\nformat = \"xml\"", "`json` or `text`"),
        ("listen = [\"here\"]", "invalid multiaddr"),
    ] {
        let error = refused(text);
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn no_duration_is_so_long_that_a_deadline_overflows() {
    // The longest that a file can name.
    let longest = "18446744073709551615s";
    for (section, keys) in [
        (
            "streams",
            &["idle_timeout", "frame_timeout", "write_timeout"][..],
        ),
        ("connections", &["idle_timeout"]),
        ("store", &["retry_pause", "erase_after"]),
    ] {
        for key in keys {
            let error = refused(&format!("[{section}]\n{key} = \"{longest}\""));
            let wanted = format!("{section}.{key} must be at most 24h: lower it");
            assert!(error.contains(&wanted), "{error}");
            valid(&format!("[{section}]\n{key} = \"24h\""));
        }
    }
}

#[test]
fn updates_are_a_second_apart_at_the_most() {
    let error = refused("[rules]\nupdate_gap = \"1001ms\"");
    assert!(error.contains("choose 0 s to 1 s"), "{error}");
    valid("[rules]\nupdate_gap = \"1s\"");
}

#[test]
fn every_limit_of_zero_is_refused() {
    let default = toml::Table::try_from(Config::default()).expect("serializes");
    for section in ["limits", "connections", "streams"] {
        let limits = default[section].as_table().expect("a section");
        for (key, _) in limits.iter().filter(|(_, value)| value.is_integer()) {
            // 0 stands for a part of the machine's memory, and for no push at all.
            if ["memory_bytes_max", "subscriptions_total"].contains(&key.as_str()) {
                continue;
            }
            let error = refused(&format!("[{section}]\n{key} = 0"));
            let wanted = format!("{section}.{key} must be at least 1: raise it");
            assert!(error.contains(&wanted), "{error}");
        }
    }
}

#[test]
fn an_ephemeral_point_cannot_be_restored() {
    let config = Config {
        restored: true,
        ephemeral: true,
        ..Config::default()
    };
    let error = config.validate().expect_err("no store");
    assert!(matches!(error, ConfigError::RestoredEphemeral), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("no/such.toml")).expect_err("missing");
    assert!(error.to_string().contains("no/such.toml"), "{error}");
}

fn valid(text: &str) -> Config {
    with_file(text, |path| Config::load(path).expect("valid"))
}

/// The message and its cause.
fn refused(text: &str) -> String {
    let error = with_file(text, |path| Config::load(path).expect_err(text));
    let source = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

fn with_file<T>(text: &str, look: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("rv.toml");
    std::fs::write(&path, text).expect("written");
    look(&path)
}

fn keys(table: &toml::Table) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (name, value) in table {
        match value.as_table() {
            Some(section) => keys.extend(section.keys().map(|key| format!("{name}.{key}"))),
            None => drop(keys.insert(name.clone())),
        }
    }
    keys
}
