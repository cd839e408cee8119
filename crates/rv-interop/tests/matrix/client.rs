//! One client of any kind, as the matrix sees it.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use rv_interop::{ForeignClient, Identity, Language, Ours, Runtime, Stock};

/// Who is listed, with the addresses, without a peer id at their end.
pub(crate) type Listing = BTreeMap<PeerId, BTreeSet<Multiaddr>>;

/// A kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rust,
    Go,
    Js,
    Py,
    Ours,
}

/// How to start a client of each kind on this machine.
pub(crate) struct Kinds {
    go: Runtime,
    js: Runtime,
    py: Runtime,
}

/// A client that is connected to a point.
pub(crate) enum Client {
    Rust(Box<Stock>, Identity),
    Foreign(ForeignClient),
    Ours(Ours),
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Rust, Self::Go, Self::Js, Self::Py, Self::Ours];

    /// As the table has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Go => "go",
            Self::Js => "js",
            Self::Py => "py",
            Self::Ours => "rv",
        }
    }

    /// Whether what a client of this kind registers has a form that `reader` parses: a signature
    /// can be dropped, and cannot be made.
    pub(crate) fn has_form_for(self, reader: Self) -> bool {
        match reader {
            Self::Go | Self::Py | Self::Ours => true,
            Self::Rust => matches!(self, Self::Rust | Self::Ours),
            Self::Js => matches!(self, Self::Js | Self::Ours),
        }
    }
}

impl Kinds {
    /// All of them, unless one is not made.
    pub(crate) fn find() -> Option<Self> {
        Some(Self {
            go: Runtime::find(Language::Go)?,
            js: Runtime::find(Language::Js)?,
            py: Runtime::find(Language::Py)?,
        })
    }

    /// A new client of `kind` at a point.
    pub(crate) async fn connect(&self, kind: Kind, point: &Multiaddr) -> Client {
        match kind {
            Kind::Rust => {
                let identity = Identity::new();
                let stock = Stock::dial(point, &identity, &identity).await;
                Client::Rust(Box::new(stock), identity)
            }
            Kind::Go => Client::Foreign(self.go.connect(point).await),
            Kind::Js => Client::Foreign(self.js.connect(point).await),
            Kind::Py => Client::Foreign(self.py.connect(point).await),
            Kind::Ours => Client::Ours(Ours::new(point).await),
        }
    }
}

impl Client {
    pub(crate) fn peer(&self) -> PeerId {
        match self {
            Self::Rust(stock, _) => stock.peer(),
            Self::Foreign(client) => client.peer(),
            Self::Ours(client) => client.peer(),
        }
    }

    /// What it registers.
    pub(crate) fn addresses(&self) -> BTreeSet<Multiaddr> {
        match self {
            Self::Rust(_, identity) => BTreeSet::from([identity.address()]),
            Self::Foreign(client) => client.addresses().clone(),
            Self::Ours(client) => BTreeSet::from([client.address()]),
        }
    }

    pub(crate) async fn register(&mut self, namespace: &str, ttl_secs: u64) {
        let granted = match self {
            Self::Rust(stock, _) => {
                let granted = stock.register(namespace, Some(ttl_secs)).await;
                granted.expect("a grant")
            }
            Self::Foreign(client) => {
                let granted = client.register(namespace, ttl_secs).await;
                granted.expect("a grant")
            }
            Self::Ours(client) => client.register(namespace, ttl_secs).await.into(),
        };
        assert_eq!(granted, ttl_secs);
    }

    /// Everybody in a namespace but itself, as the library tells it. Nothing that it says of an
    /// entry or of the whole is an error.
    pub(crate) async fn listing(&mut self, namespace: &str) -> Listing {
        let mut found: Listing = match self {
            Self::Rust(stock, _) => {
                let page = stock.discover(Some(namespace), None, None).await;
                let (registrations, _) = page.expect("a listing");
                let entry = |it: &libp2p::rendezvous::Registration| {
                    let peer = it.record.peer_id();
                    (peer, bare(peer, it.record.addresses()))
                };
                registrations.iter().map(entry).collect()
            }
            Self::Foreign(client) => {
                let page = client.discover(namespace).await;
                page.expect("a listing").peers
            }
            Self::Ours(client) => {
                let found = client.discover(namespace).await.expect("a listing");
                let entry = found
                    .iter()
                    .map(|it| (it.peer(), bare(it.peer(), it.addresses())));
                entry.collect()
            }
        };
        // js and ours leave themselves out.
        found.remove(&self.peer());
        found
    }

    /// Ends it, and sees that it ends well.
    pub(crate) async fn end(self) {
        match self {
            Self::Foreign(client) => client.end().await,
            Self::Rust(..) | Self::Ours(_) => {}
        }
    }
}

fn bare(peer: PeerId, addresses: &[Multiaddr]) -> BTreeSet<Multiaddr> {
    let own = Protocol::P2p(peer);
    let bare = |address: &Multiaddr| address.iter().filter(|part| *part != own).collect();
    addresses.iter().map(bare).collect()
}
