package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/securesession"
)

type importBot struct {
	importFile
	Name   string `placeholder:"NAME" help:"What the bot is called here; by default the document's Name."`
	Type   string `placeholder:"TYPE" help:"Who answers, if the bot is new: webhook, openai, echo or menu; echo by default, which says what it hears."`
	URL    string `name:"url" placeholder:"URL" help:"Where it answers, if the bot is new."`
	Secret string `placeholder:"SRN" help:"The secret that its calls are signed with, if the bot is new."`
}

// Help has examples.
func (importBot) Help() string {
	return `Copies the document to bots/NAME.json beside the configuration file, and prints what to
write there, unless the bot names the file already. The document gives SecureSession,
SecureSessionConfig, State and the policies of Handlers. Who answers it does not say: that is
for the configuration.

Example:
  carnet import connector baas.json
  carnet import bot bot.json --type webhook --url https://bots.example.com/teller --secret srn:vault::default:secret:teller`
}

// Run checks the document and writes it.
func (c importBot) Run(s *shell) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	text, err := c.read(s)
	if err != nil {
		return err
	}
	doc, err := config.ParseBot(text)
	if err != nil {
		return pointed("", err)
	}
	name, err := c.name(doc)
	if err != nil {
		return err
	}
	if err := errors.Join(c.check(cfg, name, doc), c.answers(cfg, name)); err != nil {
		return err
	}
	d := document{"bot " + name, filepath.Join(filepath.Dir(s.configFile()), "bots", name+".json"), text}
	if err := c.free([]document{d}); err != nil {
		return err
	}
	for _, w := range doc.Warnings {
		s.note("%s", w)
	}
	if err := c.write(s, d); err != nil {
		return err
	}
	if doc.Lifetime != 0 || doc.SessionTimeout != 0 {
		s.note("a running node takes the policies of Handlers over when it is started again")
	}
	known := cfg.Chat.Bots[bot.ID(name)]
	if known != nil && known.File != "" && sameFile(known.File, d.path) {
		return nil
	}
	return c.explain(s, name, known)
}

// name is what the bot is called in the configuration.
func (c importBot) name(doc *config.BotDocument) (string, error) {
	name := strings.ToLower(doc.Name)
	if c.Name != "" {
		name = c.Name
	}
	if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		return "", fault.BadField("--name", "must be given: 1 to 64 of a-z, 0-9, _ and -, which the document's Name is not")
	}
	return name, nil
}

// check wants a connector that the document names to be there, and somebody who answers.
func (c importBot) check(cfg *config.Config, name string, doc *config.BotDocument) error {
	var errs []error
	if p := doc.Policy; p != nil {
		apis, err := cfg.APIs()
		if err != nil {
			return err
		}
		there, what := apis.Connectors[strings.ToLower(p.Alias)] != nil, "connector"
		if p.Type == securesession.AuthProfile {
			there, what = apis.Profiles[strings.ToLower(p.Alias)] != nil, "auth profile"
		}
		if !there {
			errs = append(errs, fault.Newf(fault.Invalid, "/SecureSessionConfig/ApiAlias there is no %s %q: carnet import connector takes one over", what, p.Alias))
		}
	}
	return errors.Join(errs...)
}

// answers wants to be told who answers, if the bot is new.
func (c importBot) answers(cfg *config.Config, name string) error {
	if cfg.Chat.Bots[bot.ID(name)] != nil {
		if c.Type+c.URL+c.Secret != "" {
			return fault.Newf(fault.Invalid, "the bot %q is there: --type, --url and --secret are for one that is new", name)
		}
		return nil
	}
	var errs []error
	bad := func(flag, format string, args ...any) {
		errs = append(errs, fault.BadField(flag, fmt.Sprintf(format, args...)))
	}
	outside := c.Type == "webhook" || c.Type == "openai"
	u, err := url.Parse(c.URL)
	switch {
	case c.Type == "" && c.URL+c.Secret != "":
		bad("--type", "must be webhook or openai, since --url or --secret is given")
	case c.Type == "":
	case !outside && c.Type != "echo" && c.Type != "menu":
		bad("--type", "must be webhook, openai, echo or menu")
	case !outside && c.URL+c.Secret != "":
		bad("--url", "is not for a bot of the type %s, and --secret neither", c.Type)
	case outside && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http"):
		bad("--url", "must be the http or https URL at which the bot answers")
	}
	if c.Type == "webhook" && c.Secret == "" {
		bad("--secret", "must be the SRN of a secret to sign calls with, such as srn:vault::%s:secret:%s", cfg.Organization, name)
	}
	if c.Secret != "" {
		if err := secret.CheckRef(c.Secret, cfg.Organization, secret.ForText); err != nil {
			bad("--secret", "%s", fault.Public(err).Msg)
		}
	}
	return errors.Join(errs...)
}

// explain prints what to write into the configuration.
func (c importBot) explain(s *shell, name string, known *config.Bot) error {
	file := s.configFile()
	if file == "" {
		file = configName
	}
	if known == nil && c.Type == "" {
		c.Type = "echo"
		s.note("the document does not say who answers: write another type, and its url, where it is echo")
	}
	s.note("write into %s:", file)
	var out strings.Builder
	fmt.Fprintf(&out, "chat:\n  bots:\n    %s:\n", name)
	members := [][2]string{{"type", c.Type}, {"url", c.URL}, {"secret", c.Secret}}
	if c.Type == "openai" {
		members = append(members, [2]string{"model", "the name of a model that url serves"})
	}
	if known != nil {
		out.WriteString("      # what is there already\n")
		members = nil
	}
	for _, m := range append(members, [2]string{"file", "bots/" + name + ".json"}) {
		if m[1] == "" {
			continue
		}
		quoted, err := json.Marshal(m[1]) // JSON's strings are YAML's
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "      %s: %s\n", m[0], quoted)
	}
	_, err := fmt.Fprint(s.Out, out.String())
	return err
}

func sameFile(a, b string) bool {
	one, err := filepath.Abs(a)
	other, err2 := filepath.Abs(b)
	return err == nil && err2 == nil && one == other
}
