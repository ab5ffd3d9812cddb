# List the tasks.
_help:
    @just --list

# Build the binary, static and stripped.
build:
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/rbee .

# Build for every system that a hive may run on.
cross:
    CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -trimpath -ldflags "-s -w" -o dist/rbee-linux-amd64 .
    CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -trimpath -ldflags "-s -w" -o dist/rbee-linux-arm64 .
    CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 go build -trimpath -ldflags "-s -w" -o dist/rbee-darwin-arm64 .

# Run the tests.
test:
    go test ./... ./testdata

# Run the tests with the race detector.
race:
    go test -race ./... ./testdata

# Run the engine's tests for arm64, under emulation (qemu-user).
test-arm64:
    CGO_ENABLED=0 GOARCH=arm64 go test -exec qemu-aarch64 ./inference/...

# Check the code.
lint:
    go vet ./... ./testdata
    go tool -modfile=.ci/tools/go.mod golangci-lint run ./... ./testdata

# Do what CI does.
ci:
    bash .ci/run

# Install llama.cpp into a folder of its own, for comparisons (root, Debian).
llamacpp folder="/opt/rbee-llamacpp":
    bash testdata/llamacpp/root.sh {{folder}}

# Run the official clients of OpenAI's, Anthropic's and Ollama's APIs (npm) against a queen.
test-clients folder="/opt/rbee-clients":
    bash testdata/clients/install.sh {{folder}}
    RBEE_CLIENTS={{folder}} go test -v -run OfficialClients ./modes

# Fetch real vocabularies into a folder, for comparisons.
vocab folder="/opt/rbee-vocabs":
    bash testdata/vocab/fetch.sh {{folder}}

# Make machines in network namespaces to try things on, until Ctrl-C (root, Debian).
lab folder="/opt/rbee-lab":
    bash testdata/lab/root.sh {{folder}}
    RBEE_LAB_ROOT={{folder}} RBEE_LAB_HOLD=1 go test -v -count 1 -timeout 0 -run ForAPerson ./transport/ssh/lab

# Run the tests that need those machines.
test-lab folder="/opt/rbee-lab":
    bash testdata/lab/root.sh {{folder}}
    RBEE_LAB_ROOT={{folder}} go test -v ./transport/ssh/lab
    RBEE_LAB_ROOT={{folder}} go test -v -run Lab ./modes

# Measure rbee as a whole: first tokens, memory, one hop of the chain.
bench:
    go test -run '^$' -bench 'First|Idle' -benchtime 20x ./modes
    go test -run '^$' -bench Hop ./transport

# Measure what the chain adds to a job sent to a worker directly, beside two bare proxies in its place.
bench-chain:
    go test -run '^$' -bench Chain -benchtime 1x ./modes

# Weigh a queen before, after, and once it is quiet after, each of three times a thousand answers at once: resident, of files and her own, and what is live.
bench-memory:
    go test -run ThousandAnswersAtOnce -v ./modes

# Measure installing over a link of 1 Gbit/s and 1 ms beside scp, and a list of fifty hives.
bench-hives folder="/opt/rbee-lab":
    RBEE_LAB_ROOT={{folder}} go test -run '^$' -bench 'LabInstall|FiftyHives' -benchtime 5x ./modes

# Measure what the SSH connection adds to an answer, beside a hive on this machine.
bench-tunnel folder="/opt/rbee-lab":
    RBEE_LAB_ROOT={{folder}} go test -run '^$' -bench LabTunnel -benchtime 1x ./modes

# Measure downloads from a server on this machine beside curl.
bench-download:
    go test -run '^$' -bench Download -benchtime 7x ./modes/hive

# Measure copying a model from one machine to another beside scp.
bench-copy folder="/opt/rbee-lab":
    RBEE_LAB_ROOT={{folder}} go test -run '^$' -bench LabCopy -benchtime 3x ./modes

# Measure what the gateway adds, beside the standard library's reverse proxy.
bench-gateway:
    go test -run '^$' -bench Gateway -benchtime 1x ./modes/queen/gateway

# Measure what letting a request in and counting it costs.
bench-access:
    go test -run '^$' -bench Access ./modes/queen/access

# Measure two thousand streams through one queen for a minute: tokens lost and late, memory of each.
bench-streams:
    go test -run '^$' -bench Streams -benchtime 1x -timeout 5m ./modes/queen/gateway

# Measure how long the first answer of a model takes that has no worker, with an engine that is ready at once.
bench-switch:
    go test -run '^$' -bench Switch -benchtime 20x ./modes

# Measure how soon an engine stops when its client goes away, through the whole chain.
bench-cancel:
    go test -run '^$' -bench Cancel -benchtime 20x ./modes

# Measure the scheduler: a decision among 10,000 workers, and uneven requests beside the optimum.
bench-schedule:
    go test -run Uneven -v -bench Decision ./modes/queen/schedule

# Measure the builtin engine beside llama.cpp on one file and one thread.
bench-engine folder="/opt/rbee-llamacpp":
    RBEE_LLAMACPP_ROOT={{folder}} go test -run '^$' -bench OneThread -benchtime 3x -timeout 30m ./inference/builtin

# Measure what passing llama.cpp's answers on costs, beside its own server, and how soon the queen knows of a worker.
bench-llamacpp folder="/opt/rbee-llamacpp":
    RBEE_LLAMACPP_ROOT={{folder}} go test -run '^$' -bench . -benchtime 10x -timeout 60m ./inference/llamacpp
    RBEE_LLAMACPP_ROOT={{folder}} go test -run '^$' -bench Known -benchtime 20x ./modes

# Measure what sharing the cores out among workers is worth, on a machine that is quiet otherwise.
bench-cores folder="/opt/rbee-llamacpp":
    RBEE_LLAMACPP_ROOT={{folder}} go test -run '^$' -bench Cores -benchtime 5x -timeout 30m ./modes/hive

# Measure the kernels.
bench-kernels:
    go test -run '^$' -bench . ./inference/builtin/kernel

# Train the built-in model anew and write its file (an hour and a half on two cores).
tinybee:
    cd testdata/tinybee && /usr/bin/python3 train.py --out build && /usr/bin/python3 export.py --build build --out ../tinybee.gguf
