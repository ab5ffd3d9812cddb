package modes_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestOllamasClientsMayTalkToTheQueen(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	base := "http://" + p.record("queen").Address
	answer, err := http.Post(base+"/api/chat", "application/json", //nolint:noctx // as a person's client does
		strings.NewReader(`{"model":"tinybee:latest","messages":[{"role":"user","content":"Once upon a time"}],"options":{"num_predict":6,"temperature":0}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	type line struct {
		Message struct{ Content string }
		Done    bool
		Reason  string `json:"done_reason"`
		Made    int    `json:"eval_count"`
		Error   string
	}
	var last line
	var text strings.Builder
	lines := bufio.NewScanner(answer.Body)
	n := 0
	for ; lines.Scan(); n++ {
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil || last.Error != "" {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		text.WriteString(last.Message.Content)
	}
	if !last.Done || last.Reason != "length" || last.Made != 6 || text.Len() == 0 || n < 4 {
		t.Errorf("%d lines, %q, at last %+v", n, text.String(), last)
	}
	tags, err := http.Get(base + "/api/tags") //nolint:noctx // as above
	if err != nil {
		t.Fatal(err)
	}
	defer tags.Body.Close()
	var list struct {
		Models []struct {
			Name    string
			Size    int64
			Details struct {
				Family string `json:"family"`
			}
		}
	}
	if err := json.NewDecoder(tags.Body).Decode(&list); err != nil || len(list.Models) != 2 || list.Models[1].Name != "tinybee:latest" || list.Models[1].Details.Family != "llama" {
		t.Errorf("the models: %+v, %v", list, err)
	}
}
