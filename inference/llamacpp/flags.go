package llamacpp

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// value says what a flag is followed by.
type value int

const (
	nothing value = iota
	plain         // a number, a name, or a list of them
	object        // a JSON object
	pattern       // a text without a meaning to rbee
)

// accepts are the values that plain stands for: nothing that the program could
// take for a flag or a path.
var accepts = regexp.MustCompile(`^(-?[0-9][0-9.,]*|[A-Za-z0-9][A-Za-z0-9_.,:+;-]*)$`)

// allowed are the flags that are passed on: those that neither open a file nor
// a port, fetch anything, nor are set by rbee itself.
var allowed = listed(map[value]string{
	nothing: `
		--swa-full --no-kv-offload -nkvo --kv-offload -kvo --no-repack -nr --repack --no-host --cpu-moe -cmoe
		--check-tensors --no-op-offload --op-offload --mlock --mmap --no-mmap --perf --no-perf
		--kv-unified -kvu --no-kv-unified -no-kvu --context-shift --no-context-shift --special -sp --warmup --no-warmup
		--spm-infill --cont-batching -cb --no-cont-batching -nocb --no-mmproj --no-mmproj-offload --mmproj-offload
		--embedding --embeddings --rerank --reranking --cache-prompt --no-cache-prompt --cache-idle-slots
		--no-cache-idle-slots --jinja --no-jinja --skip-chat-parsing --no-skip-chat-parsing --prefill-assistant
		--no-prefill-assistant --reasoning-preserve --no-reasoning-preserve --ignore-eos --verbose -v --log-verbose
		--backend-sampling -bs --spec-default --metrics --offline --mmproj-auto --no-mmproj-auto --no-agent -no-ag
		--no-cors-credentials`,
	plain: `
		--threads-batch -tb --cpu-mask -C --cpu-range -Cr --cpu-strict --prio --poll --cpu-mask-batch -Cb
		--cpu-range-batch -Crb --cpu-strict-batch --prio-batch --poll-batch --predict --n-predict -n --batch-size -b
		--ubatch-size -ub --keep --flash-attn -fa --rope-scaling --rope-scale --rope-freq-base --rope-freq-scale
		--yarn-orig-ctx --yarn-ext-factor --yarn-attn-factor --yarn-beta-slow --yarn-beta-fast --cache-type-k -ctk
		--cache-type-v -ctv --load-mode -lm --lazy-mode -lzm --numa --n-cpu-moe -ncmoe --moe-cache-mib --n-cpu-ffn -ncffn
		--gpu-layers --n-gpu-layers -ngl --split-mode -sm --tensor-split -ts --main-gpu -mg --fit -fit --fit-target -fitt
		--fit-ctx -fitc --verbosity --log-verbosity -lv --samplers --seed -s --sampler-seq --sampling-seq --temp
		--temperature --top-k --top-p --min-p --top-nsigma --top-n-sigma --xtc-probability --xtc-threshold --typical
		--typical-p --repeat-last-n --repeat-penalty --presence-penalty --frequency-penalty --dry-multiplier --dry-base
		--dry-allowed-length --dry-penalty-last-n --adaptive-target --adaptive-decay --dynatemp-range --dynatemp-exp
		--mirostat --mirostat-lr --mirostat-ent --spec-type --spec-ngram-mod-n-min --spec-ngram-mod-n-max
		--spec-ngram-mod-n-match --spec-ngram-simple-size-n --kv-unified-per-slot --ctx-checkpoints -ctxcp
		--swa-checkpoints --checkpoint-min-step -cms --cache-ram -cram --pooling --image-min-tokens --image-max-tokens
		--embd-normalize --timeout -to --sse-ping-interval --threads-http --cache-reuse --chat-template --reasoning-format
		--reasoning -rea --reasoning-effort --reasoning-budget --slot-prompt-similarity -sps --defrag-thold -dt
		--mmproj-device -mmdev --mtmd-batch-max-tokens --video-fps --video-timestamp-interval --tags
		--spec-ngram-simple-size-m --spec-ngram-simple-min-hits --spec-ngram-size-n --spec-ngram-size-m
		--spec-ngram-min-hits --spec-ngram-map-k-size-n --spec-ngram-map-k-size-m --spec-ngram-map-k-min-hits
		--spec-ngram-map-k4v-size-n --spec-ngram-map-k4v-size-m --spec-ngram-map-k4v-min-hits`,
	object:  `--chat-template-kwargs`,
	pattern: `--override-tensor -ot --override-kv --reasoning-budget-message`,
})

