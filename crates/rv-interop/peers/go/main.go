// A stock go-libp2p peer with the rendezvous service, or the rendezvous client, of
// github.com/berty/go-libp2p-rendezvous.
//
// `server` listens on a loopback port that the system chooses and prints its address.
// `client ADDRESS` connects to the point at ADDRESS, prints who it is, and answers each line of
// JSON on stdin with one on stdout. Both end when their stdin does.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	rendezvous "github.com/berty/go-libp2p-rendezvous"
	db "github.com/berty/go-libp2p-rendezvous/db/sqlite"
	logging "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// lineBytesMax bounds a request: a namespace and a cookie at the most.
const lineBytesMax = 64 * 1024

type request struct {
	Verb      string
	Namespace string
	TTL       int `json:"ttl"`
	Limit     int
	Cookie    string
}

type shownPeer struct {
	Peer      string   `json:"peer"`
	Addresses []string `json:"addresses"`
}

// complaints holds what the library logs as errors: it skips an entry that it cannot parse, and
// says so nowhere else.
type complaints struct {
	lock  sync.Mutex
	lines []string
}

type client struct {
	point     rendezvous.RendezvousPoint
	finder    discovery.Discovery
	sync      rendezvous.RendezvousSyncClient
	followed  map[string]<-chan peer.AddrInfo
	following context.Context
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineBytesMax)
	node, err := newHost()
	if err != nil {
		return err
	}
	defer node.Close()
	switch {
	case len(arguments) == 1 && arguments[0] == "server":
		return serve(node, lines)
	case len(arguments) == 2 && arguments[0] == "client":
		return ask(node, arguments[1], lines)
	}
	return fmt.Errorf("usage: server | client ADDRESS")
}

// newHost is a host as users of the library make it, but for loopback: all peers of a test come
// from one address, and by default eight of them may.
func newHost() (host.Host, error) {
	anyNumber := []rcmgr.ConnLimitPerCIDR{{BitMask: 0, ConnCount: math.MaxInt32}}
	limiter := rcmgr.NewFixedLimiter(rcmgr.DefaultLimits.AutoScale())
	manager, err := rcmgr.NewResourceManager(limiter, rcmgr.WithLimitPeersPerCIDR(anyNumber, anyNumber))
	if err != nil {
		return nil, err
	}
	return libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.ResourceManager(manager),
	)
}

// serve has a registry on disk, in a folder of its own that goes with it.
func serve(node host.Host, lines *bufio.Scanner) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	folder, err := os.MkdirTemp("", "rendezvous")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	registry, err := db.OpenDB(ctx, filepath.Join(folder, "registry"))
	if err != nil {
		return err
	}
	defer registry.Close()
	provider, err := rendezvous.NewSyncInMemProvider(node)
	if err != nil {
		return err
	}
	rendezvous.NewRendezvousService(node, registry, provider)
	fmt.Printf("%s/p2p/%s\n", node.Addrs()[0], node.ID())
	for lines.Scan() {
	}
	return lines.Err()
}

// ask does what stdin asks for at one point.
func ask(node host.Host, address string, lines *bufio.Scanner) error {
	point, err := peer.AddrInfoFromString(address)
	if err != nil {
		return err
	}
	heard := listen()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := node.Connect(ctx, *point); err != nil {
		return err
	}
	peers := client{
		point:     rendezvous.NewRendezvousPoint(node, point.ID),
		finder:    rendezvous.NewRendezvousDiscovery(node, point.ID),
		sync:      rendezvous.NewSyncInMemClient(ctx, node),
		followed:  map[string]<-chan peer.AddrInfo{},
		following: ctx,
	}
	say := json.NewEncoder(os.Stdout)
	if err := say.Encode(shown(peer.AddrInfo{ID: node.ID(), Addrs: node.Addrs()})); err != nil {
		return err
	}
	for lines.Scan() {
		answer, err := peers.act(lines.Bytes())
		if err == nil {
			err = heard.take()
		}
		if err != nil {
			answer = map[string]any{"error": err.Error()}
		}
		if err := say.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// act is one call of the library.
func (c *client) act(line []byte) (map[string]any, error) {
	var it request
	if err := json.Unmarshal(line, &it); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch it.Verb {
	case "register":
		ttl, err := c.point.Register(ctx, it.Namespace, it.TTL)
		return map[string]any{"ttl": int(ttl.Seconds())}, err
	case "unregister":
		return map[string]any{}, c.point.Unregister(ctx, it.Namespace)
	case "discover":
		return c.discover(ctx, it)
	case "find_peers":
		found, err := c.finder.FindPeers(ctx, it.Namespace, discovery.Limit(it.Limit))
		if err != nil {
			return nil, err
		}
		peers := []shownPeer{}
		for info := range found {
			peers = append(peers, shown(info))
		}
		return map[string]any{"peers": peers}, nil
	case "subscribe":
		clients := []rendezvous.RendezvousSyncClient{c.sync}
		joined, err := c.point.DiscoverSubscribe(c.following, it.Namespace, clients)
		if err == nil {
			c.followed[it.Namespace] = joined
		}
		return map[string]any{}, err
	case "next":
		return c.next(ctx, it.Namespace)
	}
	return nil, fmt.Errorf("no such verb: %s", it.Verb)
}

// discover is one page.
func (c *client) discover(ctx context.Context, it request) (map[string]any, error) {
	// None is nil for the library: an empty cookie would be sent, and its own point refuses that.
	var cookie []byte
	if it.Cookie != "" {
		var err error
		if cookie, err = hex.DecodeString(it.Cookie); err != nil {
			return nil, err
		}
	}
	found, cookie, err := c.point.Discover(ctx, it.Namespace, it.Limit, cookie)
	if err != nil {
		return nil, err
	}
	peers := []shownPeer{}
	for _, registration := range found {
		peers = append(peers, shown(registration.Peer))
	}
	return map[string]any{"peers": peers, "cookie": hex.EncodeToString(cookie)}, nil
}

// next is what a subscription brings next.
func (c *client) next(ctx context.Context, namespace string) (map[string]any, error) {
	select {
	case info, isOpen := <-c.followed[namespace]:
		if !isOpen {
			return nil, fmt.Errorf("the subscription has ended")
		}
		return map[string]any{"peers": []shownPeer{shown(info)}}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// listen keeps the errors that the library logs.
func listen() *complaints {
	heard := &complaints{}
	encoder := zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())
	stderr := zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), zapcore.ErrorLevel)
	logging.SetPrimaryCore(zapcore.RegisterHooks(stderr, func(entry zapcore.Entry) error {
		if entry.LoggerName == "rendezvous" {
			heard.lock.Lock()
			defer heard.lock.Unlock()
			heard.lines = append(heard.lines, entry.Message)
		}
		return nil
	}))
	return heard
}

// take is an error if there was one since the last call.
func (c *complaints) take() error {
	c.lock.Lock()
	defer c.lock.Unlock()
	lines := c.lines
	c.lines = nil
	if len(lines) > 0 {
		return fmt.Errorf("the library logged: %s", strings.Join(lines, "; "))
	}
	return nil
}

func shown(info peer.AddrInfo) shownPeer {
	addresses := []string{}
	for _, address := range info.Addrs {
		addresses = append(addresses, address.String())
	}
	return shownPeer{Peer: info.ID.String(), Addresses: addresses}
}
