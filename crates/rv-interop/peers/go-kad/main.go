// A stock go-libp2p-kad-dht node.
//
// `server ADDRESS...` and `client ADDRESS...` listen on a loopback port that the system chooses,
// join the network by the nodes at the ADDRESSes, print their own, and answer each line of JSON on
// stdin with one on stdout. They end when their stdin does.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

type request struct {
	Verb string
	Peer string
}

type shownPeer struct {
	Peer      string   `json:"peer"`
	Addresses []string `json:"addresses"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	modes := map[string]dht.ModeOpt{"server": dht.ModeServer, "client": dht.ModeClient}
	if len(arguments) == 0 {
		return fmt.Errorf("usage: server|client ADDRESS...")
	}
	mode, isKnown := modes[arguments[0]]
	if !isKnown {
		return fmt.Errorf("no such mode: %s", arguments[0])
	}
	node, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		return err
	}
	defer node.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	table, err := join(ctx, node, mode, arguments[1:])
	if err != nil {
		return err
	}
	defer table.Close()
	fmt.Printf("%s/p2p/%s\n", node.Addrs()[0], node.ID())
	return answer(ctx, node, table)
}

// join has no filter of addresses and none of tables, which is how dht.New makes it.
func join(ctx context.Context, node host.Host, mode dht.ModeOpt, addresses []string) (*dht.IpfsDHT, error) {
	known := []peer.AddrInfo{}
	for _, address := range addresses {
		info, err := peer.AddrInfoFromString(address)
		if err != nil {
			return nil, err
		}
		known = append(known, *info)
	}
	table, err := dht.New(ctx, node, dht.Mode(mode), dht.BootstrapPeers(known...))
	if err != nil {
		return nil, err
	}
	for _, info := range known {
		if err := node.Connect(ctx, info); err != nil {
			return nil, err
		}
	}
	return table, table.Bootstrap(ctx)
}

// answer does what stdin asks for.
func answer(ctx context.Context, node host.Host, table *dht.IpfsDHT) error {
	say := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		peers, err := act(ctx, table, lines.Bytes())
		answer := map[string]any{"error": fmt.Sprint(err)}
		if err == nil {
			shown := []shownPeer{}
			for _, id := range peers {
				shown = append(shown, show(node, id))
			}
			answer = map[string]any{"peers": shown}
		}
		if err := say.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// act is one call of the library.
func act(ctx context.Context, table *dht.IpfsDHT, line []byte) ([]peer.ID, error) {
	var it request
	if err := json.Unmarshal(line, &it); err != nil {
		return nil, err
	}
	switch it.Verb {
	case "table":
		return table.RoutingTable().ListPeers(), nil
	case "closest":
		id, err := peer.Decode(it.Peer)
		if err != nil {
			return nil, err
		}
		return table.GetClosestPeers(ctx, string(id))
	}
	return nil, fmt.Errorf("no such verb: %s", it.Verb)
}

func show(node host.Host, id peer.ID) shownPeer {
	addresses := []string{}
	for _, address := range node.Peerstore().Addrs(id) {
		addresses = append(addresses, address.String())
	}
	return shownPeer{Peer: id.String(), Addresses: addresses}
}
