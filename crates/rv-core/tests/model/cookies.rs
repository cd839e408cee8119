//! Cookies that fit, and all those that do not.

use bytes::Bytes;
use libp2p_identity::PeerId;
use rv_core::{Page, Query, Reader, Refusal, Registry, Source};
use rv_proto::{
    Cookie, CookieError, Dialect, DialectSet, Epoch, Fact, Namespace, RESPONSE_BYTES_MAX,
    Registered, Removed, Scope, Seq, Time, Ttl,
};

use crate::pool::{self, Addresses, Kind};

const NOW: Time = Time::from_millis(5_000_000);
const EPOCH: Epoch = Epoch::from_bits(77);

fn seq(number: u64) -> Seq {
    Seq::new(number).expect("a short log")
}

fn chat() -> Scope {
    Scope::Namespace(pool::namespace(0))
}

fn registered(peer: usize, kind: Kind, namespace: Namespace) -> Fact {
    Fact::Registered(Registered {
        namespace,
        peer: pool::peer(peer),
        records: pool::sample(peer, 0, kind, Addresses::Common)
            .records
            .clone(),
        granted: Ttl::DEFAULT,
        expires_at: NOW.saturating_add(Ttl::DEFAULT.as_duration()),
        origin: None,
    })
}

/// Three registrations of legacy and standard records in one namespace, at 10, 20 and 30.
fn registry() -> Registry {
    let mut registry = Registry::new(EPOCH);
    for (peer, at) in [(0, 10), (1, 20), (2, 30)] {
        registry.apply(seq(at), registered(peer, Kind::Both, pool::namespace(0)));
    }
    registry
}

fn query(reader: PeerId, scope: Scope, cookie: Option<Vec<u8>>) -> Query {
    Query {
        reader: Reader::unknown(reader, Dialect::Legacy),
        scope,
        cookie: cookie.map(Bytes::from),
        entries_max: 100,
        page_bytes_max: RESPONSE_BYTES_MAX,
    }
}

fn ask(registry: &Registry, reader: PeerId, cookie: Vec<u8>) -> Result<Page, Refusal> {
    registry.discover(NOW, &query(reader, chat(), Some(cookie)))
}

fn cookie(dialect: Option<Dialect>, epoch: Epoch, at: u64, scope: Scope) -> Vec<u8> {
    Cookie {
        dialect,
        epoch,
        seq: seq(at),
        scope,
    }
    .encode()
}

#[test]
fn an_empty_cookie_is_none() {
    let page = ask(&registry(), pool::outsider(), Vec::new()).expect("answered");
    assert_eq!((page.len(), page.cookie().seq), (3, seq(30)));
}

#[test]
fn a_cookie_goes_on_behind_its_place() {
    for (at, left) in [(0, 3), (9, 3), (10, 2), (15, 2), (29, 1), (30, 0)] {
        let page = ask(
            &registry(),
            pool::outsider(),
            cookie(None, EPOCH, at, chat()),
        );
        let page = page.expect("answered");
        assert_eq!(
            (page.len(), page.cookie().seq),
            (left, seq(30)),
            "behind {at}"
        );
        assert_eq!(page.is_empty(), left == 0);
    }
}

#[test]
fn a_short_cookie_is_refused() {
    for bytes in 1..8 {
        let answer = ask(&registry(), pool::outsider(), vec![0; bytes]);
        assert_eq!(
            answer,
            Err(Refusal::Cookie(CookieError::Short)),
            "{bytes} bytes"
        );
    }
}

#[test]
fn a_cookie_of_another_scope_is_refused_both_ways() {
    let registry = registry();
    let other = || Scope::Namespace(pool::namespace(1));
    for (asked, sent) in [
        (chat(), Scope::All),
        (Scope::All, chat()),
        (chat(), other()),
    ] {
        let cookie = cookie(None, EPOCH, 10, sent.clone());
        let answer = registry.discover(NOW, &query(pool::outsider(), asked, Some(cookie)));
        assert_eq!(answer, Err(Refusal::CookieScope), "{sent:?}");
    }
}

