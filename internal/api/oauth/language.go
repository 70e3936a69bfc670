package oauth

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// languages are those that the pages speak; the first is for who wants none of them.
var languages = []*words{&english, &german}

// maxWanted is how many languages of a list are looked at.
const maxWanted = 32

// spoken is the language for a person: of those that the app names (ui_locales, OpenID
// Connect Core §3.1.2.1: the best first), else of those of the browser.
func spoken(r *http.Request, locales string) *words {
	wanted := strings.Fields(locales)
	return cmp.Or(lookUp(wanted), lookUp(accepted(r.Header.Get("Accept-Language"))), languages[0])
}

// tags name all languages (RFC 5646).
func tags() (all []string) {
	for _, w := range languages {
		all = append(all, w.Lang)
	}
	return all
}

// lookUp is the first wanted language that there is, nil if there is none. One that is asked
// for too exactly, as de-AT, is found by what it begins with (RFC 4647 §3.4).
func lookUp(wanted []string) *words {
	for _, tag := range wanted[:min(len(wanted), maxWanted)] {
		primary, _, _ := strings.Cut(tag, "-")
		for _, w := range languages {
			if strings.EqualFold(primary, w.Lang) {
				return w
			}
		}
	}
	return nil
}

// accepted are the languages of an Accept-Language header, the best first (RFC 9110 §12.5.4).
func accepted(header string) (tags []string) {
	type choice struct {
		tag     string
		quality float64
	}
	var all []choice
	for one := range strings.SplitSeq(header, ",") {
		if len(all) == maxWanted {
			break
		}
		tag, parameter, _ := strings.Cut(one, ";")
		c := choice{strings.TrimSpace(tag), 1}
		if q, ok := strings.CutPrefix(strings.TrimSpace(parameter), "q="); ok {
			c.quality, _ = strconv.ParseFloat(q, 64) // 0 if it is none: not wanted
		}
		if c.tag != "" && c.quality > 0 {
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b choice) int { return cmp.Compare(b.quality, a.quality) })
	for _, c := range all {
		tags = append(tags, c.tag)
	}
	return tags
}
