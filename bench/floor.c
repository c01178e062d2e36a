// SPDX-License-Identifier: Apache-2.0
// The least a client can do: the requests a plan needs, over kept connections, nothing checked.
//
//	floor MODE SOURCE DESTINATION PLAN [CONNECTIONS [REPOSITORY]]
//
// SOURCE and DESTINATION are 127.0.0.1 ports, PLAN is what corpus.py writes. MODE: cold (GET
// manifests, GET + POST + PUT blobs, PUT manifests), noop (HEAD manifests at the destination),
// todir (GET everything into the folder DESTINATION), fromdir (the reverse, from the folder
// SOURCE). With REPOSITORY everything lands there, as a release does.
// It prints the seconds it took. What it takes is the registries' own time.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, MAX_CONNECTIONS = 64 };

struct object {
	bool manifest;
	char repo[160], digest[80], type[80], tag[80];
	size_t size;
	char *body; // of a manifest
};

struct peer {
	int fd;
	const char *port;
	char head[8192]; // of the last response
	char *rest;      // body bytes that came with the head
	size_t have, length;
	int status;
};

static struct object *objects;
static size_t nobjects;
static const char *mode, *source, *destination, *only_repo;
static bool from_disk, to_disk, want_manifests;
static atomic_size_t next_object;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "floor: %s: %s\n", what, why);
	exit(1);
}

static void dial(struct peer *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1;

	a.sin_port = htons((uint16_t)strtoul(p->port, NULL, 10));
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect", p->port);
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void put_bytes(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);
		if (w <= 0)
			die("write", "connection lost");
		p += w, n -= (size_t)w;
	}
}

static size_t get_bytes(int fd, char *p, size_t n)
{
	ssize_t r = read(fd, p, n);

	if (r < 0)
		die("read", "connection lost");
	return (size_t)r;
}

static const char *header(struct peer *p, const char *name)
{
	char *at = strcasestr(p->head, name);

	return at ? at + strlen(name) : NULL;
}

// Reads one head; the body's first bytes are at p->rest.
static void response(struct peer *p, int want)
{
	char *end;

	for (p->have = 0;;) {
		size_t n = get_bytes(p->fd, p->head + p->have, sizeof(p->head) - 1 - p->have);
		if (n == 0)
			die("response", "connection closed");
		p->have += n;
		p->head[p->have] = 0;
		end = memmem(p->head, p->have, "\r\n\r\n", 4);
		if (end)
			break;
	}
	p->status = (int)strtol(p->head + 9, NULL, 10);
	end[2] = 0;
	p->rest = end + 4;
	p->have -= (size_t)(p->rest - p->head);
	const char *length = header(p, "\r\nContent-Length: ");
	p->length = length ? strtoul(length, NULL, 10) : 0;
	if (p->status != want)
		die("unexpected answer", p->head);
}

static void send_head(struct peer *p, const char *method, const char *path, const char *more)
{
	char head[4096];
	int n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n%s\r\n",
			 method, path, p->port, more);

	put_bytes(p->fd, head, (size_t)n);
}

static const char *target_repo(const struct object *o)
{
	return only_repo ? only_repo : o->repo;
}

static void disk_path(const struct object *o, const char *dir, char *ret, size_t cap)
{
	snprintf(ret, cap, "%s/%s", dir, o->digest);
}

// Opens O for reading: from the folder, or as the body of a GET. *ret_rest holds its first bytes.
static int open_source(struct peer *src, const struct object *o)
{
	char path[512], accept[128] = "";

	if (from_disk) {
		disk_path(o, source, path, sizeof(path));
		src->have = 0;
		return open(path, O_RDONLY | O_CLOEXEC);
	}
	snprintf(path, sizeof(path), "/v2/%s/%s/%s", o->repo, o->manifest ? "manifests" : "blobs",
		 o->digest);
	if (o->manifest)
		snprintf(accept, sizeof(accept), "Accept: %s\r\n", o->type);
	send_head(src, "GET", path, accept);
	response(src, 200);
	return src->fd;
}

static void copy_body(struct peer *src, int from, int to, size_t size, char *buffer)
{
	if (src->have)
		put_bytes(to, src->rest, src->have);
	for (size_t left = size - src->have; left;) {
		size_t n = get_bytes(from, buffer, left < BUFFER ? left : BUFFER);
		if (n == 0)
			die("body", "too short");
		put_bytes(to, buffer, n);
		left -= n;
	}
}

static void start_upload(struct peer *dst, const struct object *o)
{
	char path[2048], more[96];

	snprintf(path, sizeof(path), "/v2/%s/blobs/uploads/", target_repo(o));
	send_head(dst, "POST", path, "Content-Length: 0\r\n");
	response(dst, 202);
	const char *location = header(dst, "\r\nLocation: ");
	location = location ? strstr(location, "/v2/") : NULL;
	if (!location)
		die("upload", "no Location");
	size_t n = strcspn(location, "\r");
	snprintf(path, sizeof(path), "%.*s%cdigest=%s", (int)n, location,
		 memchr(location, '?', n) ? '&' : '?', o->digest);
	snprintf(more, sizeof(more),
		 "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n", o->size);
	send_head(dst, "PUT", path, more);
}

