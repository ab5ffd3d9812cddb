package hive

import "testing"

func TestOfWhatOtherHivesHaveOfARepositoryTheUsualQuantisationIsTaken(t *testing.T) {
	plans := []plan{
		{source: "hf:bees/tiny:tiny-F16.gguf", hive: "gpu1"},
		{source: "hf:bees/tiny:Q4_K_M/tiny-Q4_K_M-00001-of-00002.gguf", hive: "gpu2"},
		{source: "hf:bees/tiny:tiny-Q8_0.gguf", hive: "gpu3"},
	}
	if got := usualOf(plans); got.hive != "gpu2" {
		t.Errorf("taken is %s", got.source)
	}
	if got := usualOf(plans[:1]); got.hive != "gpu1" {
		t.Errorf("of one, taken is %s", got.source)
	}
}
