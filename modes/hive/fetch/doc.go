// Package fetch brings files from web servers safely to disk: it takes a
// download up again where it was cut, uses several connections where the server
// allows it, and knows a file's SHA-256 when it has come. It also finds out
// which file a reference to a repository on Hugging Face means.
//
// It knows nothing of models' folders, manifests or jobs but their narration:
// what becomes of a file that has come is for others to say.
package fetch
