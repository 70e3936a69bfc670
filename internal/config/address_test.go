package config

import "testing"

func TestAddresses(t *testing.T) {
	t.Parallel()
	type kind string
	const postgres, redis, none kind = "postgres", "redis", ""
	for address, want := range map[string]kind{
		"postgres://ann@db/carnet":                        postgres,
		"postgresql://ann:hush@[::1]:5432/carnet":         postgres,
		"postgres://a:1,b:2/carnet?target_session_attrs=": postgres,
		"postgres:///carnet?host=/run/postgresql":         postgres,
		"postgres://db":                  none, // which database?
		"postgres://db/carnet#x":         none,
		"mysql://db/carnet":              none,
		"redis://localhost:6379":         redis,
		"rediss://ann:hush@[::1]:6379/1": redis,
		"valkey://localhost":             redis,
		"valkeys://localhost":            redis,
		"unix:///run/redis.sock":         redis,
		"redis://":                       none,
		"unix://":                        none,
		"redis://:hu#sh@localhost":       none,
		"http://localhost:6379":          none,
	} {
		if got := postgresURL(address); got != (want == postgres) {
			t.Errorf("postgresURL(%q) = %t", address, got)
		}
		if got := redisURL(address); got != (want == redis) {
			t.Errorf("redisURL(%q) = %t", address, got)
		}
	}
}

func TestWithoutPassword(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"sqlite:///var/lib/carnet.db":                        "sqlite:///var/lib/carnet.db",
		"postgres://ann@db/x?b=1&a=2":                        "postgres://ann@db/x?b=1&a=2",
		"postgres://ann:hush@db/x?sslmode=require":           "postgres://ann:xxxxx@db/x?sslmode=require",
		"postgres://db/x?user=ann&password=hush":             "postgres://db/x?password=xxxxx&user=ann",
		"postgres://ann:hush@db/x?sslpassword=hush&sslkey=k": "postgres://ann:xxxxx@db/x?sslkey=k&sslpassword=xxxxx",
		"redis://:hush@redis:6379/1":                         "redis://:xxxxx@redis:6379/1",
		"rediss://ann:hush@redis?skip_verify=true":           "rediss://ann:xxxxx@redis?skip_verify=true",
		"postgres://ann:hu/sh@db/x":                          "[redacted]",
	} {
		if got := WithoutPassword(address); got != want {
			t.Errorf("WithoutPassword(%q) = %q, want %q", address, got, want)
		}
	}
}
