//! A point as simple as can be: the model behind the interface of a point, whole or with a fault.

use libp2p_identity::PeerId;
use rv_core::{Operation, Query, Refusal, Verdict};
use rv_proto::{
    Cookie, CookieError, Dialect, DialectSet, DiscoverResponse, Entry, Epoch, Fact, Response, Seq,
    Status, Time, encode_frame,
};

use crate::harness::Setup;
use crate::model::{Fault, Held, Model, Write};
use crate::point::{Answer, Point, WriteNumber};

/// The point.
#[derive(Debug)]
pub(crate) struct Flat {
    model: Model,
    epoch: Epoch,
    submitted: WriteNumber,
}

impl Flat {
    pub(crate) fn new(setup: &Setup, fault: Option<Fault>) -> Self {
        Self {
            model: Model::new(setup.limits.clone(), fault),
            epoch: Epoch::from_bits(5),
            submitted: 0,
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.model.has(fault)
    }

    /// A log of its own for each set of dialects that a reader says it accepts.
    fn epoch(&self, query: &Query) -> Epoch {
        if self.has(Fault::AcceptedCookieKept) {
            return self.epoch;
        }
        let accepts = u32::from(query.accepts.to_bits());
        Epoch::from_bits(self.epoch.get() + accepts)
    }

    /// The dialects, what the cookie says of it, and where the listing goes on.
    fn read(&self, query: &Query) -> Result<(DialectSet, Option<Dialect>, u64), Refusal> {
        let says = !query.accepts.is_empty();
        let registered = self.model.dialect_of(query.reader).filter(|_| !says);
        let dialects = |decided: Option<Dialect>| {
            let one = decided.unwrap_or(query.dialect_default);
            if says { query.accepts } else { one.into() }
        };
        let anew = (dialects(registered), registered, 0);
        let Some(bytes) = query.cookie.as_ref().filter(|bytes| !bytes.is_empty()) else {
            return Ok(anew);
        };
        let cookie = Cookie::decode(bytes).map_err(|error: CookieError| Refusal::Cookie(error))?;
        if cookie.epoch != self.epoch(query) || cookie.seq > self.model.applied {
            return Ok(anew);
        }
        if cookie.namespace != query.scope.namespace_bytes() {
            return Err(Refusal::CookieScope);
        }
        let decided = registered.or(cookie.dialect.filter(|_| !says));
        let after = if decided == cookie.dialect {
            cookie.seq.get()
        } else {
            0
        };
        Ok((dialects(decided), decided, after))
    }

    /// The forms in which a reader is shown a registration: one at the most, but for a fault.
    fn forms(&self, held: &Held, dialects: DialectSet) -> Vec<(Dialect, Vec<u8>)> {
        let sample = held.sample();
        let best = sample.best_form(dialects);
        let other = || sample.best_form(DialectSet::ALL);
        let plain = || Some((Dialect::Plain, sample.form(Dialect::Plain)?));
        let shown = match self.model.fault {
            Some(Fault::DialectsMixed) => best.or_else(other),
            Some(Fault::PlainPreferred) if dialects.contains(Dialect::Plain) => plain().or(best),
            _ => best,
        };
        let again = plain().filter(|second| {
            self.has(Fault::EachFormShown)
                && dialects.contains(Dialect::Plain)
                && shown != Some(*second)
        });
        let forms = shown.into_iter().chain(again);
        forms
            .map(|(dialect, form)| (dialect, form.to_vec()))
            .collect()
    }

    fn mark(&self, query: &Query, dialect: Dialect) -> Option<bool> {
        let says = !query.accepts.is_empty() || self.has(Fault::AllMarked);
        says.then_some(dialect != Dialect::Plain || self.has(Fault::PlainMarkedVerified))
    }

    /// What is listed in those dialects, with what the reader is shown.
    fn listing(&self, now: Time, query: &Query, dialects: DialectSet) -> Vec<(Seq, Entry)> {
        let mut held: Vec<_> = self
            .model
            .held
            .iter()
            .filter(|held| held.is_in(&query.scope))
            .collect();
        held.sort_by_key(|held| held.seq);
        let shown = held
            .into_iter()
            .filter(|it| it.is_live(now) || self.has(Fault::ExpiredShown));
        shown
            .flat_map(|held| {
                let left_secs = if self.has(Fault::TtlGrows) {
                    held.registered
                        .expires_at
                        .saturating_since(now)
                        .as_millis()
                        .div_ceil(1_000)
                } else {
                    u128::from(held.ttl_left_secs(now))
                };
                let entry = move |(dialect, form): (Dialect, Vec<u8>)| Entry {
                    namespace: Some(held.registered.namespace.as_str().to_owned().into()),
                    record: Some(form.into()),
                    ttl_secs: Some(u64::try_from(left_secs).expect("small").max(1)),
                    verified: self.mark(query, dialect),
                };
                let forms = self.forms(held, dialects).into_iter();
                forms.map(move |form| (held.seq, entry(form)))
            })
            .collect()
    }

    fn frame(&self, decided: Option<Dialect>, at: u64, query: &Query, page: Vec<Entry>) -> Vec<u8> {
        let seq = Seq::new(at).expect("a short log");
        let cookie = Cookie {
            dialect: decided,
            epoch: self.epoch(query),
            seq,
            scope: query.scope.clone(),
        };
        let response = DiscoverResponse {
            entries: page,
            cookie: Some(cookie.encode().into()),
            status: Status::OK,
            status_text: String::new(),
        };
        encode_frame(&Response::Discover(response).encode())
    }
}

impl Point for Flat {
    fn submit(&mut self, now: Time, peer: PeerId, operation: Operation) -> Answer {
        if let Some(reason) = self.model.reasons(now, peer, &operation).into_iter().next() {
            return Answer::Done(Verdict::Refused(reason));
        }
        let (facts, verdict) = self.model.facts(now, peer, &operation);
        if facts.is_empty() {
            return Answer::Done(verdict);
        }
        let number = self.submitted;
        self.submitted += 1;
        self.model.in_flight.push_back(Write {
            number,
            facts: facts.into(),
            verdict,
        });
        Answer::Pending(number)
    }

