//! A whole point as a machine: what goes in decides what comes out, to the byte.

use libp2p::PeerId;
use rv_server::rv_core::{
    Limits, Operation, Output, Refusal, Registry, Rules, Session, StreamId, Submitted, Verdict,
    Writer,
};
use rv_server::rv_proto::{Epoch, Record, Time, UnverifiedRecord};

use crate::Identity;
use crate::wire::{self, Register};

/// A session of one peer at a point in which one other peer is registered, the golden one, with
/// both signatures. No time passes.
#[derive(Debug)]
pub struct Machine {
    registry: Registry,
    writer: Writer,
    peer: PeerId,
    session: Session,
}

impl Machine {
    const EPOCH: Epoch = Epoch::from_bits(0x2_5430);
    const NOW: Time = Time::from_millis(1_700_000_000_000);
    const STREAM: StreamId = StreamId(1);

    /// For `peer`, which gives itself the name `agent` in identify, or none.
    ///
    /// # Panics
    ///
    /// If the golden peer is refused.
    pub fn new(namespace: &str, peer: PeerId, agent: Option<&str>) -> Self {
        let golden = Identity::golden();
        let mut machine = Self::of(golden.peer());
        let addresses = [golden.address().to_vec()];
        let mut register = Register::new(namespace, golden.standard_of(1, &addresses));
        register.counterpart = Some(golden.legacy_of(1, &addresses));
        let answer = machine.ask(&wire::frame(&register.payload()), false);
        assert!(answer.is_some(), "it is registered");
        machine.peer = peer;
        machine.session = Session::new(peer, None, Rules::default());
        if let Some(agent) = agent {
            machine.session.handle_identified(agent, None);
        }
        machine
    }

    fn of(peer: PeerId) -> Self {
        Self {
            registry: Registry::new(Self::EPOCH),
            writer: Writer::new(Limits::default()),
            peer,
            session: Session::new(peer, None, Rules::default()),
        }
    }

    /// The answer to a frame, length included; none if there is none. `is_last` says that the
    /// stream is closed for writing behind it.
    ///
    /// # Panics
    ///
    /// If the frame is not whole, is a subscription, or its stream is reset.
    pub fn ask(&mut self, frame: &[u8], is_last: bool) -> Option<Vec<u8>> {
        let Some((payload, used)) = wire::split_frame(frame) else {
            panic!("not a whole frame: {} bytes", frame.len());
        };
        assert_eq!(used, frame.len(), "one frame");
        let stream = Self::STREAM;
        self.session.handle_frame(stream, payload.into(), is_last);
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Push { frame, .. } | Output::Respond { frame, .. } => {
                    return Some(frame.to_vec());
                }
                Output::Subscribe { query, .. } => {
                    self.session.handle_subscription(stream, Ok(query.scope));
                }
                Output::SubscribeInmem { namespace, .. } => {
                    self.session.handle_inmem_room(stream, Ok(namespace));
                }
                Output::Next { .. } => return None,
                Output::Discover { query, .. } => {
                    let page = self.registry.discover(Self::NOW, &query);
                    self.session.handle_page(stream, page);
                }
                Output::Submit { operation, .. } => {
                    let verdict = self.write(operation);
                    self.session.handle_verdict(stream, verdict);
                }
                Output::Verify { records, .. } => {
                    self.session.handle_verified(stream, verified(records));
                }
                Output::Report(_) => {}
                Output::AwaitClose { .. } | Output::Read { .. } => {
                    panic!("nobody waits by these rules")
                }
                Output::Reset { error, .. } => panic!("reset: {error}"),
            }
        }
        panic!("every request ends with an answer or the next one")
    }

    fn write(&mut self, operation: Operation) -> Verdict {
        let submitted = self
            .writer
            .submit(Self::NOW, &self.registry, self.peer, operation);
        let ticket = match submitted {
            Submitted::Pending(ticket) => ticket,
            Submitted::Done(verdict) => return verdict,
        };
        let facts = self.writer.next_batch().expect("one write is pending");
        let mut seqs = Vec::new();
        for _ in facts {
            let last = seqs.last().copied();
            let next = last.unwrap_or_else(|| self.registry.applied()).next();
            seqs.push(next.expect("a short log"));
        }
        let verdicts = self.writer.apply(&mut self.registry, &seqs).into_iter();
        let mut own = verdicts.filter(|(of, _)| *of == ticket);
        own.next().expect("its facts are applied").1
    }
}

fn verified(records: Vec<UnverifiedRecord>) -> Result<Vec<Record>, Refusal> {
    let verified = records.into_iter().map(UnverifiedRecord::verify);
    Ok(verified.collect::<Result<_, _>>()?)
}
