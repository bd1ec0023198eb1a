package sequence

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Token identifies one attempt at one step, or at its undoing. It travels with
// the driver call, and a probe recognises the effect by it.
func Token(job string, step, attempt int32, undo bool) string {
	side := "do"
	if undo {
		side = "undo"
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "yagura/%s/%d/%s/%d", job, step, side, attempt))
	return "yg" + hex.EncodeToString(sum[:12])
}
