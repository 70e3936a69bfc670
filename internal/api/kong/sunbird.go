package kong

import (
	"encoding/json"
	"fmt"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
)

// ReadSunbird reads the kong_consumers.json of Sunbird's onboarding: a list of consumers
// with their groups, a credential and their limits for single APIs. Its names of APIs
// are those of services here.
func ReadSunbird(data []byte) (*Wanted, error) {
	if len(data) > MaxFile {
		return nil, fault.Newf(fault.TooLarge, "the file must be at most %d bytes", MaxFile)
	}
	var list []json.RawMessage
	if err := httpx.DecodeJSON(data, &list); err != nil {
		return nil, fault.New(fault.Invalid, "the file must be a JSON list of consumers")
	}
	r := &reader{}
	for i, text := range list {
		d, err := parseJSON(text)
		if err != nil {
			return nil, fault.Newf(fault.Invalid, "[%d] must be an object", i)
		}
		if err := r.onboard(d); err != nil {
			return nil, fault.BadField(fmt.Sprintf("[%d]", i), err.Error())
		}
	}
	return r.finish(), nil
}

// onboard reads one consumer.
func (r *reader) onboard(d Document) error {
	username := text(d, "username")
	if username == "" {
		return fault.New(fault.Invalid, "username must be a text")
	}
	switch text(d, "state") {
	case "absent":
		r.wishes = append(r.wishes, &wish{kind: consumers, title: username, refs: map[string]string{}, absent: true})
		return nil
	case "present":
	default:
		return fault.New(fault.Invalid, "state must be present or absent")
	}
	credential := Document{
		"algorithm": d["credential_algorithm"], "key": d["credential_iss"], "rsa_public_key": d["credential_rsa_public_key"],
	}
	if d["key"] != nil {
		credential["key"] = d["key"]
	}
	credential["secret"] = d["secret"]
	var acls, limits []any
	for _, g := range texts(d, "groups") {
		acls = append(acls, Document{"group": g})
	}
	all, _ := d["rate_limits"].([]any)
	for _, v := range all {
		one, ok := v.(Document)
		if !ok || text(one, "api") == "" {
			return fault.New(fault.Invalid, "rate_limits must be objects with an api")
		}
		if text(one, "state") == "absent" {
			r.wishes = append(r.wishes, &wish{
				kind: plugins, title: "rate-limiting", absent: true,
				refs: map[string]string{"consumer": username, "service": text(one, "api")},
			})
			continue
		}
		limit := Document{"name": "rate-limiting", "service": one["api"]}
		for name, v := range one {
			if name != "api" && name != "state" {
				limit[name] = v
			}
		}
		limits = append(limits, kong014{}.read(plugins, limit))
	}
	before := len(r.wishes)
	r.entity(consumers, Document{"username": username, "acls": acls, "jwt_secrets": []any{credential}, "plugins": limits}, nil)
	for _, w := range r.wishes[before:] {
		w.whole = w.kind == consumers
		w.first = w.kind == credentials && credential["key"] == nil
	}
	return nil
}
