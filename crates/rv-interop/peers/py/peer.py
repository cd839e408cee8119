"""A stock py-libp2p peer: its own rendezvous service, or its own rendezvous client.

`peer.py server` listens on a loopback port that the system chooses and prints its address.
`peer.py client ADDRESS` connects to the point at ADDRESS, prints who it is, and answers each line
of JSON on stdin with one on stdout. Both end when their stdin does.
"""

import json
import sys

from libp2p import new_host
from libp2p.discovery.rendezvous import RendezvousDiscovery, RendezvousService
from libp2p.peer.peerinfo import PeerInfo, info_from_p2p_addr
from multiaddr import Multiaddr
import trio

LOOPBACK = Multiaddr("/ip4/127.0.0.1/tcp/0")
PEERSTORE_CLEANUP_SECS = 60


async def serve(host) -> None:
    """Serves until stdin ends."""
    RendezvousService(host)
    say(str(host.get_addrs()[0]))
    while await read_line():
        pass


async def ask(host, address: str) -> None:
    """Does what stdin asks for at one point."""
    point = info_from_p2p_addr(Multiaddr(address))
    await host.connect(point)
    discovery = RendezvousDiscovery(host, point.peer_id)
    say(json.dumps(shown(PeerInfo(host.get_id(), host.get_addrs()))))
    while line := await read_line():
        try:
            answer = await do(discovery, **json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        say(json.dumps(answer))


async def do(discovery: RendezvousDiscovery, verb: str, namespace: str, **options) -> dict:
    """One call of the library; the options have the library's own names."""
    client = discovery.client
    if verb == "register":
        return {"ttl": await client.register(namespace, **options)}
    if verb == "unregister":
        await client.unregister(namespace)
        return {}
    if verb == "discover":
        cookie = bytes.fromhex(options.pop("cookie", ""))
        peers, cookie = await client.discover(namespace, cookie=cookie, **options)
        return {"peers": [shown(peer) for peer in peers], "cookie": cookie.hex()}
    if verb == "find_peers":
        found = discovery.find_peers(namespace, **options)
        return {"peers": [shown(peer) async for peer in found]}
    if verb == "find_all_peers":
        return {"peers": [shown(peer) for peer in await discovery.find_all_peers(namespace)]}
    if verb == "expire":
        # As five minutes later.
        cache = discovery.caches[namespace]
        cache.expiry = dict.fromkeys(cache.expiry, 0.0)
        return {}
    raise ValueError(f"no such verb: {verb}")


def shown(info: PeerInfo) -> dict:
    """A peer as JSON has it."""
    return {"peer": str(info.peer_id), "addresses": [str(address) for address in info.addrs]}


def say(line: str) -> None:
    """One line to who started us."""
    print(line, flush=True)


async def read_line() -> str:
    """The next line of stdin; empty at its end."""
    return await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)


async def main(role: str, *arguments: str) -> None:
    """Runs a host as users of the library do."""
    host = new_host()
    async with host.run([LOOPBACK]), trio.open_nursery() as nursery:
        nursery.start_soon(host.get_peerstore().start_cleanup_task, PEERSTORE_CLEANUP_SECS)
        await {"server": serve, "client": ask}[role](host, *arguments)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
