package modes_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rbee.dev/rbee/testdata"
	"rbee.dev/rbee/transport/ssh/lab"
)

// BenchmarkLabCopy copies a model of 256 MiB from one machine to another: by rbee
// through the queen, checked and synced, and by scp, through the queen's machine
// too (scp -3) and straight from one to the other. Once over links of 1 Gbit/s, and
// once as fast as the processor, which all the machines of a lab share, allows.
func BenchmarkLabCopy(b *testing.B) {
	const size = 256 << 20
	for _, link := range []struct{ name, rate string }{{"gigabit", "1gbit"}, {"unlimited", ""}} {
		b.Run(link.name, func(b *testing.B) {
			l := lab.Start(b, lab.Machine{Name: "gpu1"}, lab.Machine{Name: "gpu2"})
			home := b.TempDir()
			rbee := func(args ...string) time.Duration {
				b.Helper()
				cmd := l.Command(binary, args...)
				cmd.Env = append(cmd.Env, "RBEE_HOME="+home, "RBEE_LISTEN=127.0.0.1:0", "RBEE_QUEEN=")
				return timed(b, cmd)
			}
			config := filepath.Join(l.Home, ".ssh", "config")
			big := filepath.Join(b.TempDir(), "big.gguf")
			if err := os.WriteFile(big, bytes.Repeat(testdata.Tinybee(), size/len(testdata.Tinybee())), 0o600); err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { rbee("queen", "stop") }) // last: to uninstall starts one
			for _, hive := range []string{"gpu1", "gpu2"} {
				rbee("hive", "install", "--host", hive)
				b.Cleanup(func() { rbee("hive", "uninstall", hive) })
			}
			timed(b, l.Command("scp", "-q", "-F", config, big, "gpu1:big.gguf"))
			timed(b, l.Command("ssh", "gpu1", "mkdir -p .cache/rbee/models/big && cp big.gguf .cache/rbee/models/big/big.gguf"))
			timed(b, l.Command("scp", "-q", "-F", config, filepath.Join(l.Home, ".ssh", "id_ed25519"), "gpu1:key"))
			direct := "scp -q -i key -o StrictHostKeyChecking=no big.gguf alice@" + l.Machine("gpu2").Addr() + ":copy"
			if link.rate != "" {
				l.Machine("gpu1").Limit(link.rate)
				l.Machine("gpu2").Limit(link.rate)
			}
			var ours, relayed, straight []time.Duration
			for b.Loop() {
				relayed = append(relayed, timed(b, l.Command("scp", "-q", "-3", "-F", config, "gpu1:big.gguf", "gpu2:copy")))
				straight = append(straight, timed(b, l.Command("ssh", "gpu1", direct)))
				ours = append(ours, rbee("model", "copy", "big", "--from", "gpu1", "--to", "gpu2"))
				rbee("model", "delete", "big", "--hive", "gpu2")
			}
			b.ReportMetric(median(ours).Seconds(), "copy-s")
			b.ReportMetric(median(relayed).Seconds(), "scp-3-s")
			b.ReportMetric(median(relayed).Seconds()/median(ours).Seconds(), "share-of-scp-3")
			b.ReportMetric(median(straight).Seconds(), "scp-s")
			b.ReportMetric(median(straight).Seconds()/median(ours).Seconds(), "share-of-scp")
			b.ReportMetric(0, "ns/op")
		})
	}
}
