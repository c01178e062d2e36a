// SPDX-License-Identifier: Apache-2.0
// A server is killed at any moment: what it acknowledged is there, what it was told to forget is
// gone, and a sweep leaves nothing of what was under way.
#include "pushes.h"

#include "interpose.h"
#include <pthread.h>
#include <sys/mman.h>

enum { ROUNDS = 20, THREADS = 4, OPS = 60, BLOBS = 8, MANIFESTS = 4, TAGS = 3 };

// What thread T has been told; shared with the process that dies.
struct thread_log {
	atomic_int begun, done;
	signed char result[OPS]; // 0, or -1: there was none
};

enum op_kind {
	OP_PUSH,
	OP_MOUNT,
	OP_MOUNT_ANY,
	OP_PARK,
	OP_MANIFEST,
	OP_MANIFEST_AGAIN,
	OP_TAG_REMOVE,
	OP_MANIFEST_REMOVE,
	OP_BLOB_REMOVE,
	OP_KINDS
};

struct op {
	enum op_kind kind;
	int blob, manifest, tag, from;
};

// What thread T does in its I-th step: only it touches its repository.
static struct op op_of(uint64_t seed, int t, int i)
{
	uint64_t x = (seed * THREADS + (uint64_t)t) * OPS + (uint64_t)i + 1;

	for (int n = 0; n < 3; n++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	x >>= 20;
	return (struct op){.kind = (enum op_kind)(x % OP_KINDS),
			   .blob = (int)(x / 16 % BLOBS),
			   .manifest = (int)(x / 256 % MANIFESTS),
			   .tag = (int)(x / 4096 % TAGS),
			   .from = (int)(x / 65536 % THREADS)};
}

static size_t blob_size(int k)
{
	return k % 3 == 0 ? 150000 : 700;
}

static char *repo_of(int t)
{
	return xasprintf("org/t%d", t);
}

static char *manifest_text(int m)
{
	return xasprintf("{\"n\":%d}", m);
}

static struct digest manifest_digest(int m)
{
	auto_free char *text = manifest_text(m);
	struct digest d;

	digest_of(&d, DIGEST_SHA256, text, strlen(text));
	return d;
}

// ---- the server

static int park(struct store *s, const char *repo, const struct blob *b, struct err *e)
{
	char id[UPLOAD_ID_SIZE];
	struct store_upload *u = begin_upload(s, repo, id, e);
	int r = u ? store_upload_write(u, b->data, b->n / 2, e) : -1;

	store_upload_close(u);
	return r;
}

static int do_op(struct store *s, int t, const struct op *op, struct err *e)
{
	auto_free char *repo = repo_of(t), *from = repo_of(op->from);
	auto_free char *text = manifest_text(op->manifest);
	auto_free char *tag = xasprintf("v%d", op->tag);
	auto_blob struct blob b = blob_new((uint64_t)op->blob, blob_size(op->blob));
	struct digest d = manifest_digest(op->manifest);

	switch (op->kind) {
	case OP_PUSH:
		return push(s, repo, &b, e);
	case OP_MOUNT:
		return store_blob_mount(s, repo, &b.d.digest, from, e);
	case OP_MOUNT_ANY:
		return store_blob_mount(s, repo, &b.d.digest, NULL, e);
	case OP_PARK:
		return park(s, repo, &b, e);
	case OP_MANIFEST:
	case OP_MANIFEST_AGAIN:
		return push_manifest(s, repo, text, tag, NULL, e);
	case OP_TAG_REMOVE:
		return store_tag_remove(s, repo, tag, e);
	case OP_MANIFEST_REMOVE:
		return store_manifest_remove(s, repo, &d, e);
	case OP_BLOB_REMOVE:
		return store_blob_remove(s, repo, &b.d.digest, e);
	case OP_KINDS:
		break;
	}
	abort();
}

struct server_thread {
	pthread_t id;
	struct store *s;
	struct thread_log *log;
	uint64_t seed;
	int t;
};

static void *serve(void *arg)
{
	struct server_thread *th = arg;
	struct err e;

	for (int i = 0; i < OPS; i++) {
		struct op op = op_of(th->seed, th->t, i);

		th->log->begun = i + 1;
		int r = do_op(th->s, th->t, &op, &e);

		if (r < 0 && e.kind != ERR_NOT_FOUND)
			printf("# %s\n", e.text);
		th->log->result[i] = (signed char)r;
		th->log->done = i + 1;
	}
	return NULL;
}

static void server(const char *dir, uint64_t seed, struct thread_log *logs)
{
	struct server_thread threads[THREADS];
	struct store *s = open_server(dir);

	for (int t = 0; t < THREADS; t++) {
		threads[t] = (struct server_thread){.s = s, .log = &logs[t], .seed = seed, .t = t};
		pthread_create(&threads[t].id, NULL, serve, &threads[t]);
	}
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t].id, NULL);
	store_close(s);
}

