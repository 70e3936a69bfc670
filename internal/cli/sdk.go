package cli

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/web"
)

type sdkCommand struct {
	Info sdkInfo `cmd:"" help:"Print the files of the web SDK, with what a page needs to load them."`
}

type sdkInfo struct {
	listing
	URL string `placeholder:"URL" help:"Where pages reach Carnet; without it, issuer of the configuration."`
}

// Help has examples.
func (sdkInfo) Help() string {
	return `A page that names the version and the hash gets the file that this Carnet serves, or
none: change both when you upgrade. Without them it gets the newest.

Example:
  carnet sdk info --url https://chat.example.com`
}

// sdkFile is a file as the JSON list has it.
type sdkFile struct {
	URL       string `json:"url"` // with its version
	Version   string `json:"version"`
	Size      int    `json:"size"`
	Gzip      int    `json:"gzip"`
	Integrity string `json:"integrity"`
	Tag       string `json:"tag"`
}

// Run prints one line for each file and the script tags below.
func (c sdkInfo) Run(s *shell) error {
	base, err := c.base(s)
	if err != nil {
		return err
	}
	scripts := web.Scripts()
	files, cells := make([]sdkFile, len(scripts)), make([][]string, len(scripts))
	for i, f := range scripts {
		address := base + f.Path + "?v=" + f.Version
		files[i] = sdkFile{URL: address, Version: f.Version, Size: f.Size, Gzip: f.Gzip, Integrity: f.Integrity, Tag: scriptTag(address, f)}
		cells[i] = []string{f.Path, f.Version, strconv.Itoa(f.Size), strconv.Itoa(f.Gzip), f.Integrity}
	}
	if err := c.print(s.Out, files, "FILE VERSION BYTES GZIP INTEGRITY", cells); err != nil || c.JSON {
		return err
	}
	for _, f := range files {
		fmt.Fprintf(s.Out, "\n%s\n", f.Tag)
	}
	return nil
}

// base is the address before the path.
func (c sdkInfo) base(s *shell) (string, error) {
	address := c.URL
	if address == "" {
		cfg, err := s.load()
		if err != nil {
			return "", err
		}
		address = cfg.Issuer
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsAny(address, `"'<>`) {
		return "", fault.New(fault.Invalid, "--url must be an http or https URL, without quotes")
	}
	return strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/"), nil
}

func scriptTag(address string, f web.Script) string {
	kind := ""
	if f.Module {
		kind = ` type="module"`
	}
	return fmt.Sprintf(`<script%s src="%s" integrity="%s" crossorigin="anonymous"></script>`, kind, address, f.Integrity)
}
