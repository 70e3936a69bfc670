package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"
)

// polled is how soon a change by the command line is in force on a node that polls each
// second.
const polled = time.Second

// claimsOf reads a token without verifying it.
func (n *node) claimsOf(token string) (claims map[string]any) {
	n.t.Helper()
	var decoded struct{ Claims map[string]any }
	if err := json.Unmarshal([]byte(n.carnet("token", "decode", token)), &decoded); err != nil {
		n.t.Fatal(err)
	}
	return decoded.Claims
}

// revoke runs carnet revoke and returns the revocation's id.
func (n *node) revoke(args ...string) (id string) {
	n.t.Helper()
	return strings.TrimSpace(n.carnet(append([]string{"revoke"}, args...)...))
}

// TestRevoke takes tokens back by the command line while the node serves, and gives
// them again.
func TestRevoke(t *testing.T) {
	t.Parallel()
	n := newNode(t, "CARNET_POLL_INTERVAL=1s")
	n.start()
	answer := func(token string) int {
		r, err := n.do("GET", n.gateway+"/demo", nil, "Authorization", bearer(token))
		if err != nil {
			t.Fatal(err)
		}
		return r.status
	}

	one, two := n.registerDevice("phone-1"), n.registerDevice("phone-2")
	id := n.revoke("device", "mobilev2", "phone-1", "--reason", "stolen")
	soon(t, "refused a device", polled, func() bool { return answer(one) == 401 })
	if again := n.registerDevice("phone-1"); answer(again) != 200 || answer(two) != 200 {
		t.Errorf("registered again, the device is answered with %d, another with %d", answer(again), answer(two))
	}
	n.carnet("revoke", "remove", id)
	soon(t, "admitted a device", polled, func() bool { return answer(one) == 200 })

	access, refresh := n.login()
	token := n.revoke("token", n.claimsOf(access)["jti"].(string))
	soon(t, "refused an access token", polled, func() bool { return answer(access) == 401 })
	n.carnet("revoke", "remove", token)
	soon(t, "admitted an access token", polled, func() bool { return answer(access) == 200 })
	n.revoke("subject", n.claimsOf(access)["sub"].(string))
	soon(t, "refused a user", polled, func() bool { return answer(access) == 401 })
	n.must(400, "POST", n.public+"/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	_, refresh = n.login()
	n.must(200, "POST", n.public+"/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
}

// TestRevokeInConversation: the sockets of a revoked user end, and no others.
func TestRevokeInConversation(t *testing.T) {
	t.Parallel()
	n := newNode(t, "CARNET_POLL_INTERVAL=1s")
	n.start()
	ann, bob := n.newVisitor(), n.newVisitor()
	first, second, other := &reader{v: ann}, &reader{v: ann}, &reader{v: bob}
	_, firstLost := first.connect()
	_, secondLost := second.connect()
	conn, otherLost := other.connect()
	if firstLost == nil || secondLost == nil || otherLost == nil {
		t.Fatal("no connection")
	}
	claims := n.claimsOf(ann.token)
	w := newWatch()
	n.revoke("subject", claims["sub"].(string), "--issuer", claims["iss"].(string))
	for _, lost := range []chan struct{}{firstLost, secondLost} {
		select {
		case <-lost:
		case <-time.After(patience):
			t.Fatal("the revoked user's socket is open")
		}
	}
	w.within(t, "ending the sockets", polled)
	if _, again := first.connect(); again != nil {
		t.Error("the revoked token opens a socket")
	}
	select {
	case <-otherLost:
		t.Error("another user's socket ended, too")
	default:
	}
	_ = conn.NetConn().Close()
	<-otherLost
}
