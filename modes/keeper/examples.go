package keeper

import "strings"

// exampleOf is what --help shows for an operation's command.
func exampleOf(operation string) string {
	text := examples[operation]
	if strings.Contains(text, "\n  ") {
		return "Examples:\n  " + text
	}
	return "Example:\n  " + text
}

// examples are the command lines for each operation.
var examples = map[string]string{
	"status":         "rbee status",
	"ssh_test":       "rbee hive test --host alice@gpu1",
	"hive_install":   "rbee hive install --host alice@gpu1 --name gpu1",
	"hive_update":    "rbee hive update gpu1",
	"hive_start":     "rbee hive start gpu1",
	"hive_stop":      "rbee hive stop gpu1",
	"hive_uninstall": "rbee hive uninstall gpu1",
	"hive_list":      "rbee hive list -o json | jq -r '.hives[].id'",
	"hive_get":       "rbee hive get localhost",
	"hive_status":    "rbee hive status --refresh-capabilities",
	"key_create":     "rbee key create --name open-webui",
	"key_list":       "rbee key list",
	"key_revoke":     "rbee key revoke k1a2b3c4",
	"usage": "rbee usage --since 30d --by key\n  rbee usage --key open-webui --model qwen3" +
		"\n\nAn error is a request that failed or broke off, also by a stop or a restart of the\nqueen's, or was refused since too many waited. Who goes away by himself has met none.\nWhat a key's limits refuse does not count.",
	"hive_drain":     "rbee hive drain gpu1",
	"hive_resume":    "rbee hive resume gpu1",
	"queen_drain":    "rbee queen drain",
	"queen_resume":   "rbee queen resume",
	"explain":        "rbee explain $(rbee job list -o json | jq -r 'first(.jobs[] | select(.operation == \"infer\")).id')",
	"model_pin":      "rbee model pin qwen3",
	"model_unpin":    "rbee model unpin qwen3",
	"worker_spawn":   "rbee worker spawn tinybee --parallel 2",
	"worker_list":    "rbee worker list -o json | jq -r '.workers[].id'",
	"worker_get":     "rbee worker get w1a2b3c",
	"worker_delete":  "rbee worker delete w1a2b3c",
	"model_download": "rbee model download ./qwen3-0.6b-q8_0.gguf --name qwen3",
	"model_copy":     "rbee model copy qwen3 --from gpu1 --to gpu2",
	"model_list":     "rbee model list -o json | jq -r '.models[].id'",
	"model_get":      "rbee model get tinybee",
	"model_alias":    "rbee model alias fast qwen3-0.6b",
	"model_aliases":  "rbee model aliases",
	"model_unalias":  "rbee model unalias fast",
	"model_delete":   "rbee model delete qwen3",
	"engine_list":    "rbee engine list",
	"engine_install": "rbee engine install --hive gpu1 --accelerator cuda\n  rbee engine install b11669        (one build, also an older one)",
	"engine_remove":  "rbee engine remove b11669-vulkan",
}
