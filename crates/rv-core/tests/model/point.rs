//! What the harness asks of a system under test.

use libp2p_identity::PeerId;
use rv_core::{Operation, Query, Refusal, Verdict};
use rv_proto::{Fact, Seq, Time};

use crate::journal::Journal;
use crate::model::Model;

/// A write that waits, by the number of its submission.
pub(crate) type WriteNumber = usize;

/// What a submission gave at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done(Verdict),
    Pending(WriteNumber),
}

/// A rendezvous point without its shell: the real machines, or a plain one with a known fault.
pub(crate) trait Point {
    fn submit(&mut self, now: Time, peer: PeerId, operation: Operation) -> Answer;
    fn next_batch(&mut self) -> Option<Vec<Fact>>;
    fn commit(&mut self, seqs: &[Seq]) -> Vec<(WriteNumber, Verdict)>;
    fn fail(&mut self) -> Vec<WriteNumber>;
    /// The writes in the batch, and those behind it.
    fn stall(&mut self) -> (Vec<WriteNumber>, Vec<WriteNumber>);
    /// The sequence numbers of what was erased.
    fn erase(&mut self, now: Time, max: usize) -> Vec<Seq>;
    /// A fact comes out of the log unasked.
    fn deliver(&mut self, seq: Seq, fact: Fact);
    /// All is lost but what a journal kept.
    fn restart(&mut self, kept: Vec<(Seq, Fact)>, head: Seq);
    /// The answer's frame.
    fn discover(&self, now: Time, query: &Query) -> Result<Vec<u8>, Refusal>;
    /// What only this kind of point can be asked. Panics when something is wrong.
    fn check(&self, _now: Time, _model: &Model, _journal: &Journal) {}
}
