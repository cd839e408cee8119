//! REGISTER: every reason to refuse it, at its edges.

use bytes::Bytes;
use rv_core::{Operation, Output, Refusal, Rules, Session, Verdict};
use rv_proto::{
    Dialect, DiscoverRequest, Namespace, NamespaceError, PeerRecord, Record, RecordError, Records,
    RegisterRequest, Request, Ttl, UnverifiedRecord,
};

use crate::{
    STREAM, address, check, discover, discover_refused, granted, keypair, name, outputs, peer,
    plain, register, register_refused, send, session,
};

/// Sends a REGISTER that is refused before anything is verified.
fn check_refused(request: RegisterRequest, code: u32, refusal: &Refusal) {
    let mut session = session();
    send(&mut session, STREAM, &Request::Register(request));
    check(&mut session, &register_refused(STREAM, code, refusal));
    assert!(!session.has_writes());
}

/// Sends a REGISTER that is verified, and gives what is to be verified.
fn check_verified(request: RegisterRequest) -> Vec<UnverifiedRecord> {
    let mut session = session();
    send(&mut session, STREAM, &Request::Register(request));
    match outputs(&mut session).as_slice() {
        [
            Output::Verify {
                stream: STREAM,
                records,
                ..
            },
        ] => records.clone(),
        other => panic!("{other:?}"),
    }
}

fn signed(dialect: Dialect, key: u8, seq: u64, ports: usize) -> Bytes {
    let key = keypair(key);
    let peer = key.public().to_peer_id();
    let record = PeerRecord {
        peer,
        seq,
        addresses: (1..=ports).map(address).collect(),
    };
    record.seal(dialect, &key).expect("sealed")
}

#[test]
fn a_namespace_has_1_to_255_bytes_of_text() {
    let too_long = |bytes| NamespaceError::TooLong { bytes };
    let rows: [(Option<Vec<u8>>, NamespaceError); 7] = [
        (None, NamespaceError::Empty),
        (Some(Vec::new()), NamespaceError::Empty),
        (Some(vec![b'a'; 256]), too_long(256)),
        (Some("\u{e9}".repeat(128).into_bytes()), too_long(256)),
        (Some(vec![b'a'; 100_000]), too_long(100_000)),
        (Some(vec![0xff]), NamespaceError::NotUtf8),
        (Some(vec![0xff; 300]), too_long(300)),
    ];
    for (namespace, error) in rows {
        let namespace = namespace.map(Bytes::from);
        let refusal = Refusal::Namespace(error);
        check_refused(
            RegisterRequest {
                namespace: namespace.clone(),
                ..register()
            },
            100,
            &refusal,
        );
        if error == NamespaceError::Empty {
            continue;
        }
        let mut session = session();
        let request = DiscoverRequest {
            namespace,
            ..discover()
        };
        send(&mut session, STREAM, &Request::Discover(request));
        check(&mut session, &discover_refused(STREAM, 100, &refusal));
    }
    for namespace in [
        vec![b'a'],
        vec![b'a'; 255],
        "\u{e9}".repeat(127).into_bytes(),
    ] {
        let namespace = Some(Bytes::from(namespace));
        check_verified(RegisterRequest {
            namespace,
            ..register()
        });
    }
}

#[test]
fn a_ttl_is_between_what_the_rules_grant() {
    let rules = Rules::default();
    for ttl_secs in [0, 1, 119, 259_201, 1 << 32, (1 << 32) + 7_200, u64::MAX] {
        let refusal = Refusal::Ttl {
            ttl_secs,
            min: rules.ttl_min,
            max: rules.ttl_max,
        };
        check_refused(
            RegisterRequest {
                ttl_secs: Some(ttl_secs),
                ..register()
            },
            102,
            &refusal,
        );
    }
    for (ttl_secs, expected) in [
        (Some(120), 120),
        (Some(7_200), 7_200),
        (Some(259_200), 259_200),
        (None, 7_200),
    ] {
        let mut session = session();
        let request = RegisterRequest {
            ttl_secs,
            ..register()
        };
        send(&mut session, STREAM, &Request::Register(request));
        assert_eq!(outputs(&mut session).len(), 1);
        session.handle_verified(STREAM, Ok(vec![plain()]));
        let ttl = Ttl::from_secs(expected).expect("a ttl");
        let operation = Operation::Register {
            namespace: name(),
            records: Records::new([plain()]).expect("one"),
            ttl,
            origin: None,
        };
        check(
            &mut session,
            &[Output::Submit {
                stream: STREAM,
                operation,
            }],
        );
        session.handle_verdict(STREAM, Verdict::Registered { ttl });
        check(&mut session, &granted(STREAM, ttl));
    }
}

