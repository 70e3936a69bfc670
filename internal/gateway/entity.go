package gateway

import "encoding/json"

// Entity is a piece of configuration that the store keeps besides the file. What it says
// stands in its document, in the form of whoever wrote it there.
type Entity struct {
	Kind string // "services", "routes", …
	ID   string // unique
	Name string // unique within the kind; "" if it has none
	Doc  json.RawMessage
}
