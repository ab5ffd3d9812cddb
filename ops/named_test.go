package ops

import (
	"reflect"
	"testing"
)

// TestEveryNameOfAnOperationIsFound: of a hive, a worker or a model that there must be.
func TestEveryNameOfAnOperationIsFound(t *testing.T) {
	comes := map[string]bool{ // what these name is not there yet, or not on a hive
		"hive_install.HiveID": true, "model_download.Model": true, "model_download.ID": true,
	}
	named := map[string]func(Op) string{
		"HiveID": func(o Op) string {
			if o, ok := o.(HiveOp); ok {
				return o.Hive()
			}
			return HiveNamed(o.(QueenOp))
		},
		"WorkerID": func(o Op) string { id, _ := WorkerNamed(o.(HiveOp)); return id },
		"Model":    func(o Op) string { return ModelNamed(o.(HiveOp)) },
		"ID": func(o Op) string {
			id, _ := WorkerNamed(o.(HiveOp))
			return id + ModelNamed(o.(HiveOp))
		},
	}
	for _, proto := range All() {
		for field, of := range named {
			_, hives := proto.(HiveOp)
			o := reflect.New(reflect.TypeOf(proto)).Elem()
			f := o.FieldByName(field)
			if !f.IsValid() || !hives && field != "HiveID" || comes[proto.Name()+"."+field] || proto.Name() == "engine_remove" && field == "ID" {
				continue
			}
			f.SetString("x")
			if got := of(o.Interface().(Op)); got != "x" {
				t.Errorf("what %s names as its %s is %q", proto.Name(), field, got)
			}
		}
	}
}
