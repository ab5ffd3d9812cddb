package ops_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

// parse reads the package's files, without tests.
func parse(t *testing.T) (*token.FileSet, []*ast.File) {
	t.Helper()
	paths, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, filepath.Clean(path), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return set, files
}

func TestEverythingExportedSaysWhatItIs(t *testing.T) {
	set, files := parse(t)
	for _, file := range files {
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && receiverIsExported(d) {
					wantDoc(t, set, d, d.Name.Name, d.Doc)
				}
			case *ast.GenDecl:
				checkDeclaration(t, set, d)
			}
		}
	}
}

func receiverIsExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	kind := d.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	name, ok := kind.(*ast.Ident) // a generic receiver is none of ours that are exported
	return ok && name.IsExported()
}

// checkDeclaration wants a comment on each exported type, and on each exported
// constant and variable, or on their group.
func checkDeclaration(t *testing.T, set *token.FileSet, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() {
				wantDoc(t, set, spec, spec.Name.Name, d.Doc, spec.Doc)
			}
		case *ast.ValueSpec:
			if spec.Names[0].IsExported() {
				wantDoc(t, set, spec, "", d.Doc, spec.Doc, spec.Comment)
			}
		}
	}
}

// wantDoc wants a comment among docs that begins with name and ends a sentence.
func wantDoc(t *testing.T, set *token.FileSet, at ast.Node, name string, docs ...*ast.CommentGroup) {
	t.Helper()
	for _, doc := range docs {
		if text := strings.TrimSpace(doc.Text()); text != "" {
			if !strings.HasPrefix(text, name) {
				t.Errorf("%s: the comment of %s begins with %.30q", set.Position(at.Pos()), name, text)
			}
			return
		}
	}
	t.Errorf("%s: %s needs a comment that says what it is", set.Position(at.Pos()), name)
}

func TestEveryFieldOfAnOperationSaysWhatItIs(t *testing.T) {
	set, files := parse(t)
	structs := map[string]*ast.StructType{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					structs[spec.Name.Name] = s
				}
			}
			return true
		})
	}
	wanted := map[string]bool{}
	for _, o := range ops.All() {
		kind := reflect.TypeOf(o)
		wanted[kind.Name()] = true
		for _, f := range reflect.VisibleFields(kind) {
			if f.Anonymous && f.IsExported() {
				wanted[f.Type.Name()] = true
			}
		}
	}
	for name := range wanted {
		s, ok := structs[name]
		if !ok {
			t.Errorf("the struct %s is not to be found", name)
			continue
		}
		for _, field := range s.Fields.List {
			if len(field.Names) > 0 { // what is embedded is explained where it is declared
				wantDoc(t, set, field, field.Names[0].Name, field.Doc)
			}
		}
	}
}
