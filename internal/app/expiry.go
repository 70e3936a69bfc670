package app

import "time"

// Warning is how long before its end an app's last credential is worth a warning.
const Warning = 14 * 24 * time.Hour

// Ends is when the last of a's secrets and keys ends, after which it cannot prove who it
// is; zero if one has no end, and for an app that has none.
func (a *App) Ends() (last time.Time) {
	later := func(end time.Time) (endless bool) {
		if end.After(last) {
			last = end
		}
		return end.IsZero()
	}
	for i := range a.Secrets {
		if later(a.Secrets[i].NotAfter) {
			return time.Time{}
		}
	}
	for i := range a.Keys {
		if later(a.Keys[i].NotAfter) {
			return time.Time{}
		}
	}
	return last
}

// Ending returns the enabled apps that end within [Warning] or have ended, and in how long
// the first of all enabled ones does. ok is false if none ever does.
func (d *Directory) Ending(now time.Time) (soon []*App, first time.Duration, ok bool) {
	for _, a := range d.All() {
		end := a.Ends()
		if a.Disabled || end.IsZero() {
			continue
		}
		left := end.Sub(now)
		if !ok || left < first {
			first, ok = left, true
		}
		if left < Warning {
			soon = append(soon, a)
		}
	}
	return soon, first, ok
}
