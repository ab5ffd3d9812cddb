package ops_test

import (
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

func TestAgesAreReadAsPeopleWriteThem(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"30m": 30 * time.Minute, "12h": 12 * time.Hour, "1h30m": 90 * time.Minute, "30d": 30 * day, "4w": 28 * day, "3650d": 3650 * day,
		"": 0, "d": 0, "7": 0, "0d": 0, "-1d": 0, "1.5d": 0, "4000d": 0, "99999999999d": 0, "2147483647w": 0, "7 d": 0, "a week": 0,
	} {
		got, err := ops.ParseAge(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestEachSecretIsNewAndItsDigestTellsNothingOfIt(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		secret := ops.NewKeySecret()
		if seen[secret] || len(secret) < len(ops.KeyPrefix)+26 {
			t.Fatalf("the secret %q", secret)
		}
		seen[secret] = true
	}
	if got := ops.KeyDigest("abc"); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" { // FIPS 180-2, B.1
		t.Errorf("the digest of abc is %s", got)
	}
}

func TestALengthOfTimeIsShownWithoutItsZeros(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Hour: "1h", 90 * time.Minute: "1h30m", 30 * time.Second: "30s", 10 * time.Second: "10s", time.Minute: "1m", 10 * time.Hour: "10h",
		3601 * time.Second: "1h0m1s", 270 * time.Second: "4m30s",
	} {
		if got := ops.Shortly(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
