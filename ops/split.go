package ops

import (
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strings"
)

// EngineRPC is the engine of a worker that holds a part of another one's model:
// llama.cpp's RPC server.
const EngineRPC = "llamacpp-rpc"

// MaxSplit is how many hives a model can be divided over: the first, and as many
// RPC servers as llama.cpp takes (GGML_RPC_MAX_SERVERS of ggml-rpc.h).
const MaxSplit = 17

// Split is how a model that is too big for one machine is divided. It is
// embedded in [WorkerSpawn].
type Split struct {
	// Hives divides the model over these hives, 2 to 17, by llama.cpp's RPC
	// backend. The first has the model on its disk and runs the worker; hive_id,
	// where it is given too, must name that one.
	Hives []string `json:"hives,omitempty" sep:"," placeholder:"HIVE,HIVE" help:"Divide the model over these hives, which llama.cpp can; the first has it on its disk."`
	// Share is how much of the weights the first of Hives takes, above 0 and
	// below 1; 0 leaves it to the free memory of all.
	Share float64 `json:"share,omitempty" placeholder:"FRACTION" help:"With --hives, how much of the weights the first one takes, as 0.4 (default: by free memory)."`
	// PartOf makes the worker one that holds a part of the model of another one,
	// named HIVE/ID. The queen sets it.
	PartOf string `json:"part_of,omitempty" kong:"-"`
	// PartBytes is how much memory the part is to hold, which the hive makes room
	// for, or refuses; 0 is not known. The queen sets it.
	PartBytes uint64 `json:"part_bytes,omitempty" kong:"-"`
	// RoomOnly has the first of Hives make room for its part of the model, or refuse
	// it, and start nothing. The answer is a worker without an id: its Model is the
	// model's name, and its PartBytes are what all parts take together. With PartOf it
	// is for that part. The queen sets it, before she starts any of them.
	RoomOnly bool `json:"room_only,omitempty" kong:"-"`
	// WouldFit has the hive say whether there is room for the worker, or refuse it, and
	// start nothing and unload nothing. The answer is that of RoomOnly. The queen sets
	// it.
	WouldFit bool `json:"would_fit,omitempty" kong:"-"`
	// Coming, with WouldFit, is the model that the hive would get first from another
	// one, as that one, its HiveID, describes it. The queen sets it.
	Coming *Model `json:"coming,omitempty" kong:"-"`
}

// check checks the fields beside those that they have to do with.
func (s Split) check(hive, engine string) error {
	if s.PartOf != "" {
		hive, id := SplitPartOf(s.PartOf)
		return firstError(checkRequired("part_of", hive), checkRequired("part_of", id), checkName("part_of", hive), checkName("part_of", id))
	}
	if s.Coming != nil && !s.WouldFit {
		return Invalid("coming", "is for asking whether a model would fit: set would_fit")
	}
	if s.PartBytes != 0 {
		return Invalid("part_bytes", "is for a worker that holds a part: name whose in part_of")
	}
	if len(s.Hives) == 0 {
		switch {
		case s.Share != 0:
			return Invalid("share", "is for a model that is divided over hives: name them by --hives")
		case s.RoomOnly:
			return Invalid("room_only", "is for a model that is divided over hives: name them in hives")
		}
		return nil
	}
	for i, h := range s.Hives {
		if err := firstError(checkRequired("hives", h), checkName("hives", h)); err != nil {
			return err
		}
		if slices.Contains(s.Hives[:i], h) {
			return Invalid("hives", "must name each hive once, got %s twice", h)
		}
	}
	switch {
	case len(s.Hives) < 2 || len(s.Hives) > MaxSplit:
		return Invalid("hives", "must be 2 to %d, got %d; for one hive use --hive", MaxSplit, len(s.Hives))
	case hive != "" && hive != s.Hives[0]:
		return Invalid("hive_id", "must be empty or the first of hives, %s, got %s", s.Hives[0], hive)
	case engine != "" && engine != "auto" && engine != "llamacpp":
		return Invalid("worker", "must be llamacpp to divide a model over hives, got %s", clip(engine))
	case !(s.Share >= 0 && s.Share < 1):
		return Invalid("share", "must be above 0 and below 1, or 0 for a share by free memory, got %v", s.Share)
	}
	return nil
}

// SplitPartOf takes a [Worker]'s PartOf apart.
func SplitPartOf(name string) (hive, id string) {
	hive, id, _ = strings.Cut(name, "/")
	return hive, id
}

// WorkerIDOf is the id of the worker that a hive starts for a job. It is made
// from the job's id, so that the job finds it again.
func WorkerIDOf(jobID string) string {
	sum := sha256.Sum256([]byte(jobID))
	return "w" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:6])
}
