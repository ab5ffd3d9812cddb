package testdata_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"rbee.dev/rbee/testdata"
)

func TestTinybeeIsTheFileThatIsRecorded(t *testing.T) {
	model := testdata.Tinybee()
	if !bytes.HasPrefix(model, []byte("GGUF")) {
		t.Error("it is no GGUF file")
	}
	if len(model) > 4<<20 {
		t.Errorf("it is %d bytes, and makes the binary that much larger", len(model))
	}
	sums, err := os.ReadFile("SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(model)
	if !strings.HasPrefix(string(sums), hex.EncodeToString(sum[:])) {
		t.Error("SHA256SUMS names another file: record the new one and say in tinybee/README.md how it was made")
	}
}
