//! The bounds of a desk, and what its lookups tell, without any swarm.

use futures::channel::oneshot;
use futures::task::noop_waker_ref;

use super::*;
use crate::rng::Seed;
use crate::target::Targets;

type Answered = oneshot::Receiver<Result<Vec<Contact>, Failure>>;
type Sought = oneshot::Receiver<Result<Found, HandleError>>;

const NOW: Time = Time::from_millis(0);

struct Stage {
    desk: Desk,
    random: Targets,
}

impl Stage {
    fn new(handles: HandleConfig) -> Self {
        let mut random = Targets::new(Seed::from_bytes([3; 32]));
        let mut config = Config {
            handles,
            ..Config::default()
        };
        config.walk.addresses = AddressPolicy::Any;
        let desk = Desk::new(random.uniform().as_peer().clone(), &config);
        Self { desk, random }
    }

    fn contact(&mut self) -> Contact {
        let address = "/memory/1".parse().expect("an address");
        Contact::new(self.random.uniform().as_peer().clone(), [address])
    }

    fn ask(&mut self, contact: &Contact) -> Answered {
        let (reply, answered) = oneshot::channel();
        let target = self.random.uniform();
        self.desk.ask(NOW, contact.clone(), target, reply);
        answered
    }

    fn look_up(&mut self, known: Vec<Contact>) -> Sought {
        let (reply, found) = oneshot::channel();
        let planned = Planned {
            target: self.random.uniform(),
            known,
            progress: Progress::default(),
            reply,
        };
        self.desk.look_up(NOW, planned);
        found
    }

    fn poll_dropped(&mut self) -> Poll<()> {
        let mut cx = Context::from_waker(noop_waker_ref());
        self.desk.poll_dropped(&mut cx, NOW)
    }

    /// Whom to ask, and by which request.
    fn asked(&mut self) -> Vec<(RequestId, Peer)> {
        let outputs = std::iter::from_fn(|| self.desk.poll_output());
        let asked = outputs.filter_map(|output| match output {
            Output::Ask(id, contact, _) => Some((id, contact.peer)),
            Output::Cancel(_) => None,
        });
        asked.collect()
    }
}

fn bounds() -> HandleConfig {
    HandleConfig::default()
}

#[test]
fn no_more_are_asked_at_a_time_than_may_be_and_no_peer_more_often() {
    let mut stage = Stage::new(HandleConfig {
        in_flight_max: 3,
        per_peer_max: 2,
        ..bounds()
    });
    let (one, other) = (stage.contact(), stage.contact());
    let _waiting: Vec<_> = [&one, &one, &one, &other, &other]
        .into_iter()
        .map(|contact| stage.ask(contact))
        .collect();
    let asked = stage.asked();
    let whom: Vec<&Peer> = asked.iter().map(|(_, peer)| peer).collect();
    assert_eq!(whom, [&one.peer, &one.peer, &other.peer]);
    assert!(asked.iter().all(|(id, _)| Desk::is_of_handle(*id)));

    stage.desk.handle_answer(NOW, asked[2].0, Vec::new());
    let next = stage.asked();
    assert_eq!(next[0].1, other.peer, "the third of the first has to wait");
    stage.desk.handle_failure(NOW, asked[0].0, Failure::Broken);
    assert_eq!(stage.asked()[0].1, one.peer);
}

