package secret

import "time"

// Sealed is one version of a secret as a store keeps it: it cannot read the value.
type Sealed struct {
	Organization string
	Type         string // one of [Types]; all versions of a name have the same
	Name         string // lower case
	Version      int64  // from 1 on; 0 asks for the latest
	Value        []byte // sealed; nil where only the rest was asked for
	Created      time.Time
}
