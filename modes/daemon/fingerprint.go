package daemon

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
)

// Fingerprint names a certificate as ssh names a host key: SHA256 and the digest
// of all of it in base64.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}