// Runs the server until call KILL_AT (0: to its end). *ret_calls: how many there were.
static int run_server(const char *dir, uint64_t seed, struct thread_log *logs, int kill_at,
		      int *ret_calls)
{
	int *calls = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		interpose.calls = 0;
		interpose.kill_at = kill_at;
		server(dir, seed, logs);
		*calls = interpose.calls;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	*ret_calls = *calls;
	munmap(calls, sizeof(*calls));
	return status;
}

// ---- what must be there

enum fact { GONE, THERE, UNKNOWN };

struct expected {
	enum fact blobs[BLOBS], manifests[MANIFESTS];
	int tags[TAGS]; // the manifest; -1: gone; -2: unknown
};

static void forget_tags(struct expected *x, int manifest, int becomes)
{
	for (int j = 0; j < TAGS; j++)
		if (x->tags[j] == manifest)
			x->tags[j] = becomes;
}

// OP was acknowledged, or (SURE false) it was under way.
static void expect(struct expected *x, const struct op *op, bool sure)
{
	switch (op->kind) {
	case OP_PUSH:
	case OP_MOUNT:
	case OP_MOUNT_ANY:
		if (sure || x->blobs[op->blob] == GONE)
			x->blobs[op->blob] = sure ? THERE : UNKNOWN;
		break;
	case OP_BLOB_REMOVE:
		x->blobs[op->blob] = sure ? GONE : UNKNOWN;
		break;
	case OP_MANIFEST:
	case OP_MANIFEST_AGAIN:
		if (sure || x->manifests[op->manifest] == GONE)
			x->manifests[op->manifest] = sure ? THERE : UNKNOWN;
		x->tags[op->tag] = sure ? op->manifest : -2;
		break;
	case OP_TAG_REMOVE:
		x->tags[op->tag] = sure ? -1 : -2;
		break;
	case OP_MANIFEST_REMOVE:
		x->manifests[op->manifest] = sure ? GONE : UNKNOWN;
		forget_tags(x, op->manifest, sure ? -1 : -2);
		break;
	case OP_PARK:
	case OP_KINDS:
		break;
	}
}

static struct expected expected_of(const struct thread_log *log, uint64_t seed, int t)
{
	struct expected x = {.tags = {-1, -1, -1}};

	for (int i = 0; i < log->begun; i++) {
		struct op op = op_of(seed, t, i);

		if (i >= log->done)
			expect(&x, &op, false);
		else if (log->result[i] == 0)
			expect(&x, &op, true);
	}
	return x;
}

