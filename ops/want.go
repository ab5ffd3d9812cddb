package ops

// A hive speaks to nobody but its queen, who holds connections to all hives. What
// it wants of another hive, or of the queen herself, it says on a stream that the
// queen holds open, [WantsPath], one [Want] a line. The queen answers each by a
// PUT to [AnswersPath] and its id, whose body is an HTTP response as it goes over
// a wire (RFC 9112): another hive's, passed on as it comes. Where it is an [Error]'s,
// a status of 500 and more says that it may pass, and another one that it stays.

// The routes of a hive by which models go from hive to hive.
const (
	WantsPath   = "/v1/wants"
	AnswersPath = "/v1/answers/"
	// FilesPath and a model's name is where its [ModelFiles] are; with a slash and
	// a file's name behind it, that file, of which parts can be asked for; with
	// ?sum=1, its [FileSum]. ?for and ?job may name the hive that it is for and its
	// job there, for which the model is kept until that asks with ?over=1, or for
	// nothing for a minute.
	FilesPath = "/v1/files/"
)

// HiveScheme begins a reference to a model on another hive: hive:NAME/MODEL.
const HiveScheme = "hive:"

// Want is what a hive asks its queen for.
type Want struct {
	ID string `json:"id"`
	// HiveID is the hive that is asked; empty asks the queen which hives have a
	// model from Source or with SHA256, and she answers with [Models].
	HiveID string `json:"hive_id,omitempty"`
	Source string `json:"source,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	// Model is the model's name over there, File one of its files; without a file
	// its [ModelFiles] are wanted.
	Model string `json:"model,omitempty"`
	File  string `json:"file,omitempty"`
	// Sum asks for the file's [FileSum] in place of the file.
	Sum bool `json:"sum,omitempty"`
	// Over says that no more of the model is wanted, which may be deleted over there
	// from now on.
	Over bool `json:"over,omitempty"`
	// Range and IfRange are the headers of those names (RFC 9110).
	Range   string `json:"range,omitempty"`
	IfRange string `json:"if_range,omitempty"`
	// JobID is the job that it is wanted for, or "": that of a person's, or behind its
	// id [ForModel].
	JobID string `json:"job_id,omitempty"`
}

// ModelFiles is the files of a model on a hive: the parts of the model in their
// order, then what belongs to it.
type ModelFiles struct {
	Source string    `json:"source"` // as in [Model]
	Files  []FileSum `json:"files"`
	// Marks are by what the source told each file's version from others when it came, in
	// the order of Files; "" is not known, and so is none at all.
	Marks []string `json:"marks,omitempty"`
}

// FileSum is one file of a model.
type FileSum struct {
	Name   string `json:"name"`
	Size   int64  `json:"size_bytes"`
	SHA256 string `json:"sha256,omitempty"` // hex; empty where it was not computed yet
}

// ForModel ends the id of the job by which the queen has a hive get a model that
// another job needs first, behind that one's id.
const ForModel = "-model"
