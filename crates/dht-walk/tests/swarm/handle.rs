//! The driver's traits over a running swarm.

use std::time::Duration;

use dht_walk::driver::{Progress, RandomWalk, RefreshOptions, RtRefreshManager};
use dht_walk::swarm::{Behaviour, Config, Handle, HandleError, prepare};
use dht_walk::{AddressPolicy, Contact, Failure, Peer, Query as _, RoundEnd, RoutingTable as _};
use dht_walk::{RandomWalkError, SeedSource, Target};
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Multiaddr, PeerId, Swarm, kad};

use super::stage::{
    App, DHT, Node, Ours, Stock, by_hand, network, ours, ours_knowing, peers, within,
};

/// No request ends by itself within a test.
const NEVER: Duration = Duration::from_secs(3_600);

fn patient() -> Config {
    let mut config = by_hand();
    config.walk.lookup.request_timeout = NEVER;
    config.walk.lookup.deadline = NEVER;
    config
}

/// Long enough for whoever answers, on a loaded machine.
fn brief() -> Config {
    let mut config = by_hand();
    config.walk.lookup.request_timeout = Duration::from_secs(3);
    config
}

async fn handle(node: &Node<Ours>) -> Handle {
    node.with(|swarm| swarm.behaviour().walk.handle()).await
}

fn contact(node: &Node<Stock>) -> Contact {
    Contact::new(Peer::new(node.peer), [node.address.clone()])
}

fn itself(node: &Node<Ours>) -> Target {
    Target::peer(Peer::new(node.peer))
}

fn ids(contacts: &[Contact]) -> Vec<PeerId> {
    let mut ids: Vec<PeerId> = contacts.iter().map(|it| it.peer.id()).collect();
    ids.sort();
    ids
}

