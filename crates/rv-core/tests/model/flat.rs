//! A point as simple as can be: the model behind the interface of a point, whole or with a fault.

use libp2p_identity::PeerId;
use rv_core::{Operation, Query, Reader, Refusal, Verdict};
use rv_proto::{
    Cookie, CookieError, Dialect, DialectSet, DiscoverResponse, Entry, Epoch, Fact, Response, Seq,
    Status, Time, encode_frame,
};

use crate::harness::Setup;
use crate::model::{Fault, Held, Model, Write};
use crate::point::{Answer, Point, WriteNumber};
use crate::walk::is_restarting;

/// The dialects of a page, and the one that its cookie names.
type Decision = (DialectSet, Option<Dialect>);

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

    /// A log of its own for each listing whose cookies do not name the dialect.
    fn epoch(&self, accepts: DialectSet, dialects: DialectSet, named: Option<Dialect>) -> Epoch {
        let salt = match (accepts.is_empty(), named) {
            (false, _) => 100 + u32::from(accepts.to_bits()),
            (true, Some(_)) => 0,
            (true, None) => u32::from(dialects.to_bits()),
        };
        Epoch::from_bits(self.epoch.get() + 256 * salt)
    }

    /// The dialects, and what the cookie says of it.
    fn decide(&self, reader: &Reader, remembered: Option<Dialect>) -> Decision {
        if !reader.accepts.is_empty() {
            return (reader.accepts, None);
        }
        let registered = self.model.dialect_of(reader.peer);
        let closed = reader.has_closed.then_some(Dialect::Legacy);
        let record = reader.record;
        let legacy = record.filter(|it| *it == Dialect::Legacy);
        let told = legacy.or(reader.agent).or(record);
        let guess = reader.shape.unwrap_or(reader.dialect_default);
        let known = match self.model.fault {
            Some(Fault::CookieBeforeIdentify) => closed.or(remembered).or(told),
            _ => closed.or(told).or(remembered),
        };
        let dialect = registered.or(known).unwrap_or(guess);
        let is_seen = registered.is_none() && closed.is_some();
        let is_guess = is_seen || registered.or(known).is_none();
        let named = !is_guess || self.has(Fault::GuessRemembered);
        (dialect.into(), named.then_some(dialect))
    }

    /// The dialects, what the cookie says of it, and where the listing goes on.
    fn read(&self, query: &Query) -> Result<(DialectSet, Option<Dialect>, u64), Refusal> {
        let reader = &query.reader;
        let (dialects, named) = self.decide(reader, None);
        let anew = (dialects, named, 0);
        let Some(bytes) = query.cookie.as_ref().filter(|bytes| !bytes.is_empty()) else {
            return Ok(anew);
        };
        let cookie = Cookie::decode(bytes).map_err(|error: CookieError| Refusal::Cookie(error))?;
        let salt = cookie.epoch.get().wrapping_sub(self.epoch.get());
        if !salt.is_multiple_of(256) || salt > 256 * 107 || cookie.seq > self.model.applied {
            return Ok(anew);
        }
        if cookie.namespace != query.scope.namespace_bytes() {
            return Err(Refusal::CookieScope);
        }
        let (dialects, named) = self.decide(reader, cookie.dialect);
        // A cookie that names a dialect is as good as a guess that was right.
        let unnamed = self.epoch(reader.accepts, dialects, None);
        let is_right = match cookie.dialect {
            Some(dialect) => reader.accepts.is_empty() && dialects == dialect.into(),
            None => cookie.epoch == unnamed,
        };
        let keeps = is_right || self.has(Fault::ChangedDialectGoesOn);
        Ok((dialects, named, if keeps { cookie.seq.get() } else { 0 }))
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
        let says = !query.reader.accepts.is_empty() || self.has(Fault::AllMarked);
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

    fn frame(
        &self,
        (dialects, named): Decision,
        (at, is_last): (u64, bool),
        query: &Query,
        page: Vec<Entry>,
    ) -> Vec<u8> {
        let seq = Seq::new(at).expect("a short log");
        let cookie = Cookie {
            dialect: named,
            epoch: self.epoch(query.reader.accepts, dialects, named),
            seq,
            scope: query.scope.clone(),
        };
        let restarts = is_restarting(&query.reader, dialects) && !self.has(Fault::LastCookieShown);
        let cookie = if is_last && restarts {
            Vec::new()
        } else {
            cookie.encode()
        };
        let response = DiscoverResponse {
            entries: page,
            cookie: Some(cookie.into()),
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
        let (dialects, named, after) = self.read(query)?;
        let decided = (dialects, named);
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
            let bytes = self.frame(decided, (at, false), query, longer.clone());
            let bytes = bytes.len();
            let full = longer.len() > query.entries_max || bytes > query.page_bytes_max;
            if full && !page.is_empty() {
                let at = end(&page, false);
                return Ok(self.frame(decided, (at, false), query, page));
            }
            page = longer;
        }
        let at = end(&page, true);
        Ok(self.frame(decided, (at, true), query, page))
    }
}
