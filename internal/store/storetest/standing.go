package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/connector"
)

// Standings is what a store does for restriction groups.
type Standings interface {
	Standing(ctx context.Context, group, actor string) (connector.Standing, error)
	ChangeStanding(ctx context.Context, group, actor string, next func(connector.Standing) connector.Standing) error
	Standings(ctx context.Context, group, after string, limit int, now time.Time) ([]connector.ActorStanding, error)
	ForgetStandings(ctx context.Context, group, actor string) error
	DeleteExpiredStandings(ctx context.Context, before time.Time) (int, error)
}

func standingTests() map[string]func(*testing.T, Opener) {
	return map[string]func(*testing.T, Opener){
		"standings keep all that they are":          testStandingRoundTrip,
		"of two changes of a standing none is lost": testStandingRace,
		"standings in effect are listed by pages":   testStandingPages,
		"standings are forgotten":                   testForgetStandings,
		"ended standings are deleted":               testDeleteExpiredStandings,
	}
}

// stand puts an actor into a step.
func stand(t *testing.T, s Store, group, actor string, step int, until time.Time) {
	t.Helper()
	must(t, s.ChangeStanding(t.Context(), group, actor, func(connector.Standing) connector.Standing {
		return connector.Standing{Step: step, Until: until}
	}))
}

func wantStanding(t *testing.T, s Store, group, actor string, want connector.Standing) {
	t.Helper()
	got, err := s.Standing(t.Context(), group, actor)
	must(t, err)
	wantEqual(t, "standing of "+actor+" in "+group, got, want)
}

func testStandingRoundTrip(t *testing.T, open Opener) {
	s := open(t)
	wantStanding(t, s, "g1", "ann", connector.Standing{})
	first, second := connector.Standing{Step: 1, Until: epoch.Add(1)}, connector.Standing{Step: 2, Until: epoch.Add(time.Minute)}
	for _, step := range []struct{ before, after connector.Standing }{{connector.Standing{}, first}, {first, second}, {second, connector.Standing{}}, {connector.Standing{}, second}} {
		must(t, s.ChangeStanding(t.Context(), "g1", "ann", func(now connector.Standing) connector.Standing {
			wantEqual(t, "standing to change", now, step.before)
			return step.after
		}))
		wantStanding(t, open(t), "g1", "ann", step.after)
	}
	wantStanding(t, s, "g2", "ann", connector.Standing{})
	wantStanding(t, s, "g1", "bob", connector.Standing{})
}

func testStandingRace(t *testing.T, open Opener) {
	const changes = 40
	one, two, ctx := open(t), open(t), t.Context()
	var wg sync.WaitGroup
	for i := range changes {
		wg.Go(func() {
			err := []Store{one, two}[i%2].ChangeStanding(ctx, "g1", "ann", func(s connector.Standing) connector.Standing {
				return connector.Standing{Step: s.Step + 1, Until: epoch}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantStanding(t, one, "g1", "ann", connector.Standing{Step: changes, Until: epoch})
}

func testStandingPages(t *testing.T, open Opener) {
	s := open(t)
	for i := range 5 {
		stand(t, s, "g1", fmt.Sprint("a", i), i+1, epoch.Add(time.Duration(i)*time.Second))
	}
	stand(t, s, "g1", "a9", 0, time.Time{}) // in no step
	stand(t, s, "g2", "a4", 1, epoch.Add(time.Hour))
	var got []connector.ActorStanding
	for after := ""; ; after = got[len(got)-1].Actor {
		page, err := s.Standings(t.Context(), "g1", after, 2, epoch)
		must(t, err)
		if len(page) > 2 {
			t.Fatalf("a page has %d rows", len(page))
		}
		if got = append(got, page...); len(page) < 2 {
			break
		}
	}
	var want []connector.ActorStanding
	for i := 1; i < 5; i++ { // a0 ends at the very moment
		want = append(want, connector.ActorStanding{
			Actor: fmt.Sprint("a", i), Standing: connector.Standing{Step: i + 1, Until: epoch.Add(time.Duration(i) * time.Second)},
		})
	}
	wantEqual(t, "standings in effect", got, want)
}

func testForgetStandings(t *testing.T, open Opener) {
	s, in := open(t), connector.Standing{Step: 1, Until: epoch.Add(time.Hour)}
	for _, group := range []string{"g1", "g2"} {
		for _, actor := range []string{"ann", "bob", "cy"} {
			stand(t, s, group, actor, in.Step, in.Until)
		}
	}
	must(t, s.ForgetStandings(t.Context(), "g1", "ann"))
	must(t, s.ForgetStandings(t.Context(), "g1", "nobody"))
	wantStanding(t, s, "g1", "ann", connector.Standing{})
	wantStanding(t, s, "g1", "bob", in)
	must(t, s.ForgetStandings(t.Context(), "g1", ""))
	wantStanding(t, s, "g1", "bob", connector.Standing{})
	wantStanding(t, s, "g1", "cy", connector.Standing{})
	wantStanding(t, s, "g2", "ann", in)
}

func testDeleteExpiredStandings(t *testing.T, open Opener) {
	s := open(t)
	for i := range 3 {
		stand(t, s, "g1", fmt.Sprint("a", i), 1, epoch.Add(time.Duration(i)*time.Minute))
	}
	for _, want := range []int{2, 0} {
		n, err := s.DeleteExpiredStandings(t.Context(), epoch.Add(2*time.Minute))
		must(t, err)
		wantEqual(t, "deleted", n, want)
	}
	wantStanding(t, s, "g1", "a1", connector.Standing{})
	wantStanding(t, s, "g1", "a2", connector.Standing{Step: 1, Until: epoch.Add(2 * time.Minute)})
}
