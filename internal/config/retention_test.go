package config

import (
	"strings"
	"testing"
	"time"
)

func TestRetention(t *testing.T) {
	t.Parallel()
	for value, want := range map[Duration]string{ // a part of the error; "": none
		Forever:                        "",
		Duration(90 * 24 * time.Hour):  "",
		minRetention:                   "",
		minRetention - 1:               "chat.retention: must be at least 24h, or forever",
		0:                              "chat.retention: must be at least 24h, or forever",
		Duration(-90 * 24 * time.Hour): "chat.retention: must be at least 24h, or forever",
	} {
		t.Run(value.String(), func(t *testing.T) {
			t.Parallel()
			c := Default()
			c.Data = t.TempDir()
			c.complete()
			c.Chat.Retention = value
			err := c.Validate(nil)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("error = %v, want %q", err, want)
			}
		})
	}
}