#[test]
fn what_waits_is_bounded_and_who_is_dropped_waits_no_more() {
    let mut stage = Stage::new(HandleConfig {
        in_flight_max: 1,
        waiting_max: 2,
        ..bounds()
    });
    let contact = stage.contact();
    let first = stage.ask(&contact);
    assert!(stage.desk.has_room());
    let second = stage.look_up(vec![contact.clone()]);
    assert!(stage.desk.has_room(), "its request is one that waits");
    let third = stage.ask(&contact);
    assert!(!stage.desk.has_room());
    assert!(stage.poll_dropped().is_pending());
    drop(second);
    assert!(stage.poll_dropped().is_ready());
    assert!(stage.desk.has_room());
    let asked = stage.asked();
    assert_eq!(asked.len(), 1);
    // Its future is gone before anybody looked, so nothing is sent for it.
    drop(third);
    stage.desk.handle_answer(NOW, asked[0].0, Vec::new());
    assert!(stage.desk.poll_output().is_none());
    drop(first);
    let fourth = stage.ask(&contact);
    assert_eq!(stage.asked().len(), 1);
    drop(fourth);
    assert!(stage.poll_dropped().is_ready());
    assert!(matches!(stage.desk.poll_output(), Some(Output::Cancel(_))));
    assert_eq!(stage.desk.poll_timeout(), None);
}

#[test]
fn a_request_is_late_when_its_own_time_is_up_and_not_that_of_the_one_before() {
    let mut stage = Stage::new(HandleConfig {
        in_flight_max: 1,
        ..bounds()
    });
    let contact = stage.contact();
    let mut first = stage.ask(&contact);
    let _second = stage.ask(&contact);
    let five = Time::from_millis(5_000);
    assert_eq!(stage.desk.poll_timeout(), Some(five));
    assert_eq!(stage.desk.late(Time::from_millis(4_999)), None);
    let late = stage.desk.late(five).expect("five seconds are over");
    stage.desk.handle_failure(five, late, Failure::TimedOut);
    assert_eq!(first.try_recv(), Ok(Some(Err(Failure::TimedOut))));
    assert_eq!(stage.desk.late(five), None, "it was sent just now");
    assert_eq!(stage.desk.poll_timeout(), Some(Time::from_millis(10_000)));
}

#[test]
fn a_lookup_tells_who_answered_and_who_was_heard_of_and_others_wait_for_it() {
    let mut stage = Stage::new(HandleConfig {
        lookups_max: 1,
        ..bounds()
    });
    let (one, other) = (stage.contact(), stage.contact());
    let mut found = stage.look_up(vec![one.clone()]);
    let mut nobody = stage.look_up(Vec::new());
    let asked = stage.asked();
    let ourselves = Contact::new(stage.desk.local.clone(), ["/memory/2".parse().expect("it")]);
    let homeless = Contact::new(stage.contact().peer, []);
    let told = vec![other.clone(), ourselves, homeless];
    stage.desk.handle_answer(NOW, asked[0].0, told);
    assert_eq!(nobody.try_recv(), Ok(None), "it is not its turn");
    let asked = stage.asked();
    assert_eq!(asked.len(), 1, "who cannot be used is not asked");
    let failure = Failure::NotServing;
    stage.desk.handle_failure(NOW, asked[0].0, failure);
    let found = found.try_recv().expect("it ended").expect("it is told");
    let wanted = Found {
        closest: vec![one],
        heard: vec![other],
        requests: Some(2),
        failures: 1,
        is_complete: true,
        error: None,
    };
    assert_eq!(found, Ok(wanted));
    assert_eq!(nobody.try_recv(), Ok(Some(Err(HandleError::NobodyToAsk))));
    assert_eq!(stage.desk.poll_timeout(), None);
}

#[test]
fn a_lookup_without_answers_ends_in_time_and_says_so() {
    let mut stage = Stage::new(bounds());
    let silent = stage.contact();
    let mut found = stage.look_up(vec![silent]);
    let asked = stage.asked();
    let half_a_minute = Time::from_millis(30_000);
    stage.desk.handle_timeout(Time::from_millis(29_999));
    assert_eq!(found.try_recv(), Ok(None));
    stage.desk.handle_timeout(half_a_minute);
    let found = found.try_recv().expect("it ended").expect("it is told");
    let found = found.expect("there was somebody to ask");
    assert_eq!((found.requests, found.is_complete), (Some(1), false));
    assert_eq!(found.error.as_deref(), Some("none of 1 peers answered"));
    let recalled = stage.desk.poll_output();
    assert!(matches!(recalled, Some(Output::Cancel(id)) if id == asked[0].0));
}