#[test]
fn the_rules_bounds_are_those_of_the_operator() {
    let ttl = |secs| Ttl::from_secs(secs).expect("a ttl");
    let (min, max) = (ttl(10), ttl(20));
    let rules = Rules {
        ttl_min: min,
        ttl_max: max,
        ttl_default: ttl(15),
        ..Rules::default()
    };
    for (ttl_secs, good) in [(9, false), (10, true), (20, true), (21, false)] {
        let mut session = Session::new(peer(), None, rules.clone());
        let request = RegisterRequest {
            ttl_secs: Some(ttl_secs),
            ..register()
        };
        send(&mut session, STREAM, &Request::Register(request));
        let outputs = outputs(&mut session);
        assert_eq!(
            matches!(outputs[0], Output::Verify { .. }),
            good,
            "{ttl_secs} s"
        );
        if !good {
            let refusal = Refusal::Ttl { ttl_secs, min, max };
            assert_eq!(outputs, register_refused(STREAM, 102, &refusal));
        }
    }
}

#[test]
fn a_record_that_is_none_is_refused() {
    for record in [None, Some(Bytes::new())] {
        check_refused(
            RegisterRequest {
                record,
                ..register()
            },
            101,
            &Refusal::RecordAbsent,
        );
    }
    let field = |tag: u8, bytes: &[u8]| {
        let len = u8::try_from(bytes.len()).expect("short");
        assert!(len < 128, "one byte of length");
        [&[tag, len], bytes].concat()
    };
    let id = peer().to_bytes();
    let key = keypair(1).public().encode_protobuf();
    let other_type = [
        field(0x0a, &key),
        field(0x12, b"x"),
        field(0x1a, b"p"),
        field(0x2a, b"s"),
    ]
    .concat();
    let bad_address = [field(0x0a, &id), field(0x12, &[0xff, 0xff])].concat();
    let cases = [
        (vec![0xff; 40], None),
        (b"hello".to_vec(), None),
        (other_type, Some(RecordError::PayloadType)),
        (field(0x0a, &id), Some(RecordError::NoAddress)),
        (bad_address, Some(RecordError::NoAddress)),
        (vec![0; 4_097], Some(RecordError::TooLarge { bytes: 4_097 })),
        (
            vec![0; 15_000],
            Some(RecordError::TooLarge { bytes: 15_000 }),
        ),
    ];
    for (record, error) in cases {
        let error = error.or_else(|| UnverifiedRecord::parse(record.clone().into()).err());
        let error = error.expect("no record");
        let request = RegisterRequest {
            record: Some(record.into()),
            ..register()
        };
        check_refused(request, 101, &Refusal::Record(error));
    }
}

#[test]
fn a_record_has_at_most_64_addresses() {
    let addresses = |count: usize| (1..=count).map(address).collect::<Vec<_>>();
    for count in [64, 65] {
        let of_p = Record::plain(&peer(), &addresses(count)).bytes().clone();
        let of_s = signed(Dialect::Standard, 1, 5, count);
        for record in [of_p, of_s] {
            let request = RegisterRequest {
                record: Some(record),
                ..register()
            };
            if count == 64 {
                assert_eq!(check_verified(request)[0].addresses().len(), 64);
            } else {
                let error = RecordError::TooManyAddresses { count };
                check_refused(request, 101, &Refusal::Record(error));
            }
        }
    }
    let many = Record::plain(&peer(), &addresses(10_000)).bytes().clone();
    let error = RecordError::TooLarge { bytes: many.len() };
    check_refused(
        RegisterRequest {
            record: Some(many),
            ..register()
        },
        101,
        &Refusal::Record(error),
    );
}

#[test]
fn a_record_of_another_peer_is_not_authorized_in_any_dialect() {
    let other = keypair(2).public().to_peer_id();
    let records = [
        Record::plain(&other, &[address(1)]).bytes().clone(),
        signed(Dialect::Legacy, 2, 5, 1),
        signed(Dialect::Standard, 2, 5, 1),
    ];
    for record in records {
        let request = RegisterRequest {
            record: Some(record),
            ..register()
        };
        check_refused(request, 200, &Refusal::ForeignPeer);
    }
}