#[test]
fn a_cookie_that_is_not_ours_starts_anew_whatever_its_scope() {
    let other_epoch = Epoch::from_bits(78);
    let foreign = [
        cookie(None, other_epoch, 20, chat()),
        cookie(None, other_epoch, 20, Scope::All),
        cookie(None, EPOCH, 31, chat()),
        cookie(None, EPOCH, Seq::MAX.get(), Scope::All),
        vec![0xff; 8],
        vec![0xff; 300],
    ];
    for sent in foreign {
        let page = ask(&registry(), pool::outsider(), sent.clone()).expect("answered");
        assert_eq!(page.len(), 3, "{sent:?}");
        let fresh = Cookie {
            dialect: None,
            epoch: EPOCH,
            seq: seq(30),
            scope: chat(),
        };
        assert_eq!(*page.cookie(), fresh, "{sent:?}");
    }
}

#[test]
fn a_dialect_that_changed_starts_anew() {
    let registry = registry();
    for sent in [Some(Dialect::Standard), Some(Dialect::Plain)] {
        let page = ask(&registry, pool::peer(0), cookie(sent, EPOCH, 30, chat()));
        let page = page.expect("answered");
        assert_eq!(page.reading().source, Source::Registrations);
        assert_eq!(
            page.reading().dialects,
            Dialect::Legacy.into(),
            "the strictest of both"
        );
        assert_eq!(
            (page.len(), page.cookie().dialect),
            (3, Some(Dialect::Legacy))
        );
    }
    // Who decided the same before is no matter, nor whether it was a guess.
    for sent in [None, Some(Dialect::Legacy)] {
        let same = ask(&registry, pool::peer(0), cookie(sent, EPOCH, 30, chat()));
        assert_eq!(same.expect("answered").len(), 0);
    }
}

#[test]
fn a_cookie_keeps_the_dialect_of_a_peer_that_left() {
    let mut registry = registry();
    registry.apply(seq(40), registered(3, Kind::Standard, pool::namespace(1)));
    let reader = pool::peer(3);
    let first = registry
        .discover(NOW, &query(reader, chat(), None))
        .expect("answered");
    assert_eq!(first.reading().dialects, Dialect::Standard.into());
    let removed = Removed {
        namespace: pool::namespace(1),
        peer: reader,
        expires_at: NOW,
    };
    registry.apply(seq(41), Fact::Removed(removed));
    let second = ask(&registry, reader, first.cookie().encode()).expect("answered");
    assert_eq!(second.reading().source, Source::Cookie);
    assert_eq!(second.reading().dialects, Dialect::Standard.into());
    assert_eq!(second.len(), 0, "it goes on where it was");
    let forgotten = registry
        .discover(NOW, &query(reader, chat(), None))
        .expect("answered");
    assert_eq!(forgotten.reading().source, Source::Default);
}

#[test]
fn a_default_that_changed_skips_nothing() {
    let mut registry = Registry::new(EPOCH);
    registry.apply(seq(1), registered(0, Kind::Standard, pool::namespace(0)));
    let mut asked = query(pool::outsider(), chat(), None);
    let first = registry.discover(NOW, &asked).expect("answered");
    assert_eq!(first.len(), 0, "no legacy record is there");
    asked.cookie = Some(first.cookie().encode().into());
    asked.reader.dialect_default = Dialect::Standard;
    let second = registry.discover(NOW, &asked).expect("answered");
    assert_eq!(
        second.len(),
        1,
        "the listing in another dialect starts anew"
    );
}

#[test]
fn of_all_signs_the_strongest_decides_and_guesses_are_not_remembered() {
    use Dialect::{Legacy, Plain, Standard};
    let mut registry = registry();
    let reader = pool::peer(3);
    let mut asked = query(reader, chat(), None);
    asked.reader.dialect_default = Plain;
    let check = |registry: &Registry, asked: &Query, dialect: Dialect, source, remembered| {
        let page = registry.discover(NOW, asked).expect("answered");
        let reading = page.reading();
        assert_eq!((reading.dialects, reading.source), (dialect.into(), source));
        assert_eq!(registry.reading(asked), Ok(reading), "asked without a page");
        let carried = Some(dialect).filter(|_| remembered);
        assert_eq!(page.cookie().dialect, carried, "{source:?}");
    };
    check(&registry, &asked, Plain, Source::Default, false);
    asked.reader.shape = Some(Standard);
    check(&registry, &asked, Standard, Source::Shape, false);
    asked.cookie = Some(cookie(Some(Plain), EPOCH, 10, chat()).into());
    check(&registry, &asked, Plain, Source::Cookie, true);
    asked.reader.record = Some(Standard);
    check(&registry, &asked, Standard, Source::Record, true);
    // go signs standard records and reads plain ones.
    asked.reader.agent = Some(Plain);
    check(&registry, &asked, Plain, Source::Agent, true);
    // Who signs legacy records is rust, whatever it calls itself.
    asked.reader.record = Some(Legacy);
    check(&registry, &asked, Legacy, Source::Record, true);
    asked.reader.record = None;
    asked.reader.has_closed = true;
    check(&registry, &asked, Legacy, Source::Closed, false);
    registry.apply(seq(31), registered(3, Kind::Standard, pool::namespace(1)));
    check(&registry, &asked, Standard, Source::Registrations, true);
}

