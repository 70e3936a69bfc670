package chat

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/carnetproject/carnet/internal/fault"
)

// mergeObjects returns the members of object with those of set over them, as far down
// as the first level alone; a member that set has as null goes. A nil object is empty.
func mergeObjects(object, set json.RawMessage) (json.RawMessage, error) {
	members := map[string]json.RawMessage{}
	if len(object) > 0 {
		if err := json.Unmarshal(object, &members); err != nil {
			return nil, fault.Wrap(fault.Internal, "stored context", err)
		}
	}
	var changes map[string]json.RawMessage
	if err := json.Unmarshal(set, &changes); err != nil || changes == nil {
		return nil, fault.BadField("context", "must be a JSON object")
	}
	for name, value := range changes {
		if bytes.Equal(value, []byte("null")) {
			delete(members, name)
			continue
		}
		members[name] = value
	}
	merged, err := json.Marshal(members)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "merge context", err)
	}
	if len(merged) > MaxContext {
		return nil, &fault.Error{
			Kind: fault.TooLarge, Field: "context", Msg: fmt.Sprintf("must have at most %d bytes of JSON in all", MaxContext),
		}
	}
	return merged, nil
}