// refused are flags of the program's that are not passed on, by the reason.
var refused = listed(map[string]string{
	"opens a file of the machine's": `
		--lora --lora-scaled --control-vector --control-vector-scaled --mmproj -mm --grammar-file --json-schema-file -jf
		--chat-template-file --log-file --slot-save-path --path --media-path --models-dir --models-preset
		--lookup-cache-static -lcs --lookup-cache-dynamic -lcd --api-key-file --ssl-key-file --ssl-cert-file
		--mcp-servers-config --ui-config-file --webui-config-file --log-prompts-dir --model-draft -md
		--spec-draft-model --video-ffmpeg-dir --file -f --binary-file -bf --lora-init-without-apply
		--control-vector-layer-range`,
	"opens a port, or lets others in": `
		--host --port --reuse-port --api-prefix --cors-origins --cors-methods --cors-headers --cors-credentials
		--api-key --rpc --tools --tools-runtime --agent -ag --mcp-servers-json --ui-mcp-proxy --webui-mcp-proxy --props`,
	"fetches files from the network": `
		--model-url -mu --docker-repo -dr --hf-repo -hf -hfr --hf-file -hff --hf-token -hft --hf-repo-v -hfv --hf-file-v -hffv
		--hf-repo-draft -hfd -hfrd --spec-draft-hf --mmproj-url -mmu --embd-gemma-default --fim-qwen-1 --fim-qwen-1.5b-default
		--fim-qwen-3b-default --fim-qwen-7b-default --fim-qwen-7b-spec --fim-qwen-14b-spec --fim-qwen-30b-default
		--gpt-oss-20b-default --gpt-oss-120b-default --vision-gemma-4b-default --vision-gemma-12b-default`,
	"is for a second model that drafts, which rbee does not load": `
		--spec-draft-backend-sampling --no-spec-draft-backend-sampling --spec-draft-sampling --spec-draft-device
		--device-draft -devd --spec-draft-ngl --gpu-layers-draft --n-gpu-layers-draft -ngld --spec-draft-n-max
		--draft --draft-n --draft-max --spec-draft-n-min --draft-min --draft-n-min --spec-draft-n-ubatch
		--spec-draft-p-min --draft-p-min --spec-draft-p-split --draft-p-split --spec-draft-type-k --cache-type-k-draft
		-ctkd --spec-draft-type-v --cache-type-v-draft -ctvd --spec-draft-threads --threads-draft -td
		--spec-draft-threads-batch --threads-batch-draft -tbd --spec-draft-cpu-mask --cpu-mask-draft -Cd
		--spec-draft-cpu-range --cpu-range-draft -Crd --spec-draft-cpu-strict --cpu-strict-draft --spec-draft-prio
		--prio-draft --spec-draft-poll --poll-draft --spec-draft-cpu-mask-batch --cpu-mask-batch-draft -Cbd
		--cpu-range-batch-draft -Crbd --spec-draft-cpu-strict-batch --cpu-strict-batch-draft --spec-draft-prio-batch
		--prio-batch-draft --spec-draft-poll-batch --poll-batch-draft --spec-draft-cpu-moe --cpu-moe-draft -cmoed
		--spec-draft-n-cpu-moe --spec-draft-ncmoe --n-cpu-moe-draft -ncmoed --spec-draft-override-tensor
		--override-tensor-draft -otd --spec-synth-len --spec-synth-rates`,
	"belongs into each request": `
		--grammar --json-schema -j --logit-bias -l --reverse-prompt -r --dry-sequence-breaker --escape -e --no-escape`,
	"is of what rbee does itself": `
		--ui --no-ui --webui --no-webui --ui-config --webui-config --no-ui-mcp-proxy --no-webui-mcp-proxy
		--models-max --models-autoload --no-models-autoload --sleep-idle-seconds`,
	"changes what rbee reads of it": `
		--slots --no-slots --log-disable --log-colors --log-prefix --no-log-prefix --log-timestamps --no-log-timestamps
		--log-jsonl --no-log-jsonl`,
	"makes it say something and end": `
		--help -h --usage --version --cache-list -cl --list-devices --completion-bash`,
	"is set by rbee, from the model that is named":                              `--model -m --alias -a`,
	"is set by rbee, from the option --parallel":                                `--parallel -np`,
	"is set by rbee, from the option --context-length":                          `--ctx-size -c`,
	"is set by rbee, from the option --device":                                  `--device -dev`,
	"is set by rbee, which shares the cores out among the workers that compute": `--threads -t`,
})

