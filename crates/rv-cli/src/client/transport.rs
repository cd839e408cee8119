//! How the commands reach others: TCP, QUIC and WebSocket.

use std::error::Error;
use std::time::Duration;

use anyhow::Context as _;
use libp2p::core::Transport as _;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Swarm, SwarmBuilder, identify, noise, swarm, tcp, websocket, yamux};

/// What others are told that we are.
const AGENT: &str = concat!("rv/", env!("CARGO_PKG_VERSION"));

/// How long peers are waited for once one is connected: as long as they take to say what they
/// speak, and no longer if they do not.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

/// What identify tells.
pub(super) fn identify(key: &Keypair) -> identify::Config {
    identify::Config::new("/rv/1.0.0".to_owned(), key.public()).with_agent_version(AGENT.to_owned())
}

/// A swarm that closes connections which nothing used for `idle`. Names are resolved only where
/// there are some, so that a machine without a resolver can use addresses.
pub(super) async fn build<B: NetworkBehaviour>(
    key: Keypair,
    needs_dns: bool,
    idle: Duration,
    parts: impl FnOnce(&Keypair) -> Result<B, Box<dyn Error + Send + Sync>>,
) -> anyhow::Result<Swarm<B>> {
    let idle = |config: swarm::Config| config.with_idle_connection_timeout(idle);
    let builder = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_quic();
    let resolver = "the system says not how names are resolved: use an address with /ip4 or /ip6";
    if needs_dns {
        let builder = builder.with_dns().context(resolver)?;
        let builder = builder
            .with_websocket(noise::Config::new, yamux::Config::default)
            .await
            .context(resolver)?;
        Ok(builder
            .with_behaviour(parts)?
            .with_swarm_config(idle)
            .build())
    } else {
        let builder = builder.with_other_transport(|key| {
            let tcp = tcp::tokio::Transport::new(tcp::Config::default());
            let websocket = websocket::Config::new(tcp)
                .upgrade(Version::V1Lazy)
                .authenticate(noise::Config::new(key)?)
                .multiplex(yamux::Config::default());
            Ok(websocket)
        })?;
        Ok(builder
            .with_behaviour(parts)?
            .with_swarm_config(idle)
            .build())
    }
}
