package chat

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/carnetproject/carnet/internal/fault"
)

func TestMarkRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		here, there := start(t, m, b), start(t, m, b)
		s, k := here.open(t, hello)
		_, phone := there.open(t, hello)
		id, user := s.Conversation().ID, hello.User
		s.Send("u-1", body("one"))
		s.Send("u-2", body("two"))
		synctest.Wait()
		k.words()
		phone.words()

		for _, step := range []struct {
			seq, want int64
			told      []string
		}{
			{1, 1, []string{"read 1"}},
			{1, 1, nil},
			{0, 1, nil},
			{-1, 1, nil},
			{9, 2, []string{"read 2"}}, // not past the newest
		} {
			if err := here.MarkRead(t.Context(), user, id, step.seq); err != nil {
				t.Fatalf("MarkRead(%d) = %v", step.seq, err)
			}
			if got := m.of(id).ReadSeq; got != step.want {
				t.Errorf("after %d the mark is %d, want %d", step.seq, got, step.want)
			}
			k.want(t, step.told...)
			phone.want(t, step.told...)
		}

		for name, u := range map[string]User{"another user": {Issuer: user.Issuer, Subject: "bob"}, "another issuer": {Subject: user.Subject}} {
			if err := here.MarkRead(t.Context(), u, id, 2); fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s: MarkRead() = %v, want not found", name, err)
			}
		}
		m.ahead(func(_ context.Context, what string) error {
			if what == "read" {
				return errors.New("disk")
			}
			return nil
		})
		s.Send("u-3", body("three"))
		synctest.Wait()
		if err := here.MarkRead(t.Context(), user, id, 3); err == nil || m.of(id).ReadSeq != 2 {
			t.Errorf("MarkRead() = %v with a store that fails, and the mark is %d", err, m.of(id).ReadSeq)
		}
	})
}
