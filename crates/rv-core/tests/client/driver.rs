//! One client in the hands of a test.

use libp2p_identity::PeerId;
use rv_core::client::{
    Client, ClientConfig, Event, Failure, OperationId, Output, RegisterOptions, RequestId, Target,
    Wanted,
};
use rv_proto::{Namespace, Response, Time, Ttl};

use crate::samples::{address, chat, local, point, secs};

pub(crate) struct Driver {
    pub(crate) client: Client,
    pub(crate) now: Time,
}

/// A request as it came out.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) id: RequestId,
    pub(crate) point: PeerId,
    pub(crate) request: Wanted,
}

impl Driver {
    /// A client with an address and that many points, at second 1,000.
    pub(crate) fn new(points: u8) -> Self {
        Self::with(ClientConfig::default(), points)
    }

    pub(crate) fn with(config: ClientConfig, points: u8) -> Self {
        let mut client = Client::new(config, local(), 7).expect("valid");
        let now = secs(1_000);
        client.set_addresses(now, [address(4_001)]);
        for number in 1..=points {
            client.add_point(now, point(number)).expect("room");
        }
        Self { client, now }
    }

    pub(crate) fn register(&mut self, target: Target) -> OperationId {
        self.register_for(target, &chat(), None)
    }

    pub(crate) fn register_for(
        &mut self,
        target: Target,
        namespace: &Namespace,
        ttl_secs: Option<u64>,
    ) -> OperationId {
        let options = RegisterOptions {
            ttl: ttl_secs.map(|secs| Ttl::from_secs(secs).expect("a ttl")),
            wait_for_address: false,
        };
        let (now, namespace) = (self.now, namespace.clone());
        let registered = self.client.register(now, target, namespace, options);
        registered.expect("registers")
    }

    pub(crate) fn unregister(&mut self, target: Target) -> OperationId {
        let left = self.client.unregister(self.now, target, &chat());
        left.expect("unregisters")
    }

    pub(crate) fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.client.poll_output()).collect()
    }

    /// The requests that come out; other outputs are dropped.
    pub(crate) fn requests(&mut self) -> Vec<Sent> {
        let outputs = self.outputs().into_iter();
        outputs
            .filter_map(|output| match output {
                Output::Request { id, point, request } => Some(Sent { id, point, request }),
                Output::Cancel { .. } | Output::Event(_) => None,
            })
            .collect()
    }

    /// The only request that comes out.
    pub(crate) fn request(&mut self) -> Sent {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    /// The events that come out, and nothing else.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        let outputs = self.outputs().into_iter();
        outputs
            .map(|output| match output {
                Output::Event(event) => event,
                Output::Cancel { .. } | Output::Request { .. } => panic!("{output:?}"),
            })
            .collect()
    }

    pub(crate) fn answer(&mut self, id: RequestId, response: Response) {
        self.client.handle_response(self.now, id, response);
    }

    pub(crate) fn fail(&mut self, id: RequestId, failure: Failure) {
        self.client.handle_failure(self.now, id, failure);
    }

    /// Lets time pass up to the next timer, does what is due then, and returns how many seconds
    /// that were, rounded up.
    pub(crate) fn sleep(&mut self) -> u64 {
        let (at, _) = self.client.poll_timeout().expect("a timer");
        let slept = at.saturating_since(self.now);
        self.now = self.now.max(at);
        self.client.handle_timeout(self.now);
        slept.as_secs() + u64::from(slept.subsec_nanos() > 0)
    }

    /// Sleeps until requests come out. Other outputs are dropped.
    pub(crate) fn sleep_until_requests(&mut self) -> Vec<Sent> {
        for _ in 0..1_000 {
            let requests = self.requests();
            if !requests.is_empty() {
                return requests;
            }
            self.sleep();
        }
        panic!("no request comes");
    }

    pub(crate) fn sleep_until_request(&mut self) -> Sent {
        let mut requests = self.sleep_until_requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    pub(crate) fn pass_secs(&mut self, secs: u64) {
        self.now = Time::from_millis(self.now.as_millis() + secs * 1_000);
    }
}
