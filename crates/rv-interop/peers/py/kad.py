"""A stock py-libp2p `KadDHT` node.

`kad.py server ADDRESS...` and `kad.py client ADDRESS...` listen on a loopback port that the system
chooses, join the network by the nodes at the ADDRESSes, print their own, and answer each line of
JSON on stdin with one on stdout. They end when their stdin does.
"""

import json
import sys

from libp2p import new_host
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr
import trio

LOOPBACK = Multiaddr("/ip4/127.0.0.1/tcp/0")
PEERSTORE_CLEANUP_SECS = 60


async def answer(host, dht: KadDHT) -> None:
    """Does what stdin asks for."""
    while line := await read_line():
        try:
            peers = await do(dht, **json.loads(line))
            shown = {"peers": [show(host, peer) for peer in peers]}
        except Exception as error:
            shown = {"error": f"{type(error).__name__}: {error}"}
        say(json.dumps(shown))


async def do(dht: KadDHT, verb: str, **options) -> list[ID]:
    """One call of the library."""
    if verb == "table":
        return dht.routing_table.get_peer_ids()
    if verb == "closest":
        key = ID.from_base58(options["peer"]).to_bytes()
        return await dht.peer_routing.find_closest_peers_network(key)
    raise ValueError(f"no such verb: {verb}")


def show(host, peer: ID) -> dict:
    """A peer as JSON has it."""
    try:
        addresses = host.get_peerstore().addrs(peer)
    except Exception:
        # What the library raises where it knows of no address.
        addresses = []
    return {"peer": str(peer), "addresses": [str(address) for address in addresses]}


def say(line: str) -> None:
    """One line to who started us."""
    print(line, flush=True)


async def read_line() -> str:
    """The next line of stdin; empty at its end."""
    return await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)


async def main(mode: str, *known: str) -> None:
    """Runs a node as users of the library do."""
    host = new_host()
    async with host.run([LOOPBACK]), trio.open_nursery() as nursery:
        nursery.start_soon(host.get_peerstore().start_cleanup_task, PEERSTORE_CLEANUP_SECS)
        dht = KadDHT(host, DHTMode[mode.upper()])
        for address in known:
            info = info_from_p2p_addr(Multiaddr(address))
            await host.connect(info)
            await dht.routing_table.add_peer(info)
        async with background_trio_service(dht):
            say(str(host.get_addrs()[0]))
            await answer(host, dht)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