static void check_thread(struct store *s, const char *dir, const struct expected *x, int t)
{
	auto_free char *repo = repo_of(t);
	struct err e;

	for (int k = 0; k < BLOBS; k++) {
		auto_blob struct blob b = blob_new((uint64_t)k, blob_size(k));
		auto_free char *name = blob_name(repo, &b.d.digest);

		if (x->blobs[k] == THERE)
			CHECK(in_dir(dir, name) && holds(s, repo, &b));
		if (x->blobs[k] == GONE)
			CHECK(!in_dir(dir, name));
	}
	for (int m = 0; m < MANIFESTS; m++) {
		auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
		auto_free char *text = manifest_text(m);
		struct digest d = manifest_digest(m), got;
		int r = store_manifest_get(s, repo, d.text, &bytes, &got, &e);

		if (x->manifests[m] == THERE)
			CHECK(r == 0 && strcmp(bytes.p, text) == 0);
		if (x->manifests[m] == GONE)
			CHECK(r < 0 && e.kind == ERR_NOT_FOUND);
	}
	for (int j = 0; j < TAGS; j++) {
		auto_free char *tag = xasprintf("v%d", j);
		struct digest got;
		int r = store_tag_get(s, repo, tag, &got, &e);

		if (x->tags[j] >= 0) {
			struct digest want = manifest_digest(x->tags[j]);

			CHECK(r == 0 && digest_equal(&got, &want));
		}
		if (x->tags[j] == -1)
			CHECK(r < 0 && e.kind == ERR_NOT_FOUND);
	}
}

// Whatever happened: no name has wrong bytes, no tag points at nothing.
static void check_tree(const char *dir)
{
	auto_free char *names = xasprintf(
		"cd '%s' && find . -type f \\( -name 'sha256:*' -o -path './.store/pool/*' \\) | "
		"while read f; do hex=${f##*[/:]}; [ \"$(sha256sum < \"$f\" | cut -c 1-64)\" = "
		"\"$hex\" ] || { echo \"# $f is damaged\"; exit 1; }; done",
		dir);
	auto_free char *links = xasprintf("test -z \"$(find '%s/v2' -xtype l)\"", dir);

	CHECK_INT(system(names), 0);
	CHECK_INT(system(links), 0);
}

// One temporary folder is our own.
static void check_swept(struct store *s, const char *dir)
{
	auto_free char *litter =
		xasprintf("cd '%s/.store' && ls -A up tmp trash 2>/dev/null | grep -v : | "
			  "grep -c .",
			  dir);
	struct err e;

	CHECK_OK(store_upload_sweep(s, store_clock(s) + 25 * 3600, &e));
	FILE *f = popen(litter, "r");
	int n = -1;

	CHECK(f && fscanf(f, "%d", &n) == 1);
	if (f)
		pclose(f);
	CHECK_INT(n, 1);
	CHECK_INT(store_upload_count(s), 0);
}

TEST(what_a_killed_server_acknowledged_is_there)
{
	size_t n = sizeof(struct thread_log) * THREADS;
	struct thread_log *logs =
		mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *rounds = getenv("STORE_TEST_ROUNDS");
	long nrounds = rounds ? strtol(rounds, NULL, 10) : ROUNDS;
	uint64_t random = 12345;
	int calls = 0, ignored;

	// What the disk would have lost is not what this is about.
	if (!getenv("STORE_TEST_DIR") && access("/dev/shm", W_OK) == 0)
		setenv("STORE_TEST_DIR", "/dev/shm", 1);
	{
		auto_dir char *calm = temp_dir();

		CHECK_INT(run_server(calm, 0, logs, 0, &calls), 0);
	}
	for (long i = 0; i < nrounds; i++) {
		auto_dir char *dir = temp_dir();

		random = random * 6364136223846793005u + 1442695040888963407u;
		memset(logs, 0, n);
		int status = run_server(dir, (uint64_t)i, logs,
					1 + (int)((random >> 33) % (uint64_t)calls), &ignored);

		CHECK(status == SIGKILL || status == 0);
		auto_of(store_close) struct store *s = open_server(dir);

		check_tree(dir);
		for (int t = 0; t < THREADS; t++) {
			struct expected x = expected_of(&logs[t], (uint64_t)i, t);

			check_thread(s, dir, &x, t);
		}
		check_swept(s, dir);
		check_tree(dir);
	}
	munmap(logs, n);
}

int main(void)
{
	return tap_main();
}
