package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/limit"
)

// deviceSets are key sets that devices may register with.
const deviceSets = `
keys:
  mobile_device: {algorithms: [RS256], active: 10, kid_prefix: mobilev2_key, issuer_prefix: mobilev2, rotation: 0s, verification: forever}
  portal_anonymous: {algorithms: [RS256], kid_prefix: portal_anonymous_key, rotation: 0s, verification: forever}
  accessv1: {algorithms: [RS256], kid_prefix: accessv1_key}
`

// realmRefresh is all that a refresh needs.
const realmRefresh = `issuer: "https://sunbird.example/auth/realms/sunbird", jwks_uri: "https://sunbird.example/certs", key_set: accessv1`

func TestDevices(t *testing.T) {
	t.Parallel()
	want := []DeviceSet{{Name: "mobile_device"}, {Name: "portal_anonymous", Form: "shipped", Redirect: "/v3/x"}}
	c := mustLoad(t, deviceSets+`
limits: {register_per_device: 1/s, register_per_ip: none}
devices:
  sets:
  - mobile_device
  - {name: portal_anonymous, form: shipped, redirect: /v3/x}
  legacy: [mobile_device]
`, Options{})
	if diff := cmp.Diff(want, c.Devices.Sets); diff != "" {
		t.Errorf("sets (-want +got):\n%s", diff)
	}
	if c.Keys["mobile_device"].Active != 10 || c.Keys["portal_anonymous"].Active != 1 || c.Keys["access"].Active != 1 {
		t.Error("another number of active keys")
	}
	if c.Limits.RegisterPerDevice != (limit.Rate{N: 1, Per: time.Second}) || c.Limits.RegisterPerIP != (limit.Rate{}) || c.Devices.Refresh != nil {
		t.Errorf("%+v %+v", c.Limits, c.Devices)
	}
	roundTrip(t, c)
	words := mustLoad(t, deviceSets, Options{Environ: []string{"CARNET_DEVICES_SETS=mobile_device", "CARNET_DEVICES_LEGACY=a,b"}})
	if diff := cmp.Diff(want[:1], words.Devices.Sets); diff != "" || len(words.Devices.Legacy) != 2 {
		t.Errorf("sets of the environment (-want +got):\n%s", diff)
	}
}

func TestRefreshConfig(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, deviceSets+"devices: {refresh: {"+realmRefresh+`, secret: "srn:vault::default:secret:realm"}}`, Options{})
	if r := c.Devices.Refresh; r.OfflineValidity != Duration(720*time.Hour) || r.AccessValidity != Duration(12*time.Hour) || r.KeySet != "accessv1" {
		t.Errorf("refresh: %+v", r)
	}
	roundTrip(t, c)
	c = mustLoad(t, deviceSets+"devices: {refresh: {"+realmRefresh+`, offline_validity: 4320h, access_validity: 24h,
  roles_url: "http://learner:9000", roles_token: "srn:vault::default:secret:learner"}}`, Options{})
	if r := c.Devices.Refresh; r.OfflineValidity != Duration(4320*time.Hour) || r.AccessValidity != Duration(24*time.Hour) {
		t.Errorf("refresh: %+v", r)
	}
}

func TestDevicesRefused(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		`sets: [mobile]`:                                                                     `devices.sets[0]: there is no key set "mobile"`,
		`sets: [portal_anonymous]`:                                                           `devices.sets[0]: the key set "portal_anonymous" needs an issuer_prefix to sign device tokens of the form design`,
		`sets: [mobile_device, mobile_device]`:                                               `devices.sets[1]: the key set "mobile_device" is named twice`,
		`sets: [{name: access, form: shipped}]`:                                              `devices.sets[0]: the key set "access" is not for devices`,
		`sets: [{name: mobile_device, form: old}]`:                                           `devices.sets[0].form: must be design or shipped`,
		`sets: [{nam: mobile_device}]`:                                                       `devices.sets[0].nam: unknown key; did you mean "name"?`,
		`sets: [1]`:                                                                          `devices.sets[0]: must be a name, or a mapping of keys to values`,
		`sets: mobile_device`:                                                                `devices.sets: must be a list`,
		`sets: [{name: mobile_device, redirect: v3}]`:                                        `devices.sets[0].redirect: must be an http or https URL, or a path from /`,
		`sets: [{name: mobile_device, redirect: //x}]`:                                       `devices.sets[0].redirect: must be`,
		`sets: [{name: mobile_device, redirect: "ftp://x/y"}]`:                               `devices.sets[0].redirect: must be`,
		`legacy: [a, a]`:                                                                     `devices.legacy[1]: must be the username of another consumer`,
		`legacy: [""]`:                                                                       `devices.legacy[0]: must be`,
		`refresh: {}`:                                                                        `devices.refresh.issuer: must be the http or https URL of a Keycloak realm`,
		`refresh: {issuer: "https://x/y", key_set: accessv1}`:                                `set at least one of public_key, jwks_uri and secret`,
		`refresh: {` + realmRefresh + `, public_key: x, kid: y}`:                             `devices.refresh.jwks_uri: set this or public_key, not both`,
		`refresh: {` + realmRefresh + `, kid: y}`:                                            `devices.refresh.kid: belongs to public_key`,
		`refresh: {` + realmRefresh + `, secret: hunter2}`:                                   `devices.refresh.secret: must be an SRN`,
		`refresh: {` + realmRefresh + `, secret: "srn:vault::other:secret:x"}`:               `devices.refresh.secret: `,
		`refresh: {` + realmRefresh + `, roles_url: learner}`:                                `devices.refresh.roles_url: must be an http or https URL`,
		`refresh: {` + realmRefresh + `, roles_token: "srn:vault::default:secret:x"}`:        `devices.refresh.roles_token: has nobody to be shown to`,
		`refresh: {` + realmRefresh + `, access_validity: forever}`:                          `devices.refresh.access_validity: must be more than nothing and have an end`,
		`refresh: {` + realmRefresh + `, offline_validity: -1s}`:                             `devices.refresh.offline_validity: must be`,
		`refresh: {issuer: "https://x/y", jwks_uri: "https://x/z", key_set: acess}`:          `devices.refresh.key_set: there is no key set "acess"; did you mean "access"?`,
		`{sets: [mobile_device], refresh: {issuer: "https://x/y", key_set: mobile_device}}`:  `devices.refresh.key_set: the key set "mobile_device" signs device tokens`,
		`refresh: {issuer: "https://u:p@x/y", jwks_uri: "https://x/z", key_set: accessv1}`:   `devices.refresh.issuer: must be`,
		`refresh: {issuer: "https://x/y?realm=1", jwks_uri: "https://x", key_set: accessv1}`: `devices.refresh.issuer: must be`,
	} {
		devices := "devices: {" + yaml + "}"
		if strings.HasPrefix(yaml, "{") {
			devices = "devices: " + yaml
		}
		_, err := load([]byte(deviceSets+devices), Options{Path: "carnet.yaml"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", yaml, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the secret is shown", yaml)
		}
	}
	for active, ok := range map[string]bool{"0": false, "-1": false, "1": true, "64": true, "65": false} {
		_, err := load([]byte("keys: {a: {active: "+active+"}}"), Options{Path: "carnet.yaml"})
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "keys.a.active: must be 1 to 64") {
			t.Errorf("active: %s: %v", active, err)
		}
	}
}
