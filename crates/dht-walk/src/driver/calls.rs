//! Calls of the host's query that are under way.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

use crate::output::{Failure, LookupId, RequestId};
use crate::peer::Contact;
use crate::reseed::SeedSource;
use crate::target::Target;
use crate::walk::Found;

use super::error::{CallFailed, HostError};
use super::host::{Progress, Query};

/// What came back.
#[derive(Debug)]
pub(super) enum Returned {
    Answer(RequestId, Result<Vec<Contact>, Failure>),
    /// Nobody wants it any more.
    Dropped,
    Lookup(LookupId, Found, Option<HostError>),
    Seeds(SeedSource, Vec<Contact>),
}

/// The calls that are under way.
pub(super) struct Calls<Q> {
    query: Arc<Q>,
    open: FuturesUnordered<BoxFuture<'static, Returned>>,
    requests: BTreeMap<RequestId, AbortHandle>,
    lookups: BTreeMap<LookupId, (AbortHandle, Progress)>,
}

impl<Q: Query> Calls<Q> {
    pub(super) fn new(query: Arc<Q>) -> Self {
        Self {
            query,
            open: FuturesUnordered::new(),
            requests: BTreeMap::new(),
            lookups: BTreeMap::new(),
        }
    }

    pub(super) fn find_node(&mut self, id: RequestId, contact: Contact, target: Target) {
        let query = Arc::clone(&self.query);
        let call = guarded(async move { query.find_node(contact, target).await });
        let call = call.map(move |answer| {
            let answer = answer.unwrap_or(Err(Failure::Broken));
            Returned::Answer(id, answer)
        });
        let (call, handle) = droppable(call);
        self.requests.insert(id, handle);
        self.open.push(call);
    }

    pub(super) fn lookup(&mut self, id: LookupId, target: Target) {
        let (query, progress) = (Arc::clone(&self.query), Progress::default());
        let told = progress.clone();
        let call = guarded(async move { query.closest(target, told).await });
        let so_far = progress.clone();
        let call = call.map(move |found| {
            let error: HostError = match found {
                Ok(Ok(found)) => return Returned::Lookup(id, found, None),
                Ok(Err(error)) => Arc::new(error),
                Err(panicked) => Arc::new(panicked),
            };
            let partial = Found {
                error: Some(error.to_string()),
                ..so_far.partial()
            };
            Returned::Lookup(id, partial, Some(error))
        });
        let (call, handle) = droppable(call);
        self.lookups.insert(id, (handle, progress));
        self.open.push(call);
    }

    pub(super) fn seeds(&self, source: SeedSource) {
        let query = Arc::clone(&self.query);
        let call = guarded(async move { query.seeds(source).await });
        let call = call.map(move |seeds| Returned::Seeds(source, seeds.unwrap_or_default()));
        self.open.push(call.boxed());
    }

    /// The answer is of no use any more.
    pub(super) fn cancel(&mut self, id: RequestId) {
        if let Some(handle) = self.requests.remove(&id) {
            handle.abort();
        }
    }

    /// Ends a lookup with what it found until now.
    pub(super) fn cancel_lookup(&mut self, id: LookupId) -> Option<Returned> {
        let (handle, progress) = self.lookups.remove(&id)?;
        handle.abort();
        Some(Returned::Lookup(id, progress.partial(), None))
    }

    /// What came back next.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Returned> {
        loop {
            let Poll::Ready(Some(returned)) = self.open.poll_next_unpin(cx) else {
                return Poll::Pending;
            };
            match &returned {
                Returned::Answer(id, _) if self.requests.remove(id).is_none() => {}
                Returned::Lookup(id, ..) if self.lookups.remove(id).is_none() => {}
                Returned::Dropped => {}
                Returned::Answer(..) | Returned::Lookup(..) | Returned::Seeds(..) => {
                    return Poll::Ready(returned);
                }
            }
        }
    }
}

impl<Q> fmt::Debug for Calls<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls")
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

/// A panic of the host's code is a failure of that call.
pub(super) fn guarded<F: Future>(call: F) -> impl Future<Output = Result<F::Output, CallFailed>> {
    let call = AssertUnwindSafe(call).catch_unwind();
    call.map(|output| output.map_err(|_| CallFailed::Panicked))
}

fn droppable(
    call: impl Future<Output = Returned> + Send + 'static,
) -> (BoxFuture<'static, Returned>, AbortHandle) {
    let (handle, registration) = AbortHandle::new_pair();
    let call = Abortable::new(call, registration);
    let call = call.map(|returned| returned.unwrap_or(Returned::Dropped));
    (call.boxed(), handle)
}
