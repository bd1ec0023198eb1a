package runs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Options reads a subsystem's options into variables: *string and *bool. One
// that isn't known is an error, as is one of a wrong form.
func Options(options map[string]string, known map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		switch to := known[name].(type) {
		case *string:
			*to = options[name]
		case *bool:
			v, err := strconv.ParseBool(options[name])
			if err != nil {
				return fmt.Errorf("option %s: write true or false", name)
			}
			*to = v
		default:
			return fmt.Errorf("there is no option %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	return nil
}