#[test]
fn a_record_that_is_not_proven_is_refused() {
    let forged = |envelope: Bytes| {
        let mut bytes = envelope.to_vec();
        *bytes.last_mut().expect("a signature") ^= 1;
        Bytes::from(bytes)
    };
    for dialect in [Dialect::Legacy, Dialect::Standard] {
        let mut session = session();
        let record = forged(signed(dialect, 1, 5, 1));
        let request = RegisterRequest {
            record: Some(record),
            ..register()
        };
        send(&mut session, STREAM, &Request::Register(request));
        let outputs = outputs(&mut session);
        let [Output::Verify { records, .. }] = outputs.as_slice() else {
            panic!("{outputs:?}")
        };
        let outcome: Result<Vec<_>, _> = records.iter().cloned().map(|it| it.verify()).collect();
        session.handle_verified(STREAM, outcome.map_err(Refusal::from));
        let refusal = Refusal::Record(RecordError::Forged);
        check(&mut session, &register_refused(STREAM, 101, &refusal));
        assert!(!session.has_writes());
    }
}

#[test]
fn two_records_are_the_same_one_signed_twice() {
    let legacy = || signed(Dialect::Legacy, 1, 5, 2);
    let standard = || signed(Dialect::Standard, 1, 5, 2);
    let both = |record, counterpart| RegisterRequest {
        record: Some(record),
        counterpart: Some(counterpart),
        ..register()
    };
    for request in [both(legacy(), standard()), both(standard(), legacy())] {
        assert_eq!(check_verified(request).len(), 2);
    }
    let different = [
        both(legacy(), signed(Dialect::Standard, 1, 6, 2)),
        both(legacy(), signed(Dialect::Standard, 1, 5, 1)),
        both(legacy(), signed(Dialect::Standard, 2, 5, 2)),
        both(legacy(), legacy()),
        both(legacy(), plain().bytes().clone()),
        both(plain().bytes().clone(), standard()),
        both(plain().bytes().clone(), plain().bytes().clone()),
    ];
    for request in different {
        check_refused(request, 101, &Refusal::RecordsDiffer);
    }
    let garbage = Bytes::from_static(&[0xff; 9]);
    let error = UnverifiedRecord::parse(garbage.clone()).expect_err("garbage");
    check_refused(both(legacy(), garbage), 101, &Refusal::Record(error));
}

#[test]
fn every_refusal_by_the_writer_has_its_status() {
    let rows = [
        (Refusal::StaleRecord { seq: 1, stored: 2 }, 101),
        (Refusal::PeerFull { limit: 1_000 }, 400),
        (Refusal::OriginFull { limit: 10 }, 400),
        (Refusal::Full, 400),
        (Refusal::RateLimited, 400),
        (Refusal::Busy, 400),
        (Refusal::Draining, 400),
        (Refusal::Store, 400),
        (Refusal::Undecided, 400),
    ];
    for (refusal, code) in rows {
        let mut session = session();
        send(&mut session, STREAM, &Request::Register(register()));
        session.handle_verified(STREAM, Ok(vec![plain()]));
        assert_eq!(outputs(&mut session).len(), 2);
        session.handle_verdict(STREAM, Verdict::Refused(refusal.clone()));
        check(&mut session, &register_refused(STREAM, code, &refusal));
    }
    let stale = Refusal::StaleRecord { seq: 1, stored: 2 }.to_string();
    assert!(stale.contains("stored seq 2"), "clients read it: {stale}");
}

#[test]
fn an_empty_payload_is_a_register_of_nothing() {
    let mut session = session();
    session.handle_frame(STREAM, Bytes::new(), false);
    let refusal = Refusal::Namespace(NamespaceError::Empty);
    check(&mut session, &register_refused(STREAM, 100, &refusal));
}

#[test]
fn a_refused_request_leaves_the_stream_usable() {
    let mut session = session();
    send(
        &mut session,
        STREAM,
        &Request::Register(RegisterRequest::default()),
    );
    assert_eq!(outputs(&mut session).len(), 2);
    send(&mut session, STREAM, &Request::Register(register()));
    let namespace = Namespace::new("my-app").expect("a name");
    let records = vec![UnverifiedRecord::parse(plain().bytes().clone()).expect("a record")];
    check(
        &mut session,
        &[Output::Verify {
            stream: STREAM,
            namespace,
            records,
        }],
    );
}
