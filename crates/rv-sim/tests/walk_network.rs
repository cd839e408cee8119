//! Networks of the core, small enough for every run: what the results promise holds.

use std::time::Duration;

use rv_sim::walk::experiments::hostile::Attack;
use rv_sim::walk::experiments::steady::Who;
use rv_sim::walk::experiments::{coverage, cut, exodus, hostile, join, steady};
use rv_sim::walk::{Census, Conditions, Network, Wrapped};

#[test]
fn the_core_around_a_kad_fills_its_tables_and_pays_for_the_bootstraps_of_the_kad() {
    let conditions = Conditions {
        lost_of_10000: 0,
        ..Conditions::CALM
    };
    let mut network = Network::<Wrapped>::new(41, dht_walk::Config::default(), conditions);
    network.found(1);
    network.populate(29, Duration::from_secs(10));
    network.run(Duration::from_secs(60));
    let sent: Vec<_> = network
        .serving()
        .map(|(slot, node)| (slot, node.messages))
        .collect();
    let slots = sent.iter().map(|(slot, _)| *slot);
    let quality = Census::of(&network).quality(&network, slots);
    assert_eq!(
        (quality.tables, quality.stale, quality.fill()),
        (30, 0, 1.0)
    );
    for (slot, sent) in sent {
        // Nothing is under way; what is not the walk's own is charged when a lookup ends.
        let spent = network.with(slot, |_, node| node.walk.spent().messages);
        assert_eq!(spent, Some(u64::from(sent)));
    }
}

#[test]
fn a_sweep_sees_98_percent_where_uniform_walks_see_86() {
    let [row] = coverage::Config::gate().run()[..] else {
        panic!("one row");
    };
    assert!(row.sweep >= 0.98, "{row:?}");
    assert!((0.83..0.89).contains(&row.uniform_same), "{row:?}");
    assert!(row.sweep_messages <= 1.05 * row.uniform_messages, "{row:?}");
}

#[test]
fn in_the_steady_state_a_third_of_what_is_stale_in_kads_tables_is_stale() {
    let rows = steady::Config::gate().run();
    let stale = |who| {
        let row = rows
            .iter()
            .find(|row| row.who == who)
            .expect("all three ran");
        row.quality.stale_share()
    };
    assert!(stale(Who::Ours) * 3.0 <= stale(Who::Kad), "{rows:?}");
    assert!(stale(Who::Ours) * 3.0 <= stale(Who::Py), "{rows:?}");
    assert!(
        rows[0].messages <= f64::from(rows[0].budget),
        "{:?}",
        rows[0]
    );
    assert!(rows[0].quality.aware_share() >= 0.95, "{:?}", rows[0]);
}

#[test]
fn half_an_hour_after_half_of_2000_nodes_left_their_tables_are_whole() {
    let [row] = &exodus::Config::gate().run()[..] else {
        panic!("one row");
    };
    let before = &row.course[0].1;
    assert!(before.aware_share() >= 0.99, "{before:?}");
    let last = row.last();
    assert!(last.stale_share() <= 0.01, "{last:?}");
    assert!(last.aware_share() >= 0.99, "{last:?}");
    assert!(last.fill() >= 0.99, "{last:?}");
}

#[test]
fn from_one_seed_a_network_of_2000_fills_its_tables_in_minutes() {
    let [row] = &join::Config::gate().run()[..] else {
        panic!("one row");
    };
    let (secs, messages) = row.full_after().expect("it fills up");
    assert!(
        secs <= 120 && messages <= 600.0,
        "{secs} s, {messages} messages"
    );
    assert_eq!(row.joiners_secs.len(), 10, "{row:?}");
}

#[test]
fn an_hour_without_a_connection_takes_nothing_from_a_table() {
    let outcome = cut::Config::gate().run();
    assert!(outcome.kept >= 0.999, "{outcome:?}");
    let whole_after = outcome.whole_after().expect("it becomes whole");
    assert!(whole_after <= 300, "{whole_after} s");
}

#[test]
fn liars_sybils_and_clients_stay_within_their_share() {
    let config = hostile::Config::gate();
    let row = |attack| config.row(Who::Ours, attack);
    let clients = row(Attack::Clients).quality;
    assert!(clients.stale_share() <= 0.01, "{clients:?}");
    for attack in [Attack::Garbage, Attack::Poison] {
        let lied_to = row(attack).quality;
        assert!(lied_to.stale_share() <= 0.01, "{attack:?} {lied_to:?}");
        // 20 of 240 nodes.
        assert!(lied_to.hostile_share() <= 0.12, "{attack:?} {lied_to:?}");
        assert!(lied_to.fill() >= 0.9, "{attack:?} {lied_to:?}");
    }
    let surrounded = row(Attack::Sybils);
    assert!(surrounded.quality.hostile <= 10, "{surrounded:?}");
    assert!(surrounded.quality.aware == 1, "{surrounded:?}");
}

#[test]
fn a_seed_decides_everything() {
    let config = steady::Config {
        nodes: 60,
        warm_up: Duration::from_secs(600),
        span: Duration::from_secs(3_600),
        ..steady::Config::gate()
    };
    for who in [Who::Ours, Who::Kad, Who::Py] {
        assert_eq!(config.row(who, 1_000), config.row(who, 1_000));
    }
}