    fn next_batch(&mut self) -> Option<Vec<Fact>> {
        let (writes, facts) = self.model.next_batch()?;
        self.model.appending = Some(writes);
        Some(facts)
    }

    fn commit(&mut self, seqs: &[Seq]) -> Vec<(WriteNumber, Verdict)> {
        self.model.commit(seqs)
    }

    fn fail(&mut self) -> Vec<WriteNumber> {
        self.model.fail()
    }

    fn stall(&mut self) -> (Vec<WriteNumber>, Vec<WriteNumber>) {
        self.model.stall()
    }

    fn erase(&mut self, now: Time, max: usize) -> Vec<Seq> {
        let due = self
            .model
            .held
            .iter()
            .filter(|it| !it.is_live(now) && !self.model.is_in_flight(it));
        let erased: Vec<_> = due.map(|held| held.seq).take(max).collect();
        self.model.held.retain(|held| !erased.contains(&held.seq));
        erased
    }

    fn deliver(&mut self, seq: Seq, fact: Fact) {
        self.model.apply(seq, fact);
    }

    fn restart(&mut self, kept: Vec<(Seq, Fact)>, head: Seq) {
        self.model.restart(kept, head);
    }

    fn discover(&self, now: Time, query: &Query) -> Result<Vec<u8>, Refusal> {
        let (dialects, decided, after) = self.read(query)?;
        let listing = self.listing(now, query, dialects);
        let counts = self.has(Fault::OffsetCookie);
        let start = if counts {
            usize::try_from(after).map_or(listing.len(), |count| count.min(listing.len()))
        } else {
            listing
                .iter()
                .take_while(|(seq, _)| seq.get() <= after)
                .count()
        };
        let mut page: Vec<Entry> = Vec::new();
        let end = |page: &[Entry], complete: bool| match (counts, complete) {
            (true, _) => (start + page.len()) as u64,
            (false, true) => self.model.applied.get(),
            (false, false) if self.has(Fault::PageSkipsRest) => self.model.applied.get(),
            (false, false) => listing[start + page.len() - 1].0.get(),
        };
        for (_, entry) in &listing[start..] {
            let longer = [page.clone(), vec![entry.clone()]].concat();
            let at = end(&page, true);
            let bytes = self.frame(decided, at, query, longer.clone()).len();
            let full = longer.len() > query.entries_max || bytes > query.page_bytes_max;
            if full && !page.is_empty() {
                let at = end(&page, false);
                return Ok(self.frame(decided, at, query, page));
            }
            page = longer;
        }
        let at = end(&page, true);
        Ok(self.frame(decided, at, query, page))
    }
}
