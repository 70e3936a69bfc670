package key

import (
	"testing"
	"time"
)

var epoch = time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)

func TestStateFollowsTheClock(t *testing.T) {
	t.Parallel()
	whole := Key{
		Created: epoch, Active: epoch.Add(time.Minute),
		Retire: epoch.Add(time.Hour), Expire: epoch.Add(2 * time.Hour),
	}
	for name, tc := range map[string]struct {
		edit func(*Key)
		at   time.Duration
		want State
	}{
		"published":                 {func(*Key) {}, 0, Pending},
		"just before it signs":      {func(*Key) {}, time.Minute - 1, Pending},
		"from here on it signs":     {func(*Key) {}, time.Minute, Active},
		"just before it retires":    {func(*Key) {}, time.Hour - 1, Active},
		"from here on it verifies":  {func(*Key) {}, time.Hour, Retiring},
		"just before it expires":    {func(*Key) {}, 2*time.Hour - 1, Retiring},
		"from here on it is gone":   {func(*Key) {}, 2 * time.Hour, Retired},
		"long gone":                 {func(*Key) {}, 1e6 * time.Hour, Retired},
		"never retires":             {func(k *Key) { k.Retire, k.Expire = time.Time{}, time.Time{} }, 1e6 * time.Hour, Active},
		"never expires":             {func(k *Key) { k.Expire = time.Time{} }, 1e6 * time.Hour, Retiring},
		"revoked while pending":     {func(k *Key) { k.Revoked = epoch }, 0, Revoked},
		"just before revocation":    {func(k *Key) { k.Revoked = epoch.Add(2 * time.Minute) }, 2*time.Minute - 1, Active},
		"revoked while active":      {func(k *Key) { k.Revoked = epoch.Add(2 * time.Minute) }, 2 * time.Minute, Revoked},
		"revoked and expired":       {func(k *Key) { k.Revoked = epoch }, 3 * time.Hour, Revoked},
		"retired before it started": {func(k *Key) { k.Retire = epoch.Add(time.Second) }, 2 * time.Second, Retiring},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := whole
			tc.edit(&k)
			if got := k.State(epoch.Add(tc.at)); got != tc.want {
				t.Errorf("State() = %v, want %v", got, tc.want)
			}
		})
	}
}
