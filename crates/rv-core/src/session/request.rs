//! What a decoded request wants, or why it cannot be had. No state.

use bytes::Bytes;
use libp2p_identity::PeerId;
use rv_proto::{
    DiscoverRequest, Namespace, RegisterRequest, Scope, Ttl, UnregisterRequest, UnverifiedRecord,
};

use crate::registry::{Query, Reader};
use crate::{Refusal, Rules};

/// A REGISTER that only its signatures can still make fail.
pub(super) struct WantedRegistration {
    pub(super) namespace: Namespace,
    pub(super) ttl: Ttl,
    pub(super) records: Vec<UnverifiedRecord>,
}

/// Reads a REGISTER of `peer`.
///
/// The record's owner is compared before its signature is checked: it costs nothing.
pub(super) fn read_register(
    request: RegisterRequest,
    peer: &PeerId,
    rules: &Rules,
) -> Result<WantedRegistration, Refusal> {
    let namespace = Namespace::from_bytes(request.namespace.as_deref().unwrap_or_default())?;
    let ttl = read_ttl(request.ttl_secs, rules)?;
    let record = request
        .record
        .filter(|bytes| !bytes.is_empty())
        .ok_or(Refusal::RecordAbsent)?;
    let mut records = vec![UnverifiedRecord::parse(record)?];
    if let Some(counterpart) = request.counterpart {
        records.push(UnverifiedRecord::parse(counterpart)?);
        check_same_record(&records)?;
    }
    if records.iter().any(|record| record.peer() != peer) {
        return Err(Refusal::ForeignPeer);
    }
    Ok(WantedRegistration {
        namespace,
        ttl,
        records,
    })
}

fn read_ttl(ttl_secs: Option<u64>, rules: &Rules) -> Result<Ttl, Refusal> {
    let Some(ttl_secs) = ttl_secs else {
        return Ok(rules.ttl_default);
    };
    let (min, max) = (rules.ttl_min, rules.ttl_max);
    match Ttl::from_secs(ttl_secs) {
        Ok(ttl) if (min..=max).contains(&ttl) => Ok(ttl),
        Ok(_) | Err(_) => Err(Refusal::Ttl { ttl_secs, min, max }),
    }
}

/// Two records in one request are one record, signed once in each signed dialect.
fn check_same_record(records: &[UnverifiedRecord]) -> Result<(), Refusal> {
    let [first, second] = records else {
        return Ok(());
    };
    let signed = [first, second]
        .iter()
        .all(|record| record.dialect().is_signed());
    let same = first.peer() == second.peer()
        && first.seq() == second.seq()
        && first.addresses() == second.addresses();
    if signed && same && first.dialect() != second.dialect() {
        Ok(())
    } else {
        Err(Refusal::RecordsDiffer)
    }
}

/// Reads an UNREGISTER of `peer`: `None` if there is nothing that it could remove.
///
/// The namespace "" stands for all of the peer's. The field `id` is gone from the specification,
/// but go and py clients send it; somebody else's is no business of this peer.
pub(super) fn read_unregister(request: &UnregisterRequest, peer: &PeerId) -> Option<Scope> {
    let named = request.peer.as_deref().unwrap_or_default();
    if !named.is_empty() && named != peer.to_bytes() {
        return None;
    }
    match request.namespace.as_deref().unwrap_or_default() {
        [] => Some(Scope::All),
        namespace => Namespace::from_bytes(namespace).ok().map(Scope::Namespace),
    }
}

/// Reads a DISCOVER of `reader`.
pub(super) fn read_discover(
    request: DiscoverRequest,
    reader: Reader,
    rules: &Rules,
) -> Result<Query, Refusal> {
    let scope = match request
        .namespace
        .as_ref()
        .map(Bytes::as_ref)
        .unwrap_or_default()
    {
        [] if rules.discover_all => Scope::All,
        [] => return Err(Refusal::DiscoverAll),
        namespace => Scope::Namespace(Namespace::from_bytes(namespace)?),
    };
    let entries_max = match request.limit.map(usize::try_from) {
        Some(Ok(limit)) if limit > 0 => limit.min(rules.page_entries_max),
        Some(Ok(_) | Err(_)) | None => rules.page_entries_max,
    };
    Ok(Query {
        page_bytes_max: reader.page_bytes_max(rules),
        reader,
        scope,
        cookie: request.cookie,
        entries_max,
    })
}
