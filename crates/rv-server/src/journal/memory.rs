//! A journal that forgets everything when it is dropped.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use rv_proto::{Epoch, Fact, Seq};

use super::{AppendError, Batch, Journal, JournalEvent, OpenError, Recovered};

/// Numbers facts and keeps none of them: for tests, and for points that need not survive a
/// restart. Each start needs an epoch of its own, since it numbers from the beginning again.
#[derive(Debug)]
pub struct MemoryJournal {
    epoch: Epoch,
    head: Seq,
    events: VecDeque<JournalEvent>,
    waker: Option<Waker>,
}

impl MemoryJournal {
    /// An empty log.
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            head: Seq::ZERO,
            events: VecDeque::new(),
            waker: None,
        }
    }

    fn append(&mut self, facts: usize) -> Result<Vec<Seq>, AppendError> {
        let seqs = super::number(self.head, facts)?;
        if let Some(last) = seqs.last() {
            self.head = *last;
        }
        Ok(seqs)
    }
}

impl Journal for MemoryJournal {
    fn replay(&mut self, _each: &mut dyn FnMut(Seq, Fact)) -> Result<Recovered, OpenError> {
        Ok(Recovered {
            epoch: self.epoch,
            head: self.head,
        })
    }

    fn submit(&mut self, batch: Batch) {
        let event = if !self.events.is_empty() {
            JournalEvent::Failed {
                batch: batch.id,
                error: AppendError::Busy,
            }
        } else {
            match self.append(batch.facts.len()) {
                Ok(seqs) => JournalEvent::Appended {
                    batch: batch.id,
                    seqs,
                },
                Err(error) => JournalEvent::Failed {
                    batch: batch.id,
                    error,
                },
            }
        };
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<JournalEvent> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
