//! Which addresses are the internet.

use rv_core::client::dialling::Place;

use crate::dialling::at;
use crate::samples::peer;

fn check(place: Place, addresses: &[&str]) {
    for address in addresses {
        assert_eq!(Place::of(&at(address)), place, "{address}");
    }
}

/// The first and the last address of a block, and the ones beside it.
fn check_block(first: &str, last: &str, inside: Place, before: Place, after: Place) {
    let next = |ip: &str, by: i64| {
        let bits: std::net::Ipv4Addr = ip.parse().expect("an address");
        let bits = i64::from(bits.to_bits()) + by;
        let bits = u32::try_from(bits).expect("in range");
        std::net::Ipv4Addr::from_bits(bits).to_string()
    };
    let place = |ip: &str| Place::of(&at(&format!("/ip4/{ip}/tcp/1")));
    let found = [
        place(&next(first, -1)),
        place(first),
        place(last),
        place(&next(last, 1)),
    ];
    assert_eq!(found, [before, inside, inside, after], "{first} to {last}");
}

#[test]
fn blocks_of_ipv4_begin_and_end_where_the_registry_says() {
    use Place::{Internet, Local, Nowhere};
    let blocks = [
        ("10.0.0.0", "10.255.255.255", Local),
        ("100.64.0.0", "100.127.255.255", Local),
        ("127.0.0.0", "127.255.255.255", Local),
        ("169.254.0.0", "169.254.255.255", Local),
        ("172.16.0.0", "172.31.255.255", Local),
        ("192.0.0.0", "192.0.0.255", Nowhere),
        ("192.0.2.0", "192.0.2.255", Nowhere),
        ("192.31.196.0", "192.31.196.255", Nowhere),
        ("192.52.193.0", "192.52.193.255", Nowhere),
        ("192.88.99.0", "192.88.99.255", Nowhere),
        ("192.168.0.0", "192.168.255.255", Local),
        ("198.18.0.0", "198.19.255.255", Local),
        ("198.51.100.0", "198.51.100.255", Nowhere),
        ("203.0.113.0", "203.0.113.255", Nowhere),
    ];
    for (first, last, place) in blocks {
        check_block(first, last, place, Internet, Internet);
    }
    check(Nowhere, &["/ip4/0.0.0.0/tcp/1", "/ip4/0.255.255.255/tcp/1"]);
    check(
        Internet,
        &["/ip4/1.0.0.0/tcp/1", "/ip4/223.255.255.255/tcp/1"],
    );
    check(Nowhere, &["/ip4/224.0.0.0/udp/1", "/ip4/240.0.0.0/tcp/1"]);
    check(Nowhere, &["/ip4/255.255.255.255/tcp/1"]);
}

#[test]
fn of_ipv6_only_global_unicast_is_the_internet() {
    check(
        Place::Internet,
        &[
            "/ip6/2000::1/tcp/1",
            "/ip6/2001:200::1/tcp/1",
            "/ip6/2606:4700::1111/udp/1/quic-v1",
            "/ip6/3fff:1000::1/tcp/1",
        ],
    );
    check(
        Place::Local,
        &[
            "/ip6/::1/tcp/1",
            "/ip6/64:ff9b:1::808:808/tcp/1",
            "/ip6/fc00::1/tcp/1",
            "/ip6/fdff:ffff::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/febf::1/tcp/1",
            "/ip6/fec0::1/tcp/1",
            "/ip6zone/eth0/ip6/2606:4700::1111/tcp/1",
        ],
    );
    check(
        Place::Nowhere,
        &[
            "/ip6/::/tcp/1",
            "/ip6/::7f00:1/tcp/1",
            "/ip6/::ffff:0:7f00:1/tcp/1",
            "/ip6/100::1/tcp/1",
            "/ip6/2001::1/tcp/1",
            "/ip6/2001:1ff:ffff::1/tcp/1",
            "/ip6/2001:db8::1/tcp/1",
            "/ip6/2620:4f:8000::1/tcp/1",
            "/ip6/3fff::1/tcp/1",
            "/ip6/4000::1/tcp/1",
            "/ip6/5f00::1/tcp/1",
            "/ip6/ff02::1/udp/1",
        ],
    );
}

#[test]
fn an_ipv6_address_that_stands_for_an_ipv4_one_is_where_that_is() {
    check(
        Place::Internet,
        &[
            "/ip6/::ffff:8.8.8.8/tcp/1",
            "/ip6/64:ff9b::808:808/tcp/1",
            "/ip6/2002:808:808::1/tcp/1",
        ],
    );
    check(
        Place::Local,
        &[
            "/ip6/::ffff:127.0.0.1/tcp/1",
            "/ip6/::ffff:192.168.1.1/tcp/1",
            "/ip6/64:ff9b::a00:1/tcp/1",
            "/ip6/2002:7f00:1::1/tcp/1",
            "/ip6/2002:c0a8:101::1/tcp/1",
        ],
    );
    check(Place::Nowhere, &["/ip6/::ffff:0.0.0.0/tcp/1"]);
}

#[test]
fn names_are_judged_by_what_they_say() {
    check(
        Place::Internet,
        &[
            "/dns4/bootstrap.libp2p.io/tcp/1",
            "/dnsaddr/A.B-C.net./tcp/1",
            "/dns/notlocalhost.io/tcp/1",
            "/dns/8.8.8.8/tcp/1",
        ],
    );
    check(
        Place::Local,
        &[
            "/dns4/localhost/tcp/1",
            "/dns/LOCALHOST./tcp/1",
            "/dns6/a.localhost/tcp/1",
            "/dns/printer.local/tcp/1",
            "/dns/nas.home.arpa/tcp/1",
            "/dns/vault.internal/tcp/1",
            "/dns/router/tcp/1",
            "/dns4/127.0.0.1/tcp/1",
            "/dns6/::1/tcp/1",
        ],
    );
    check(
        Place::Nowhere,
        &[
            "/dns/127.1/tcp/1",
            "/dns/2130706433/tcp/1",
            "/dns/0x7f.0x1/tcp/1",
            "/dns/example.com/tcp/1",
            "/dns/a.example/tcp/1",
            "/dns/a.test/tcp/1",
            "/dns/1.0.0.127.in-addr.arpa/tcp/1",
            "/dns/a..b/tcp/1",
            "/dns/a b.net/tcp/1",
            "/dns/0.0.0.0/tcp/1",
        ],
    );
}

#[test]
fn the_worst_part_counts_up_to_the_relay() {
    let relay = peer(1);
    let relayed = format!("/ip4/8.8.8.8/tcp/1/p2p/{relay}/p2p-circuit");
    let behind = format!("{relayed}/ip4/127.0.0.1/tcp/1");
    check(Place::Internet, &[&relayed, &behind]);
    let inside = format!("/ip4/192.168.0.1/tcp/1/p2p/{relay}/p2p-circuit/ip4/8.8.8.8/tcp/1");
    check(
        Place::Local,
        &[&inside, "/ip4/8.8.8.8/tcp/1/ip4/127.0.0.1/tcp/2"],
    );
    check(Place::Local, &["/memory/1", "/unix/a"]);
    let unsaid = format!("/p2p/{relay}/p2p-circuit");
    check(Place::Nowhere, &[&unsaid, "/tcp/1", "/ip4/8.8.8.8/tcp/0"]);
}
