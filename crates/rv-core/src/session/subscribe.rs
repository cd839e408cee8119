//! DISCOVER_SUBSCRIBE: which type of subscription, and from where on.

use bytes::Bytes;
use libp2p_identity::PeerId;
use rv_proto::{
    DiscoverRequest, INMEM_TYPE, Namespace, Request, Response, Scope, SubscribeRequest,
    SubscribeResponse, UPDATES_TYPE, encode_frame, inmem_details,
};

use super::{Output, Report, Session, StreamId, request};
use crate::Refusal;

/// The namespace that a request on a stream of go's type `inmem` subscribes to; `None` if it is no
/// such request.
pub fn read_inmem_request(payload: Bytes) -> Option<Namespace> {
    match Request::decode(payload) {
        Ok(Request::Subscribe(request)) => {
            Namespace::from_bytes(request.namespace.as_deref().unwrap_or_default()).ok()
        }
        Ok(Request::Register(_) | Request::Unregister(_) | Request::Discover(_)) | Err(_) => None,
    }
}

impl Session {
    /// Offers subscriptions of go's type `inmem`, whose records come from `local`: the point
    /// itself, on a stream of its own.
    #[must_use]
    pub fn with_inmem(self, local: PeerId) -> Self {
        Self {
            inmem: Some(local),
            ..self
        }
    }

    pub(super) fn subscribe(&mut self, stream: StreamId, request: SubscribeRequest) {
        if request.accepts.is_empty() {
            self.known.subscribes();
        }
        let offers = |name| request.supported_types.iter().any(|it| it == name);
        let (updates, inmem) = (offers(UPDATES_TYPE), offers(INMEM_TYPE));
        if updates && !request.accepts.is_empty() {
            self.subscribe_to_updates(stream, request);
        } else if inmem && self.inmem.is_some() {
            self.subscribe_inmem(stream, &request);
        } else {
            self.refuse_subscribe(stream, Refusal::SubscriptionType);
        }
    }

    fn subscribe_to_updates(&mut self, stream: StreamId, request: SubscribeRequest) {
        let discover = DiscoverRequest {
            namespace: request.namespace,
            limit: None,
            cookie: request.cookie,
            accepts: request.accepts,
        };
        let reader = self.known.reader(self.peer, discover.accepts, &self.rules);
        match request::read_discover(discover, reader, &self.rules) {
            Ok(query) => self.outputs.push_back(Output::Subscribe { stream, query }),
            Err(refusal) => self.refuse_subscribe(stream, refusal),
        }
    }

    fn subscribe_inmem(&mut self, stream: StreamId, request: &SubscribeRequest) {
        let namespace = request.namespace.as_deref().unwrap_or_default();
        match Namespace::from_bytes(namespace) {
            Ok(namespace) => self
                .outputs
                .push_back(Output::SubscribeInmem { stream, namespace }),
            Err(error) => self.refuse_subscribe(stream, error.into()),
        }
    }

    /// Takes the answer to [`Output::SubscribeInmem`]: whether there is room. The place is taken
    /// when the peer asks for it on the stream of its type.
    pub fn handle_inmem_room(&mut self, stream: StreamId, room: Result<Namespace, Refusal>) {
        let room = match self.inmem {
            Some(local) => room.map(|namespace| (local, namespace)),
            None => Err(Refusal::SubscriptionType),
        };
        match room {
            Ok((local, namespace)) => {
                let details = inmem_details(&local, namespace.as_str());
                let response = SubscribeResponse {
                    subscription_type: Some(Bytes::from_static(INMEM_TYPE.as_bytes())),
                    subscription_details: Some(details.into()),
                    ..SubscribeResponse::default()
                };
                self.respond(stream, Response::Subscribe(response));
            }
            Err(refusal) => self.refuse_subscribe(stream, refusal),
        }
    }

    /// Takes the answer to [`Output::Subscribe`]: whether the subscription is begun. If it is, the
    /// stream is no matter of this session any more.
    pub fn handle_subscription(&mut self, stream: StreamId, begun: Result<Scope, Refusal>) {
        match begun {
            Ok(scope) => {
                let response = Response::Subscribe(SubscribeResponse {
                    subscription_type: Some(Bytes::from_static(UPDATES_TYPE.as_bytes())),
                    heartbeat_secs: Some(self.rules.heartbeat.as_secs()),
                    ..SubscribeResponse::default()
                });
                self.outputs
                    .push_back(Output::Report(Report::Subscribed { scope }));
                let frame = encode_frame(&response.encode()).into();
                self.outputs.push_back(Output::Push { stream, frame });
            }
            Err(refusal) => self.refuse_subscribe(stream, refusal),
        }
    }

    fn refuse_subscribe(&mut self, stream: StreamId, refusal: Refusal) {
        let response = SubscribeResponse::refused(refusal.status(), refusal.to_string());
        self.outputs
            .push_back(Output::Report(Report::SubscribeRefused { refusal }));
        self.respond(stream, Response::Subscribe(response));
    }
}
