package ops

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode"
)

// An API key is a secret that lets a program use the queen. The secret is made
// by whoever asks for the key and never reaches the queen before its first use:
// operations are stored and shown, so they carry its digest alone.

// KeyPrefix is what every secret made here begins with, so that tools that look
// for leaked secrets know one.
const KeyPrefix = "sk-rbee-"

// NewKeySecret makes a secret of 130 random bits.
func NewKeySecret() string { return KeyPrefix + strings.ToLower(rand.Text()) }

// KeyDigest is what is kept of a secret: its SHA-256, in hex. A slow hash would
// protect secrets that can be guessed; 130 random bits cannot.
func KeyDigest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Scope is a part of the queen's API that a key opens.
type Scope string

// The scopes.
const (
	ScopeInference Scope = "inference" // the APIs of OpenAI, Anthropic and Ollama
	ScopeJobs      Scope = "jobs"      // jobs that use what is there: infer, lists, workers
	ScopeAdmin     Scope = "admin"     // everything, as the queen's token
)

// Scopes are all of them.
var Scopes = []Scope{ScopeInference, ScopeJobs, ScopeAdmin}

// KeyState says whether a key is taken.
type KeyState string

// The states of a key.
const (
	KeyActive  KeyState = "active"
	KeyExpired KeyState = "expired"
	KeyRevoked KeyState = "revoked"
)

// Key is an API key, without its secret.
type Key struct {
	ID                string     `json:"id"`
	Name              string     `json:"name"`
	State             KeyState   `json:"state"`
	Scopes            []Scope    `json:"scopes"`
	Models            []string   `json:"models"`              // empty is all
	Missing           []string   `json:"missing,omitempty"`   // of Models, those that no hive has and no alias means now; of a list
	RequestsPerMinute int        `json:"requests_per_minute"` // 0 is no limit
	TokensPerMinute   int        `json:"tokens_per_minute"`   // prompt and answer; 0 is no limit
	CreatedAt         time.Time  `json:"created_at"`
	ExpiresAt         *time.Time `json:"expires_at,omitempty"`
	RevokedAt         *time.Time `json:"revoked_at,omitempty"`
	LastUsedAt        *time.Time `json:"last_used_at,omitempty"` // to ten seconds
}

// Keys is the answer to [KeyList].
type Keys struct {
	Keys []Key `json:"keys"`
}

// KeyEnded is the answer to [KeyRevoke].
type KeyEnded struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Forgotten bool   `json:"forgotten"`
}

var keyDigest = shaped(`^[0-9a-f]*$`, 64, 64)

// KeyCreate makes an API key.
type KeyCreate struct {
	op[Key] `kong:"-" json:"-"`
	// Label is what a person calls the key, at most 128 bytes and not blank; no other
	// key that is taken has it. Empty has the queen make one up.
	Label string `json:"name,omitempty"`
	// Digest is the SHA-256 of the secret, 64 hex digits (see [KeyDigest]). The
	// secret must be random: nothing makes up for one that can be guessed.
	Digest string `json:"digest"`
	// Scopes are what it opens; absent means inference. None at all is refused: who
	// meant to narrow the key down would be given another one.
	Scopes []Scope `json:"scopes,omitempty"`
	// Models are the models that it may use, or aliases, for what these mean then, 256 at
	// most; absent means all, and none at all is refused, as are any for an admin.
	Models []string `json:"models,omitempty"`
	// RequestsPerMinute bounds requests, up to a million; 0 does not.
	RequestsPerMinute int `json:"requests_per_minute,omitempty"`
	// TokensPerMinute bounds tokens of prompts and answers together, up to a
	// billion; 0 does not.
	TokensPerMinute int `json:"tokens_per_minute,omitempty"`
	// Expires is how long it is taken, as 12h or 30d, up to ten years; absent means
	// until it is revoked, and an empty one is refused.
	Expires *string `json:"expires,omitempty"`
}

// Name returns "key_create".
func (KeyCreate) Name() string { return "key_create" }