static void move_blob(struct peer *src, struct peer *dst, const struct object *o, char *buffer)
{
	char path[512];
	int from, to = dst->fd;

	if (to_disk) {
		disk_path(o, destination, path, sizeof(path));
		to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	} else {
		start_upload(dst, o);
	}
	from = open_source(src, o);
	if (from < 0 || to < 0)
		die("open", o->digest);
	copy_body(src, from, to, o->size, buffer);
	if (from_disk)
		close(from);
	if (to_disk)
		close(to);
	else
		response(dst, 201);
}

static void read_manifest(struct peer *src, struct object *o)
{
	char path[512];
	int from = open_source(src, o);

	o->body = malloc(o->size);
	if (from < 0 || !o->body)
		die("open", o->digest);
	memcpy(o->body, src->rest, src->have);
	for (size_t at = src->have; at < o->size;) {
		size_t n = get_bytes(from, o->body + at, o->size - at);
		if (n == 0)
			die("manifest", "too short");
		at += n;
	}
	if (from_disk)
		close(from);
	if (!to_disk)
		return;
	disk_path(o, destination, path, sizeof(path));
	int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	put_bytes(to, o->body, o->size);
	close(to);
}

static void manifest_path(const struct object *o, char *ret, size_t cap)
{
	snprintf(ret, cap, "/v2/%s/manifests/%s", target_repo(o),
		 o->tag[0] == '-' ? o->digest : o->tag);
}

static void *move_objects(void *arg)
{
	struct peer src = {.port = source, .fd = -1}, dst = {.port = destination, .fd = -1};
	char *buffer = malloc(BUFFER);
	size_t i;

	(void)arg;
	if (!from_disk)
		dial(&src);
	if (!to_disk)
		dial(&dst);
	while ((i = next_object++) < nobjects) {
		if (objects[i].manifest != want_manifests)
			continue;
		if (want_manifests)
			read_manifest(&src, &objects[i]);
		else
			move_blob(&src, &dst, &objects[i], buffer);
	}
	free(buffer);
	close(src.fd);
	close(dst.fd);
	return NULL;
}

static void *push_manifests(void *arg)
{
	struct peer dst = {.port = destination};
	bool head = strcmp(mode, "noop") == 0;
	char path[512], more[256];
	size_t i;

	(void)arg;
	dial(&dst);
	while ((i = next_object++) < nobjects) {
		struct object *o = &objects[i];
		if (!o->manifest)
			continue;
		manifest_path(o, path, sizeof(path));
		if (head) {
			snprintf(more, sizeof(more), "Accept: %s\r\n", o->type);
			send_head(&dst, "HEAD", path, more);
			response(&dst, 200);
			continue;
		}
		snprintf(more, sizeof(more), "Content-Type: %s\r\nContent-Length: %zu\r\n", o->type,
			 o->size);
		send_head(&dst, "PUT", path, more);
		put_bytes(dst.fd, o->body, o->size);
		response(&dst, 201);
	}
	close(dst.fd);
	return NULL;
}

static void run_phase(void *(*work)(void *), int connections)
{
	pthread_t threads[MAX_CONNECTIONS];

	next_object = 0;
	for (int i = 0; i < connections; i++)
		if (pthread_create(&threads[i], NULL, work, NULL))
			die("thread", "cannot start");
	for (int i = 0; i < connections; i++)
		pthread_join(threads[i], NULL);
}

static bool seen_before(const char *digest)
{
	for (size_t i = 0; i < nobjects; i++)
		if (strcmp(objects[i].digest, digest) == 0)
			return true;
	return false;
}

static void read_plan(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[512];
	size_t cap = 0;

	if (!f)
		die("cannot open", path);
	while (fgets(line, sizeof(line), f)) {
		struct object o = {.manifest = line[0] == 'm'};
		int n = o.manifest ? sscanf(line, "manifest %159s %79s %zu %79s %79s", o.repo,
					    o.digest, &o.size, o.type, o.tag)
				   : sscanf(line, "blob %159s %79s %zu", o.repo, o.digest, &o.size);
		if (n < 3)
			die("malformed plan", line);
		if ((only_repo || to_disk || from_disk) && seen_before(o.digest))
			continue;
		if (nobjects == cap) {
			cap = cap ? cap * 2 : 1024;
			objects = realloc(objects, cap * sizeof(*objects));
			if (!objects)
				die("plan", "out of memory");
		}
		objects[nobjects++] = o;
	}
	fclose(f);
}

int main(int argc, char **argv)
{
	struct timespec a, b;
	int connections;

	if (argc < 5)
		die("usage", "floor MODE SOURCE DESTINATION PLAN [CONNECTIONS [REPOSITORY]]");
	mode = argv[1], source = argv[2], destination = argv[3];
	connections = argc > 5 ? (int)strtol(argv[5], NULL, 10) : 8;
	only_repo = argc > 6 ? argv[6] : NULL;
	from_disk = strcmp(mode, "fromdir") == 0;
	to_disk = strcmp(mode, "todir") == 0;
	if (connections < 1 || connections > MAX_CONNECTIONS)
		die("connections", "1 to 64");
	if (to_disk)
		mkdir(destination, 0700);
	read_plan(argv[4]);
	clock_gettime(CLOCK_MONOTONIC, &a);
	if (strcmp(mode, "noop") != 0) {
		want_manifests = true;
		run_phase(move_objects, connections);
		want_manifests = false;
		run_phase(move_objects, connections);
	}
	if (!to_disk)
		run_phase(push_manifests, connections);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%.3f\n", (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
	return 0;
}
