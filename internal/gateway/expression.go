package gateway

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

// maxExpression bounds what one expression costs to compile and to match.
const maxExpression = 1024

// compileExpression compiles text between two anchors or flags of ours. The time to
// match grows with what is matched and no faster; so what Kong's engine can and
// RE2 cannot, such as looking ahead, is refused.
func compileExpression(before, text, after string) (*regexp.Regexp, error) {
	if len(text) > maxExpression {
		return nil, fault.New(fault.Invalid, fmt.Sprintf("is an expression of more than %d bytes", maxExpression))
	}
	if _, err := regexp.Compile(text); err != nil {
		return nil, fault.New(fault.Invalid, "is no expression of RE2: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return regexp.Compile(before + "(?:" + text + ")" + after)
}
