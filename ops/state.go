package ops

// HiveSnapshot is what a hive's state stream carries: all that the hive knows
// of itself, anew at each change.
type HiveSnapshot struct {
	Hive    Hive     `json:"hive"`
	Workers []Worker `json:"workers"`
	Models  []Model  `json:"models"`
}

// QueenSnapshot is what the queen's state stream carries: all that she knows of her
// hives, anew when that has changed. Workers and models are those of [WorkerList] and
// [ModelList], by hive and name.
type QueenSnapshot struct {
	Hives   []Hive   `json:"hives"`
	Workers []Worker `json:"workers"`
	Models  []Model  `json:"models"`
}

// KindState is the name of the events of a state stream. A worker's carry a
// [Worker], a hive's a [HiveSnapshot], the queen's a [QueenSnapshot].
const KindState = "state"
