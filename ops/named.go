package ops

// HiveNamed is the hive that an operation of the queen's is about, or "". One that is only
// about to be a hive, as of [HiveInstall], is none.
func HiveNamed(o QueenOp) string {
	switch o := o.(type) {
	case HiveGet:
		return o.HiveID
	case HiveStatus:
		return o.HiveID
	case HiveStart:
		return o.HiveID
	case HiveStop:
		return o.HiveID
	case HiveUninstall:
		return o.HiveID
	case HiveUpdate:
		return o.HiveID
	case HiveDrain:
		return o.HiveID
	case HiveResume:
		return o.HiveID
	}
	return ""
}

// WorkerNamed is the id of the worker that an operation is about, or "", and the field
// for errors of it, or "".
func WorkerNamed(o HiveOp) (id, field string) {
	switch o := o.(type) {
	case WorkerGet:
		return o.ID, ""
	case WorkerDelete:
		return o.ID, ""
	case Infer:
		return o.WorkerID, "worker_id"
	}
	return "", ""
}

// ModelNamed is the model that an operation is about, or "".
func ModelNamed(o HiveOp) string {
	switch o := o.(type) {
	case ModelGet:
		return o.ID
	case ModelDelete:
		return o.ID
	case ModelPin:
		return o.ID
	case ModelUnpin:
		return o.ID
	case Infer:
		return o.Model
	case WorkerSpawn:
		return o.Model
	}
	return ""
}
