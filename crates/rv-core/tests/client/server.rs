//! A point made of the real machines.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use libp2p_identity::PeerId;
use rv_core::{Limits, Output, Registry, Rules, Session, StreamId, Submitted, Ticket, Writer};
use rv_proto::{
    Epoch, Namespace, RESPONSE_BYTES_MAX, Request, Response, Time, Ttl, UnverifiedRecord,
    decode_frame,
};

pub(crate) struct Server {
    registry: Registry,
    writer: Writer,
    sessions: BTreeMap<PeerId, Session>,
    rules: Rules,
    streams: u64,
}

impl Server {
    pub(crate) fn new(epoch: u32) -> Self {
        let ttl_min = Ttl::from_secs(20).expect("a ttl");
        Self {
            registry: Registry::new(Epoch::from_bits(epoch)),
            writer: Writer::new(Limits::default()),
            sessions: BTreeMap::new(),
            rules: Rules {
                ttl_min,
                page_entries_max: 2,
                ..Rules::default()
            },
            streams: 0,
        }
    }

    /// Until when a peer is registered, if it is.
    pub(crate) fn registered_until(
        &self,
        now: Time,
        peer: PeerId,
        namespace: &Namespace,
    ) -> Option<Time> {
        let held = self.registry.registration(peer, namespace)?;
        (held.expires_at() > now).then(|| held.expires_at())
    }

    /// The answer, if the request has one.
    pub(crate) fn ask(&mut self, now: Time, peer: PeerId, request: &Request) -> Option<Response> {
        self.streams += 1;
        let stream = StreamId(self.streams);
        let rules = self.rules.clone();
        let new = || Session::new(peer, None, rules);
        let session = self.sessions.entry(peer).or_insert_with(new);
        session.handle_frame(stream, request.encode().into(), false);
        let mut tickets: BTreeMap<Ticket, StreamId> = BTreeMap::new();
        let mut response = None;
        loop {
            while let Some(output) = session.poll_output() {
                match output {
                    Output::Verify {
                        stream, records, ..
                    } => {
                        let verified = records.into_iter().map(UnverifiedRecord::verify);
                        let verified: Result<Vec<_>, _> = verified.collect();
                        session.handle_verified(stream, verified.map_err(Into::into));
                    }
                    Output::Submit { stream, operation } => {
                        match self.writer.submit(now, &self.registry, peer, operation) {
                            Submitted::Pending(ticket) => {
                                tickets.insert(ticket, stream);
                            }
                            Submitted::Done(verdict) => session.handle_verdict(stream, verdict),
                        }
                    }
                    Output::Discover { stream, query } => {
                        session.handle_page(stream, self.registry.discover(now, &query));
                    }
                    Output::Respond { frame, .. } => response = Some(read(&frame)),
                    Output::AwaitClose { .. }
                    | Output::Push { .. }
                    | Output::Subscribe { .. }
                    | Output::SubscribeInmem { .. }
                    | Output::Next { .. }
                    | Output::Read { .. }
                    | Output::Report(_)
                    | Output::Reset { .. } => {}
                }
            }
            let Some(facts) = self.writer.next_batch() else {
                return response;
            };
            for _ in facts {
                let Some(seq) = self.registry.applied().next() else {
                    panic!("the log is full");
                };
                for (ticket, verdict) in self.writer.apply(&mut self.registry, &[seq]) {
                    if let Some(stream) = tickets.remove(&ticket) {
                        session.handle_verdict(stream, verdict);
                    }
                }
            }
        }
    }
}

fn read(frame: &Bytes) -> Response {
    let mut buffer = BytesMut::from(frame.as_ref());
    let payload = decode_frame(&mut buffer, RESPONSE_BYTES_MAX)
        .expect("a frame")
        .expect("a whole one");
    Response::decode(payload).expect("a response")
}
