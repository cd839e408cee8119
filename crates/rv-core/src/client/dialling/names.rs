//! Where a host's name leads, as far as the name itself shows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Place;

/// Names that only this machine or its own network resolves, with all below them.
const LOCAL: [&str; 6] = [
    "localhost", // RFC 6761
    "local",     // RFC 6762
    "home.arpa", // RFC 8375
    "internal",  // reserved by ICANN for private use
    "lan",       // not reserved, but what many home routers use
    "intranet",  // the same in offices, RFC 6762 appendix G
];

/// Names that nobody may have, with all below them.
const NOWHERE: [&str; 8] = [
    "alt",         // RFC 9476
    "arpa",        // of the infrastructure
    "example",     // RFC 6761
    "example.com", // RFC 6761
    "example.net", // RFC 6761
    "example.org", // RFC 6761
    "invalid",     // RFC 6761
    "test",        // RFC 6761
];

/// Where a name leads. Into what it resolves is not known here.
pub(super) fn place_of(name: &str) -> Place {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if let Ok(ip) = name.parse::<Ipv4Addr>() {
        return Place::of_ip(IpAddr::V4(ip));
    }
    if let Ok(ip) = name.parse::<Ipv6Addr>() {
        return Place::of_ip(IpAddr::V6(ip));
    }
    if is_within(&name, &LOCAL) {
        return Place::Local;
    }
    if is_within(&name, &NOWHERE) {
        return Place::Nowhere;
    }
    let is_label = |label: &str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !label.is_empty() && label.len() <= 63 && label.bytes().all(is_good)
    };
    // Some resolvers read what ends in a number as an IPv4 address in an odd form, such as 127.1
    // or 0x7f.1.
    let ends_in_number = name
        .rsplit('.')
        .next()
        .is_none_or(|last| last.starts_with(|it: char| it.is_ascii_digit()));
    if !name.split('.').all(is_label) || ends_in_number {
        return Place::Nowhere;
    }
    // A single label is looked up in the network's own domain.
    if name.contains('.') {
        Place::Internet
    } else {
        Place::Local
    }
}

fn is_within(name: &str, domains: &[&str]) -> bool {
    domains.iter().any(|domain| {
        name.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}
