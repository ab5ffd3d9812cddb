package fetch_test

import "testing"

func TestAPageOfTheHubMeansWhatItShows(t *testing.T) {
	f := fetcherOf(t, "http://mirror:8080/", "")
	for from, want := range map[string]string{
		"https://huggingface.co/bees/tiny-GGUF":                          "hf:bees/tiny-GGUF",
		"http://huggingface.co/bees/tiny-GGUF/":                          "hf:bees/tiny-GGUF",
		"https://hf.co/bees/tiny-GGUF?show_file_info=tiny.gguf":          "hf:bees/tiny-GGUF",
		"https://huggingface.co/bees/tiny-GGUF/tree/main":                "hf:bees/tiny-GGUF",
		"https://huggingface.co/bees/tiny-GGUF/tree/main/Q8_0":           "hf:bees/tiny-GGUF",
		"https://huggingface.co/bees/tiny-GGUF/blob/main/tiny-Q8_0.gguf": "hf:bees/tiny-GGUF:tiny-Q8_0.gguf",
		"https://huggingface.co/bees/big/blob/main/Q8_0/big-Q8_0.gguf":   "hf:bees/big:Q8_0/big-Q8_0.gguf",
		"http://mirror:8080/bees/tiny-GGUF":                              "hf:bees/tiny-GGUF",
		"http://mirror:8081/bees/tiny-GGUF":                              "",
		"http://mirror:8080/bees/tiny.gguf":                              "",
		"https://huggingface.co/bees":                                    "",
		"https://huggingface.co/bees/tiny-GGUF/tree/v2":                  "", // another branch than references mean
		"https://huggingface.co/datasets/bees/tiny":                      "",
		"https://huggingface.co/bees/tiny-GGUF/resolve/main/tiny.gguf":   "",
		"https://example.org/bees/tiny-GGUF":                             "",
		"https://huggingface.co/bees/..":                                 "",
		"https://huggingface.co/%zz":                                     "",
	} {
		if got, ok := f.Page(from); got != want && ok || ok != (want != "") {
			t.Errorf("%s is %q, %t", from, got, ok)
		}
	}
}