// Validate wants a digest and checks ranges.
func (o KeyCreate) Validate() error {
	return firstError(o.checkLabel(), o.checkDigest(), o.checkScopes(), o.checkModels(),
		checkRange("requests_per_minute", o.RequestsPerMinute, 0, 1_000_000),
		checkRange("tokens_per_minute", o.TokensPerMinute, 0, 1_000_000_000), o.checkExpires())
}

func (o KeyCreate) checkExpires() error {
	if o.Expires == nil {
		return nil
	}
	if _, err := ParseAge(*o.Expires); err != nil {
		return Invalid("expires", "%w", err)
	}
	return nil
}

func (o KeyCreate) checkLabel() error {
	if o.Label == ByToken || o.Label == ByNone {
		return Invalid("name", "must not be %q, by which `rbee usage` calls what no key has used", o.Label)
	}
	if o.Label != "" && strings.TrimSpace(o.Label) == "" {
		return Invalid("name", "must not be blank")
	}
	return checkKeyName("name", o.Label)
}

// checkKeyName checks what a person calls a key.
func checkKeyName(field, name string) error {
	if len(name) > 128 || strings.IndexFunc(name, unicode.IsControl) >= 0 {
		return Invalid(field, "must be at most 128 bytes without control characters, got %q", clip(name))
	}
	return nil
}

func (o KeyCreate) checkDigest() error {
	if !keyDigest.MatchString(o.Digest) { // not quoted: it may be the secret itself
		return Invalid("digest", "must be the SHA-256 of the secret, 64 lower-case hex digits, as `printf %%s SECRET | sha256sum` makes it")
	}
	return nil
}

func (o KeyCreate) checkScopes() error {
	if o.Scopes != nil && len(o.Scopes) == 0 {
		return Invalid("scopes", "must not be empty: leave it out for inference")
	}
	for _, s := range o.Scopes {
		if !slices.Contains(Scopes, s) {
			return Invalid("scopes", "must be inference, jobs or admin, got %q", clip(string(s)))
		}
	}
	return nil
}

func (o KeyCreate) checkModels() error {
	if o.Models != nil && len(o.Models) == 0 {
		return Invalid("models", "must not be empty: leave it out for all")
	}
	if len(o.Models) > 0 && slices.Contains(o.Scopes, ScopeAdmin) {
		return Invalid("models", "does not bound a key for admin, which can make another for all models: leave it out, or that scope")
	}
	if len(o.Models) > 256 {
		return Invalid("models", "takes at most 256 models, got %d", len(o.Models))
	}
	for _, m := range o.Models {
		if strings.TrimSpace(m) == "" {
			return Invalid("models", "must not be blank: leave it out for all")
		}
		if err := checkModel("models", m); err != nil {
			return err
		}
	}
	return nil
}

func (o KeyCreate) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.KeyCreate(ctx, o)
	return done(o, r, err)
}

// KeyList lists the API keys.
type KeyList struct {
	op[Keys] `kong:"-" json:"-"`
}

// Name returns "key_list".
func (KeyList) Name() string { return "key_list" }

// Validate accepts every KeyList: it has no fields.
func (KeyList) Validate() error { return nil }

func (o KeyList) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.KeyList(ctx, o)
	return done(o, r, err)
}

// KeyRevoke ends an API key for good.
type KeyRevoke struct {
	op[KeyEnded] `kong:"-" json:"-"`
	// ID is the key's id, or the name that it alone has of those that are taken.
	ID string `json:"id" arg:"" help:"Key's id, or its name."`
	// Forget also takes it off the list. Where that was the last key, requests
	// for inference from this machine want none again.
	Forget bool `json:"forget,omitempty" help:"Also take it off the list; without any key on it, this machine's own programs want none again."`
}

// Name returns "key_revoke".
func (KeyRevoke) Name() string { return "key_revoke" }

// Validate wants an id.
func (o KeyRevoke) Validate() error {
	return firstError(checkRequired("id", o.ID), checkKeyName("id", o.ID))
}

func (o KeyRevoke) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.KeyRevoke(ctx, o)
	return done(o, r, err)
}
