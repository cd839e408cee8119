//! One FIND_NODE and its answer on a stream of its own.

use asynchronous_codec::Framed;
use futures::{SinkExt as _, StreamExt as _};
use libp2p_identity::PeerId;
use libp2p_swarm::Stream;
use multiaddr::Multiaddr;
use prost_codec::Codec;

use crate::output::Failure;
use crate::peer::{Contact, Peer};
use crate::swarm::generated::kademlia::Message;
use crate::swarm::generated::kademlia::message;

/// Asks for the peers nearest to `key`. Who drops the future resets the stream.
pub(super) async fn ask(
    stream: Stream,
    key: Vec<u8>,
    answer_bytes_max: usize,
) -> Result<Vec<Contact>, Failure> {
    let codec = Codec::<Message>::new(answer_bytes_max.max(key.len()));
    let mut framed = Framed::new(stream, codec);
    let request = Message {
        r#type: message::MessageType::FindNode.into(),
        key: key.into(),
        closer_peers: Vec::new(),
    };
    framed.send(request).await.map_err(|_| Failure::Broken)?;
    // The peer learns that no other request follows, and closes its side after the answer.
    framed.close().await.map_err(|_| Failure::Broken)?;
    match framed.next().await {
        Some(Ok(answer)) if answer.r#type() == message::MessageType::FindNode => {
            Ok(answer.closer_peers.iter().filter_map(contact).collect())
        }
        Some(_) | None => Err(Failure::Broken),
    }
}

/// A peer without a readable id is none; an address that cannot be read is left out.
fn contact(told: &message::Peer) -> Option<Contact> {
    let id = PeerId::from_bytes(&told.id).ok()?;
    let addresses = told.addrs.iter();
    let addresses = addresses.filter_map(|it| Multiaddr::try_from(it.to_vec()).ok());
    Some(Contact::new(Peer::new(id), addresses))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_left_out_and_spoils_nothing() {
        let id = PeerId::from_bytes(&[vec![0x12, 0x20], vec![7; 32]].concat()).expect("an id");
        let address: Multiaddr = "/ip4/8.8.8.8/tcp/1".parse().expect("an address");
        let told = message::Peer {
            id: id.to_bytes().into(),
            addrs: vec![vec![0xff; 3].into(), address.to_vec().into()],
        };
        assert_eq!(contact(&told), Some(Contact::new(Peer::new(id), [address])));
        let broken = message::Peer {
            id: vec![1, 2, 3].into(),
            addrs: told.addrs,
        };
        assert_eq!(contact(&broken), None);
    }
}