#[test]
fn what_a_reader_accepts_is_stronger_than_all_else_and_each_set_has_cookies_of_its_own() {
    let registry = registry();
    let reader = pool::peer(0);
    let ask = |accepts, cookie: Option<Vec<u8>>| {
        let mut asked = query(reader, chat(), cookie);
        asked.reader.accepts = accepts;
        registry.discover(NOW, &asked).expect("answered")
    };
    let sets = || (0..8).map(DialectSet::from_bits);
    for before in sets() {
        let sent = ask(before, None).cookie().encode();
        for now in sets() {
            let page = ask(now, Some(sent.clone()));
            let (dialects, source) = if now.is_empty() {
                (Dialect::Legacy.into(), Source::Registrations)
            } else {
                (now, Source::Accepts)
            };
            assert_eq!(page.reading().source, source);
            assert_eq!(page.reading().dialects, dialects);
            let shown = if before == now { 0 } else { 3 };
            assert_eq!(page.len(), shown, "{now:?} after {before:?}");
        }
    }
}

#[test]
fn a_cookie_of_an_accept_set_is_refused_for_another_scope_and_starts_anew_for_another_set() {
    let registry = registry();
    let mut all = query(pool::outsider(), Scope::All, None);
    all.reader.accepts = DialectSet::ALL;
    let first = registry.discover(NOW, &all).expect("answered");
    assert_eq!(first.cookie().dialect, None, "it says it with each request");
    let mut other = Query {
        scope: chat(),
        cookie: Some(first.cookie().encode().into()),
        ..all
    };
    let answer = registry.discover(NOW, &other);
    assert_eq!(answer, Err(Refusal::CookieScope));
    other.reader.accepts = Dialect::Plain.into();
    let answer = registry.discover(NOW, &other);
    assert_eq!(answer, Err(Refusal::CookieScope));
    other.scope = Scope::All;
    assert_eq!(registry.discover(NOW, &other).expect("answered").len(), 3);
}

#[test]
fn a_replica_that_lags_answers_a_cookie_from_ahead_with_the_same() {
    let ahead = registry();
    let from_ahead = ahead.discover(NOW, &query(pool::outsider(), chat(), None));
    let sent = from_ahead.expect("answered").cookie().encode();
    let mut lagging = Registry::new(EPOCH);
    lagging.apply(seq(10), registered(0, Kind::Both, pool::namespace(0)));

    let unknown = ask(&lagging, pool::outsider(), sent.clone()).expect("answered");
    assert_eq!(unknown.len(), 1, "beyond the head, so not of this log");

    lagging.note_head(seq(30));
    assert_eq!((lagging.head(), lagging.applied()), (seq(30), seq(10)));
    let page = ask(&lagging, pool::outsider(), sent.clone()).expect("answered");
    assert_eq!((page.len(), page.cookie().encode()), (0, sent.clone()));

    lagging.apply(seq(20), registered(1, Kind::Both, pool::namespace(0)));
    lagging.apply(seq(30), registered(2, Kind::Both, pool::namespace(0)));
    lagging.apply(seq(31), registered(3, Kind::Both, pool::namespace(0)));
    let page = ask(&lagging, pool::outsider(), sent).expect("answered");
    assert_eq!(
        (page.len(), page.cookie().seq),
        (1, seq(31)),
        "it caught up"
    );
}

#[test]
fn a_cookie_for_a_namespace_where_nobody_is_costs_nothing_and_holds() {
    let mut registry = registry();
    let empty = Scope::Namespace(pool::namespace(2));
    let first = registry.discover(NOW, &query(pool::outsider(), empty.clone(), None));
    let first = first.expect("answered");
    assert_eq!((first.len(), first.cookie().seq), (0, seq(30)));
    assert_eq!(registry.namespaces().count(), 1);
    registry.apply(seq(31), registered(3, Kind::Legacy, pool::namespace(2)));
    let cookie = Some(first.cookie().encode());
    let second = registry.discover(NOW, &query(pool::outsider(), empty, cookie));
    assert_eq!(second.expect("answered").len(), 1);
}