func listed[K comparable](groups map[K]string) map[string]K {
	all := map[string]K{}
	for k, names := range groups {
		for _, name := range strings.Fields(names) {
			all[name] = k
		}
	}
	return all
}

// CheckFlags refuses a person's flags that are not passed on.
func CheckFlags(list []string) error {
	_, err := flags(list)
	return err
}

// flags turns a person's flags, each name or name=value with or without its
// dashes, into arguments, and refuses those that are not passed on.
func flags(list []string) (args []string, err error) {
	for _, f := range list {
		name, text, given := strings.Cut(f, "=")
		name, kind, err := known(name)
		if err != nil {
			return nil, err
		}
		args = append(args, name)
		if kind == nothing {
			if given {
				return nil, ops.Invalid("flags", "%s takes no value", name)
			}
			continue
		}
		asked := "write it as --flag " + strings.TrimLeft(name, "-") + "=VALUE"
		if !given {
			return nil, ops.Invalid("flags", "%s wants a value", name).WithHint("%s", asked)
		}
		if !fits(kind, text) {
			e := ops.Invalid("flags", "%s wants another value than %q", name, text)
			if kind == plain && text != "" {
				return nil, e.WithHint("it takes letters and digits, and . , _ : + ; and - behind the first of them")
			}
			return nil, e.WithHint("%s", asked)
		}
		args = append(args, text)
	}
	return args, nil
}

// known is the whole name of a flag that is passed on, and what follows it.
func known(name string) (string, value, error) {
	names := []string{name}
	if !strings.HasPrefix(name, "-") {
		names = []string{"--" + name, "-" + name}
	}
	for _, n := range names {
		if kind, ok := allowed[n]; ok {
			return n, kind, nil
		}
		if why, ok := refused[n]; ok {
			return "", nothing, ops.Invalid("flags", "%s is not passed on to %s: it %s", n, Name, why).WithHint(seeFlags)
		}
	}
	e := ops.Invalid("flags", "%s is no flag of %s that is passed on", names[0], Name)
	if near := ops.Nearest(names[0], slices.Collect(maps.Keys(allowed))); near != "" {
		return "", nothing, e.WithHint("did you mean %s? %s", near, seeFlags)
	}
	return "", nothing, e.WithHint(seeFlags)
}

// seeFlags says where the flags are listed.
const seeFlags = "`rbee engine flags` lists those that are passed on"

// Flags are the names of the program's flags that are passed on, by the alphabet: of
// each pair the one that switches on.
func Flags() []string {
	var names []string
	for name := range allowed {
		off, isOff := strings.CutPrefix(name, "--no-")
		if _, pair := allowed["--"+off]; strings.HasPrefix(name, "--") && (!isOff || !pair) {
			names = append(names, strings.TrimPrefix(name, "--"))
		}
	}
	slices.Sort(names)
	return names
}

// fits reports whether text is such a value.
func fits(kind value, text string) bool {
	switch kind {
	case plain:
		return accepts.MatchString(text)
	case object:
		var o map[string]any
		return json.Unmarshal([]byte(text), &o) == nil
	default:
		return text != "" && text[0] != '-' && !strings.ContainsRune(text, 0)
	}
}
