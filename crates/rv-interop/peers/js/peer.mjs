// A stock js-libp2p peer with the rendezvous server, or the rendezvous client, of
// @canvas-js/libp2p-rendezvous.
//
// `server` listens on a loopback port that the system chooses and prints its address.
// `client ADDRESS` connects to the point at ADDRESS, prints who it is, and answers each line of
// JSON on stdin with one on stdout. Both end when their stdin does.

import { createInterface } from 'node:readline'

import { rendezvousClient } from '@canvas-js/libp2p-rendezvous/client'
import { rendezvousServer } from '@canvas-js/libp2p-rendezvous/server'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

// js-libp2p calls it, and Node 20 does not have it.
Promise.withResolvers ??= function () {
  const resolvers = {}
  resolvers.promise = new this((resolve, reject) => Object.assign(resolvers, { resolve, reject }))
  return resolvers
}

const lines = createInterface({ input: process.stdin })
const say = (line) => process.stdout.write(`${line}\n`)

// All clients of a test come from one address; by default five a second may.
const connectionManager = { inboundConnectionThreshold: Infinity }

const node = (rendezvous) => createLibp2p({
  connectionManager,
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), rendezvous }
})

async function serve () {
  const libp2p = await node(rendezvousServer({}))
  say(libp2p.getMultiaddrs()[0])
  for await (const _ of lines);
  await libp2p.stop()
}

async function ask (address) {
  const libp2p = await node(rendezvousClient({}))
  const point = multiaddr(address)
  await libp2p.dial(point)
  const addresses = libp2p.getMultiaddrs().map(String)
  say(JSON.stringify({ peer: libp2p.peerId.toString(), addresses }))
  for await (const line of lines) {
    const request = JSON.parse(line)
    const answer = await libp2p.services.rendezvous
      .connect(point, (client) => act(client, request))
      .catch((error) => ({ error: `${error.name}: ${error.message}` }))
    say(JSON.stringify(answer))
  }
  await libp2p.stop()
}

// One call of the library; the options have the library's own names.
async function act (client, { verb, namespace, ...options }) {
  switch (verb) {
    case 'register':
      return await client.register(namespace, options)
    case 'unregister':
      // The library closes the stream without waiting until the request is written, and loses it.
      // An answer to what is asked behind it shows that it was read.
      await client.unregister(namespace)
      await client.discover(namespace)
      return {}
    case 'discover':
      return { peers: (await client.discover(namespace, options)).map(shown) }
    default:
      throw new Error(`no such verb: ${verb}`)
  }
}

const shown = ({ id, addresses }) => ({
  peer: id.toString(),
  addresses: addresses.map(({ multiaddr }) => multiaddr.toString())
})

const roles = { server: serve, client: ask }
const [role, ...rest] = process.argv.slice(1)
await roles[role](...rest)
