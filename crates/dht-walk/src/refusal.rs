//! Why something that was heard, or somebody who was asked, counts for nothing.

use std::fmt;

/// Why a contact, an address or an answer is not taken. Each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refusal {
    /// New addresses of a peer that already has as many as are kept, or more of them than one
    /// source may add: what is known stays.
    AddressesFull,
    /// A bucket, or the table, holds enough peers of that network of addresses.
    GroupQuota,
    /// The peer did not answer when it was asked.
    NoAnswer,
    /// A contact without addresses.
    NoAddress,
    /// The peer does not serve the DHT: it speaks no Kademlia, or is a client.
    NotServing,
    /// An address that ends with the id of another peer.
    OtherPeer,
    /// Ourselves.
    OwnId,
    /// An address of a private network where public ones are wanted.
    PrivateAddress,
    /// The peer failed a short while ago, and nothing new is known of it.
    RecentlyFailed,
    /// The peer that answered gave the same answer to another question before.
    RepeatedAnswer,
    /// The same peer twice in one answer.
    RepeatedContact,
    /// A source's share of a bucket is used up.
    SourceQuota,
    /// Beyond the number of contacts that one answer may have.
    Surplus,
    /// The host's own table said no.
    TableRefused,
    /// An address that nothing can dial.
    Undialable,
    /// An answer to a question that is not open: too late, or never asked.
    Unasked,
    /// The peer could not be dialled.
    Unreachable,
}

impl Refusal {
    /// Every reason, in order.
    pub const ALL: [Self; 17] = [
        Self::AddressesFull,
        Self::GroupQuota,
        Self::NoAnswer,
        Self::NoAddress,
        Self::NotServing,
        Self::OtherPeer,
        Self::OwnId,
        Self::PrivateAddress,
        Self::RecentlyFailed,
        Self::RepeatedAnswer,
        Self::RepeatedContact,
        Self::SourceQuota,
        Self::Surplus,
        Self::TableRefused,
        Self::Undialable,
        Self::Unasked,
        Self::Unreachable,
    ];

    /// The reason as a label of a metric.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddressesFull => "addresses_full",
            Self::GroupQuota => "group_quota",
            Self::NoAnswer => "no_answer",
            Self::NoAddress => "no_address",
            Self::NotServing => "not_serving",
            Self::OtherPeer => "other_peer",
            Self::OwnId => "own_id",
            Self::PrivateAddress => "private_address",
            Self::RecentlyFailed => "recently_failed",
            Self::RepeatedAnswer => "repeated_answer",
            Self::RepeatedContact => "repeated_contact",
            Self::SourceQuota => "source_quota",
            Self::Surplus => "surplus",
            Self::TableRefused => "table_refused",
            Self::Undialable => "undialable",
            Self::Unasked => "unasked",
            Self::Unreachable => "unreachable",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often each reason was given.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Refusals([u32; Refusal::ALL.len()]);

impl Refusals {
    /// How often this reason was given; stays at the highest number once it is reached.
    pub const fn count(&self, refusal: Refusal) -> u32 {
        self.0[refusal as usize]
    }

    /// How often any reason was given.
    pub fn total(&self) -> u64 {
        self.0.iter().copied().map(u64::from).sum()
    }

    /// The reasons that were given, with how often.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u32)> {
        let counted = |refusal: Refusal| (refusal, self.count(refusal));
        Refusal::ALL
            .into_iter()
            .map(counted)
            .filter(|(_, count)| *count > 0)
    }

    pub(crate) fn add(&mut self, refusal: Refusal, times: usize) {
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        let count = &mut self.0[refusal as usize];
        *count = count.saturating_add(times);
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_count_and_name() {
        let mut refusals = Refusals::default();
        for (times, refusal) in Refusal::ALL.into_iter().enumerate() {
            refusals.add(refusal, times + 1);
        }
        for (times, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusals.count(refusal) as usize, times + 1, "{refusal}");
        }
        let mut names = Refusal::ALL.map(Refusal::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(refusals.total(), (1..=17).sum::<u64>());
    }
}
