package keeper

// examples is what --help shows for each operation's command.
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
	"usage":          "rbee usage --since 30d --by key",
	"worker_spawn":   "rbee worker spawn tinybee --parallel 2",
	"worker_list":    "rbee worker list -o json | jq -r '.workers[].id'",
	"worker_get":     "rbee worker get w1a2b3c",
	"worker_delete":  "rbee worker delete w1a2b3c",
	"model_download": "rbee model download ./qwen3-0.6b-q8_0.gguf --name qwen3",
	"model_copy":     "rbee model copy qwen3 --from gpu1 --to gpu2",
	"model_list":     "rbee model list -o json | jq -r '.models[].id'",
	"model_get":      "rbee model get tinybee",
	"model_delete":   "rbee model delete qwen3",
}
