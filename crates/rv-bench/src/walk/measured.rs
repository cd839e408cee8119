//! What a network came to: its tables and its messages.

use dht_walk::Peer;
use rv_sim::walk::Lookups;

/// Entries of a bucket, at the most.
const K: usize = 20;

/// The means over the nodes of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// Entries of a table, as a share of all others.
    pub(crate) coverage: f64,
    /// Entries of a bucket up to 20, as a share of the peers that it could hold up to 20.
    pub(crate) fill: f64,
    /// FIND_NODE requests for each node.
    pub(crate) messages: f64,
    /// FIND_NODE requests for each lookup, of those that ended.
    pub(crate) lookup: f64,
}

/// Some networks alike: the mean of their figures, and how far they are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    pub(crate) mean: Figures,
    /// The standard deviation.
    pub(crate) spread: Figures,
}

impl Figures {
    const ALL: [fn(&mut Self) -> &mut f64; 4] = [
        |it| &mut it.coverage,
        |it| &mut it.fill,
        |it| &mut it.messages,
        |it| &mut it.lookup,
    ];

    /// The figures of these tables: each a node with its entries.
    #[expect(clippy::cast_precision_loss, reason = "a mean of some thousands")]
    pub(crate) fn of(tables: &[(Peer, Vec<Peer>)], messages: u64, lookups: Lookups) -> Self {
        let nodes: Vec<&Peer> = tables.iter().map(|(peer, _)| peer).collect();
        let (mut entries, mut have, mut exist) = (0, 0, 0);
        for (local, table) in tables {
            let in_table = buckets(local, table.iter());
            let in_network = buckets(local, nodes.iter().copied());
            entries += table.len();
            for (held, there) in in_table.iter().zip(in_network) {
                let there = there.min(K);
                exist += there;
                have += (*held).min(there);
            }
        }
        let count = tables.len();
        let others = count * count.saturating_sub(1);
        Self {
            coverage: entries as f64 / others.max(1) as f64,
            fill: have as f64 / exist.max(1) as f64,
            messages: messages as f64 / count.max(1) as f64,
            lookup: lookups.requests as f64 / lookups.ended.max(1) as f64,
        }
    }
}

/// How many of these peers are in each bucket of `local`.
fn buckets<'a>(local: &Peer, peers: impl Iterator<Item = &'a Peer>) -> Vec<usize> {
    let mut counts = vec![0; 1 + usize::from(u8::MAX)];
    for cpl in peers.filter_map(|peer| local.cpl(peer)) {
        counts[usize::from(cpl.bits())] += 1;
    }
    counts
}

impl Measured {
    /// Of the figures of some networks.
    #[expect(clippy::cast_precision_loss, reason = "a few networks")]
    pub(crate) fn all(networks: impl IntoIterator<Item = Figures>) -> Self {
        let mut networks: Vec<Figures> = networks.into_iter().collect();
        let count = networks.len().max(1) as f64;
        let mut all = Self::default();
        for figure in Figures::ALL {
            let values: Vec<f64> = networks.iter_mut().map(|it| *figure(it)).collect();
            let mean = values.iter().sum::<f64>() / count;
            let squares: f64 = values.iter().map(|it| (it - mean).powi(2)).sum();
            *figure(&mut all.mean) = mean;
            *figure(&mut all.spread) = (squares / count).sqrt();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dht_walk::{Seed, Targets};

    #[test]
    fn full_tables_cover_and_fill_all_and_empty_ones_nothing() {
        let mut ids = Targets::new(Seed::from_bytes([1; 32]));
        let peers: Vec<Peer> = (0..10).map(|_| ids.uniform().as_peer().clone()).collect();
        let others =
            |peer: &Peer| -> Vec<Peer> { peers.iter().filter(|it| *it != peer).cloned().collect() };
        let lookups = Lookups {
            ended: 2,
            requests: 40,
        };
        let full: Vec<_> = peers.iter().map(|it| (it.clone(), others(it))).collect();
        let figures = Figures::of(&full, 50, lookups);
        let expected = Figures {
            coverage: 1.0,
            fill: 1.0,
            messages: 5.0,
            lookup: 20.0,
        };
        assert_eq!(figures, expected);
        let empty: Vec<_> = peers.iter().map(|it| (it.clone(), Vec::new())).collect();
        assert_eq!(
            Figures::of(&empty, 0, Lookups::default()),
            Figures::default()
        );
    }

    #[test]
    fn networks_alike_have_a_mean_and_a_spread() {
        let of = |messages| Figures {
            messages,
            ..Figures::default()
        };
        let measured = Measured::all([of(1.0), of(3.0)]);
        assert_eq!(measured.mean.messages, 2.0);
        assert_eq!(measured.spread.messages, 1.0);
    }
}
