package modes

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"strings"
	"testing"
)

const module = "rbee.dev/rbee"

type listed struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
	Doc        string
}

// packages lists the module's packages as the go command sees them.
func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles,Doc", "./...", "./testdata")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// layer is the folder of the top level that a package of ours is in.
func layer(path string) string {
	rest, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		return ""
	}
	top, _, _ := strings.Cut(rest, "/")
	return top
}

func TestImportsPointOneWay(t *testing.T) {
	allowed := map[string]string{
		"ops":       "",
		"job":       "ops job",
		"transport": "ops transport",
		"inference": "ops inference",
		"testdata":  "",
		"modes":     "ops job transport inference testdata modes",
	}
	mode := func(path string) string {
		rest, _ := strings.CutPrefix(path, module+"/modes/")
		switch rest {
		case "keeper", "queen", "hive", "worker":
			return rest
		}
		return ""
	}
	for _, p := range packages(t) {
		from := layer(p.ImportPath)
		for _, i := range p.Imports {
			to := layer(i)
			if from != "" && to != "" && !strings.Contains(" "+allowed[from]+" ", " "+to+" ") {
				t.Errorf("%s imports %s: the direction is modes → job, transport, inference → ops", p.ImportPath, i)
			}
			if mode(p.ImportPath) != "" && mode(i) != "" {
				t.Errorf("%s imports %s: modes speak HTTP, they do not import each other", p.ImportPath, i)
			}
			if from == "ops" && strings.Contains(i, ".") {
				t.Errorf("%s imports %s: ops imports the standard library only", p.ImportPath, i)
			}
			if i == "C" {
				t.Errorf("%s uses cgo: the binary must be static", p.ImportPath)
			}
		}
	}
}

func TestPackagesAndExportsAreDocumented(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && p.ImportPath != module {
			t.Errorf("%s has no package comment: say what it is for and what it does not do", p.ImportPath)
		}
		for _, name := range p.GoFiles {
			undocumented(t, p.Dir+"/"+name)
		}
	}
}

// undocumented reports the exported declarations of a file that have no
// comment.
func undocumented(t *testing.T, path string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	complain := func(n ast.Node, name string) { t.Errorf("%s: %s has no comment", set.Position(n.Pos()), name) }
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && !onUnexported(d) {
				complain(d, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
						complain(s, s.Name.Name)
					}
				case *ast.ValueSpec:
					if s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						complain(s, s.Names[0].Name)
					}
				}
			}
		}
	}
}

// onUnexported reports whether f is a method of a type that nobody outside
// sees.
func onUnexported(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return false
	}
	kind := f.Recv.List[0].Type
	for {
		switch k := kind.(type) {
		case *ast.StarExpr:
			kind = k.X
		case *ast.IndexExpr:
			kind = k.X
		case *ast.IndexListExpr:
			kind = k.X
		case *ast.Ident:
			return !k.IsExported()
		default:
			return false
		}
	}
}
