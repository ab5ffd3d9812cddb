/*
 * llama.cpp's RPC server, which Debian does not package: its own start function,
 * from the backend that Debian does package (libggml0-backend-rpc), behind the
 * options of upstream's program that rbee uses (tools/rpc/README.md there).
 *
 *   gcc -O2 -o rpc-server rpc-server.c -lggml -lggml-base
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ggml-backend.h>
#include <ggml-rpc.h>

typedef void (*start_t)(const char *, const char *, size_t, size_t, ggml_backend_dev_t *);

#define MOST 16

/* Adds the devices that a list names, split at commas. */
static size_t named(char *list, ggml_backend_dev_t *devices)
{
	size_t n = 0;
	for (char *name = strtok(list, ","); name && n < MOST; name = strtok(NULL, ",")) {
		ggml_backend_dev_t d = ggml_backend_dev_by_name(name);
		if (!d) {
			fprintf(stderr, "error: unknown device: %s\n", name);
			exit(1);
		}
		devices[n++] = d;
	}
	return n;
}

/* Adds every device that computes apart, or the processor where there is none. */
static size_t all(ggml_backend_dev_t *devices)
{
	size_t n = 0;
	for (size_t i = 0; i < ggml_backend_dev_count() && n < MOST; i++) {
		ggml_backend_dev_t d = ggml_backend_dev_get(i);
		enum ggml_backend_dev_type type = ggml_backend_dev_type(d);
		if (type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU)
			devices[n++] = d;
	}
	if (n == 0)
		devices[n++] = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
	return n;
}

int main(int argc, char **argv)
{
	const char *host = "127.0.0.1", *port = "50052";
	char *list = NULL;
	size_t threads = sysconf(_SC_NPROCESSORS_ONLN);
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--host") || !strcmp(argv[i], "-H"))
			host = argv[i + 1];
		else if (!strcmp(argv[i], "--port") || !strcmp(argv[i], "-p"))
			port = argv[i + 1];
		else if (!strcmp(argv[i], "--device") || !strcmp(argv[i], "-d"))
			list = argv[i + 1];
		else if (!strcmp(argv[i], "--threads") || !strcmp(argv[i], "-t"))
			threads = strtoul(argv[i + 1], NULL, 10);
		else {
			fprintf(stderr, "error: unknown argument: %s\n", argv[i]);
			return 1;
		}
	}
	ggml_backend_load_all();
	ggml_backend_reg_t rpc = ggml_backend_reg_by_name("RPC");
	start_t start = rpc ? (start_t)ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_start_server") : NULL;
	if (!start) {
		fprintf(stderr, "error: the RPC backend is not there\n");
		return 1;
	}
	ggml_backend_dev_t devices[MOST];
	size_t n = list ? named(list, devices) : all(devices);
	char endpoint[256];
	snprintf(endpoint, sizeof endpoint, "%s:%s", host, port);
	start(endpoint, NULL, threads, n, devices);
	return 1; /* it returns only when it cannot listen */
}