async fn ask(handle: &Handle, contact: Contact, target: Target) -> Result<Vec<Contact>, Failure> {
    within("answer", handle.find_node(contact, target)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_asked_tells_and_who_cannot_says_why() {
    let nodes = network(4).await;
    nodes[1]
        .with(|swarm| swarm.behaviour_mut().kad.set_mode(Some(kad::Mode::Client)))
        .await;
    let ours = ours(brief()).await;
    let (handle, target) = (handle(&ours).await, itself(&ours));
    assert_eq!(handle.local(), ours.peer);

    // Dialled for this one question.
    let told = ask(&handle, contact(&nodes[0]), target.clone()).await;
    let mut others = peers(&nodes[1..]);
    assert_eq!(told.map(|told| ids(&told)), Ok(std::mem::take(&mut others)));

    let of_client = ask(&handle, contact(&nodes[1]), target.clone()).await;
    assert_eq!(of_client, Err(Failure::NotServing));

    let nowhere: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
    let nobody = Contact::new(Peer::new(PeerId::random()), [nowhere]);
    let of_nobody = ask(&handle, nobody, target.clone()).await;
    assert_eq!(of_nobody, Err(Failure::Unreachable));
    let homeless = Contact::new(Peer::new(PeerId::random()), []);
    let of_homeless = ask(&handle, homeless, target.clone()).await;
    assert_eq!(of_homeless, Err(Failure::Unreachable));
    let of_ourselves = Contact::new(Peer::new(ours.peer), [ours.address.clone()]);
    let of_ourselves = ask(&handle, of_ourselves, target.clone()).await;
    assert_eq!(of_ourselves, Err(Failure::Unreachable));

    nodes[0].freeze().await;
    let of_frozen = ask(&handle, contact(&nodes[0]), target.clone()).await;
    assert_eq!(
        of_frozen,
        Err(Failure::TimedOut),
        "it is connected, and silent"
    );
    // It takes the connection of its system's doing, and says nothing on it.
    nodes[2].freeze().await;
    let of_frozen = ask(&handle, contact(&nodes[2]), target).await;
    assert_eq!(of_frozen, Err(Failure::Unreachable));

    let spent = ours
        .with(|swarm| {
            let walk = &swarm.behaviour().walk;
            (walk.spent_by_handles(), walk.walk().spent().messages)
        })
        .await;
    assert_eq!(
        (spent.0.messages, spent.1),
        (7, 0),
        "its own budget pays nothing"
    );
    assert!(spent.0.dials >= 5, "{spent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_walk_over_a_handle_hears_of_the_whole_swarm() {
    let nodes = network(12).await;
    let ours = ours(by_hand()).await;
    let handle = handle(&ours).await;
    let config = dht_walk::Config {
        addresses: AddressPolicy::Any,
        ..dht_walk::Config::default()
    };
    let walk = RandomWalk::new(ours.peer, handle.clone(), config).expect("bounds make sense");
    let nobody = within("end of a walk", walk.perform_random_walk()).await;
    let error = nobody.expect_err("it knows nobody");
    assert!(matches!(&error, RandomWalkError::Query(_)), "{error:?}");
    let why = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(why, Some(HandleError::NobodyToAsk.to_string()));

    // Whoever is named to fall back on is enough to begin with.
    let first = (nodes[0].peer, vec![nodes[0].address.clone()]);
    ours.with(move |swarm| swarm.behaviour_mut().walk.set_bootstrap([first]))
        .await;
    let seeds = within("seeds", handle.seeds(SeedSource::Bootstrap)).await;
    assert_eq!(ids(&seeds), [nodes[0].peer]);
    let found = within("end of a walk", walk.run_concurrent_random_walks(3, 0)).await;
    assert_eq!(ids(&found.expect("they are there")), peers(&nodes));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_walk_heard_counts_though_a_hung_peer_keeps_it_from_its_end() {
    let nodes = network(6).await;
    let ours = ours_knowing(patient(), &nodes[..3], |_| ()).await;
    let handle = handle(&ours).await;
    hang(&handle, &nodes[4]).await;
    let mut config = dht_walk::Config {
        addresses: AddressPolicy::Any,
        ..dht_walk::Config::default()
    };
    config.lookup.deadline = Duration::from_secs(5);
    let walk = RandomWalk::new(ours.peer, handle, config).expect("bounds make sense");
    let found = within("end of a walk", walk.perform_random_walk()).await;
    assert_eq!(ids(&found.expect("they are there")), peers(&nodes));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_over_a_handle_fills_the_table_of_the_kad_and_evicts_from_it() {
    let mut nodes = network(12).await;
    let ours = ours(by_hand()).await;
    let handle = handle(&ours).await;
    let mut bounds = super::stage::brisk(Duration::from_secs(1)).walk;
    bounds.lookup.request_timeout = Duration::from_secs(3);
    let options = RefreshOptions {
        walk: bounds,
        ..RefreshOptions::default()
    };
    let manager = RtRefreshManager::new(ours.peer, handle.clone(), handle.clone(), options)
        .expect("bounds make sense");
    manager
        .set_bootstrap(vec![contact(&nodes[0])])
        .expect("it can be used");
    let work = tokio::spawn(manager.start());
    let report = within("refresh", manager.refresh(true)).await;
    assert_eq!(report.expect("they answer").end, RoundEnd::Done);
    let all = peers(&nodes);
    until_tables(&ours, all.clone()).await;
    assert_eq!((ids(&handle.contacts()), handle.size()), (all, 12));

    nodes.pop().expect("there are twelve").kill().await;
    until_tables(&ours, peers(&nodes)).await;
    assert_eq!(ids(&handle.contacts()), peers(&nodes));
    manager.stop();
    within("end of the work", work)
        .await
        .expect("it did not panic");
}

/// Until both tables are these peers.
async fn until_tables(node: &Node<Ours>, wanted: Vec<PeerId>) {
    let wanted = (wanted.clone(), wanted);
    eventually(async || node.tables().await == wanted).await;
}

/// Asks again and again: what a handle does is no event of the swarm.
async fn eventually(mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    within("end of the wait", waiting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_come_and_go_by_the_handle_and_by_the_application() {
    let nodes = network(2).await;
    let ours = ours(by_hand()).await;
    let handle = handle(&ours).await;
    for node in &nodes {
        let added = within("entry", handle.add_peer(contact(node))).await;
        assert_eq!(added, Ok(true));
    }
    let homeless = Contact::new(Peer::new(PeerId::random()), []);
    let added = within("refusal", handle.add_peer(homeless)).await;
    assert_eq!(added, Ok(false), "kad takes nobody without an address");
    let all = peers(&nodes);
    // The walk's table follows when kad tells of it.
    until_tables(&ours, all.clone()).await;
    assert_eq!(handle.contacts().len(), 2);
    let known = within("seeds", handle.seeds(SeedSource::Known)).await;
    assert_eq!(ids(&known), all);

    assert_eq!(handle.remove_peer(nodes[0].peer).await, Ok(()));
    assert_eq!(handle.remove_peer(nodes[0].peer).await, Ok(()), "no error");
    until_tables(&ours, vec![nodes[1].peer]).await;

    // Kad has no event for this; to look at the entries is to have them compared.
    let gone = nodes[1].peer;
    ours.with(move |swarm| swarm.behaviour_mut().walk.remove_peer(&gone).is_some())
        .await;
    assert_eq!(ids(&handle.contacts()), [gone]);
    until_tables(&ours, Vec::new()).await;
    assert_eq!(handle.contacts(), []);
}

/// A kad that is tended and nothing beside it, so that nobody says what he serves.
#[derive(NetworkBehaviour)]
struct Bare {
    walk: Behaviour<MemoryStore>,
}

impl App for Bare {
    fn on_event(&mut self, _: &BareEvent) {}
}

async fn bare(config: Config) -> Node<Bare> {
    Node::start(200, |key| {
        let peer = key.public().to_peer_id();
        let mut of_kad = kad::Config::new(DHT);
        prepare(&mut of_kad);
        let kad = kad::Behaviour::with_config(peer, MemoryStore::new(peer), of_kad);
        let walk = Behaviour::new(peer, kad, config).expect("the bounds make sense");
        Bare { walk }
    })
    .await
}

async fn until_entries(node: &Node<Bare>, wanted: Vec<PeerId>) {
    let entries = |swarm: &mut Swarm<Bare>| {
        let table = swarm.behaviour().walk.table();
        table.iter().map(|it| it.peer().id()).collect::<Vec<_>>()
    };
    eventually(async || node.with(entries).await == wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_a_handle_is_a_candidate_of_the_walk() {
    let nodes = network(1).await;
    let mut config = by_hand();
    config.walk.auto = true;
    let ours = bare(config).await;
    let handle = ours.with(|swarm| swarm.behaviour().walk.handle()).await;
    let target = Target::peer(Peer::new(ours.peer));
    let told = ask(&handle, contact(&nodes[0]), target).await;
    assert_eq!(told, Ok(Vec::new()));
    until_entries(&ours, peers(&nodes)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tells_a_handle_that_he_serves_no_dht_leaves_the_table() {
    let nodes = network(1).await;
    nodes[0]
        .with(|swarm| swarm.behaviour_mut().kad.set_mode(Some(kad::Mode::Client)))
        .await;
    let ours = bare(by_hand()).await;
    let handle = ours.with(|swarm| swarm.behaviour().walk.handle()).await;
    let added = within("entry", handle.add_peer(contact(&nodes[0]))).await;
    assert_eq!(added, Ok(true));
    until_entries(&ours, peers(&nodes)).await;
    let target = Target::peer(Peer::new(ours.peer));
    let told = ask(&handle, contact(&nodes[0]), target).await;
    assert_eq!(told, Err(Failure::NotServing));
    until_entries(&ours, Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_future_that_is_dropped_gives_its_place_to_the_next() {
    let nodes = network(2).await;
    let mut config = patient();
    config.handles.in_flight_max = 1;
    config.handles.lookups_max = 1;
    let ours = ours(config).await;
    let (handle, target) = (handle(&ours).await, itself(&ours));
    ours.add(&nodes[..1]).await;
    hang(&handle, &nodes[0]).await;

    let hung = Box::pin(handle.find_node(contact(&nodes[0]), target.clone()));
    until_sent(&ours, hung, 2).await;
    let hung = Box::pin(handle.closest(target.clone(), Progress::default()));
    until_sent(&ours, hung, 3).await;
    let told = ask(&handle, contact(&nodes[1]), target).await;
    assert!(told.is_ok(), "{told:?}");
}

/// A peer that is connected, and will not answer any more: that has no end of its own.
async fn hang(handle: &Handle, node: &Node<Stock>) {
    let target = Target::peer(Peer::new(handle.local()));
    let told = ask(handle, contact(node), target).await;
    assert!(told.is_ok(), "{told:?}");
    node.freeze().await;
}

/// Drops the future when so many requests were sent.
async fn until_sent(node: &Node<Ours>, work: impl Future + Unpin, messages: u64) {
    let sent = futures::future::select(work, Box::pin(all_sent(node, messages))).await;
    let is_sent = matches!(sent, futures::future::Either::Right(_));
    assert!(is_sent, "it hangs");
}

async fn all_sent(node: &Node<Ours>, messages: u64) {
    let spent = |swarm: &mut Swarm<Ours>| swarm.behaviour().walk.spent_by_handles().messages;
    eventually(async || node.with(spent).await == messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_swarm_is_gone_each_call_ends_with_an_error() {
    let nodes = network(1).await;
    let ours = ours_knowing(patient(), &nodes, |_| ()).await;
    let (handle, target) = (handle(&ours).await, itself(&ours));
    hang(&handle, &nodes[0]).await;
    let (one, other) = (handle.clone(), handle.clone());
    let (asked, sought) = (contact(&nodes[0]), target.clone());
    let asking = tokio::spawn(async move { one.find_node(asked, sought).await });
    let sought = target.clone();
    let seeking = tokio::spawn(async move { other.closest(sought, Progress::default()).await });
    all_sent(&ours, 3).await;
    assert!(!handle.is_closed());
    ours.kill().await;
    let asked = within("end of a request", asking).await.expect("no panic");
    assert_eq!(asked, Err(Failure::Broken));
    let sought = within("end of a lookup", seeking).await.expect("no panic");
    assert_eq!(sought.map(|it| it.closest), Err(HandleError::Closed));

    assert!(handle.is_closed());
    let asked = ask(&handle, contact(&nodes[0]), target.clone()).await;
    assert_eq!(asked, Err(Failure::Broken));
    let sought = within("error", handle.closest(target, Progress::default())).await;
    assert_eq!(sought.map(|it| it.closest), Err(HandleError::Closed));
    let added = within("error", handle.add_peer(contact(&nodes[0]))).await;
    assert_eq!(added, Err(HandleError::Closed));
    let removed = within("error", handle.remove_peer(nodes[0].peer)).await;
    assert_eq!(removed, Err(HandleError::Closed));
    assert_eq!(
        within("none", handle.seeds(SeedSource::Connected)).await,
        []
    );
    assert_eq!(
        ids(&handle.contacts()),
        [nodes[0].peer],
        "as they were last"
    );
}
