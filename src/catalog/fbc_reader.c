// SPDX-License-Identifier: Apache-2.0
// A bounded queue of documents between the thread that cuts and those that parse.
#include "catalog/fbc_reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "catalog/fbc.h"
#include "catalog/ignore.h"
#include "catalog/read.h"
#include "catalog/tree.h"
#include "util/map.h"

enum {
	THREADS_DEFAULT = 2,
	THREADS_MAX = 8, // more would only wait for the layer
	JOBS_MAX = 256,
	CHUNK = 64 << 10,
};

// A document names an image; numbers are of reader.texts, NONE where there is nothing to name.
struct row {
	uint32_t package, name, image;
	bool is_package; // PACKAGE is all that it says
};
#define NONE UINT32_MAX

// Guarded by the reader's lock while threads run, but for `path`.
struct file {
	char *path;
	struct row *rows; // what its documents say
	size_t nrows, rows_cap;
	char *error;           // the first one; owned
	size_t error_document; // where; 0: the file as a whole, whose name is in the text
	bool is_gone;
	bool is_patterns; // an .indexignore
	struct buf text;  // of that
};

// A document on its way to a thread.
struct job {
	struct file *file;
	struct document document;
};

struct fbc_reader {
	struct fbc_reader_config cfg;
	struct map by_path;  // of struct file, those that count
	struct file **files; // all of them; owned
	size_t nfiles, cap;
	struct file *current;
	size_t patterns; // bytes of .indexignore files

	pthread_t threads[THREADS_MAX];
	unsigned nthreads;
	pthread_mutex_t lock;
	pthread_cond_t has_job, has_room;
	struct job jobs[JOBS_MAX]; // a ring
	size_t first, njobs;
	size_t waiting;   // bytes of documents that no thread is done with
	struct map texts; // of all files, each once
	size_t memory;    // of texts and rows
	bool no_more;
	char chunk[CHUNK];
};

// ---- what is known of a file

// What F said does not count. Called locked.
static void drop_rows(struct fbc_reader *r, struct file *f)
{
	r->memory -= f->rows_cap * sizeof(*f->rows);
	free(f->rows);
	f->rows = NULL;
	f->nrows = f->rows_cap = 0;
}

// Called locked.
static void set_error(struct fbc_reader *r, struct file *f, size_t document, const struct err *why)
{
	if (f->error && f->error_document <= document)
		return;
	free(f->error);
	f->error = xstrdup(why->text);
	f->error_document = document;
	drop_rows(r, f);
}

// Does it still matter what DOCUMENT of F says? Called locked.
static bool matters(const struct file *f, size_t document)
{
	return !f->is_gone && (!f->error || document < f->error_document);
}

static bool matters_now(struct fbc_reader *r, const struct file *f, size_t document)
{
	pthread_mutex_lock(&r->lock);
	bool yes = matters(f, document);

	pthread_mutex_unlock(&r->lock);
	return yes;
}

// ---- threads that parse

// The number of TEXT. Called locked.
static uint32_t intern(struct fbc_reader *r, const char *text)
{
	bool is_new;
	const struct map_entry *entry = map_put(&r->texts, str_of(text), &is_new);

	if (is_new)
		r->memory += entry->len + 2 * sizeof(*entry);
	return (uint32_t)(entry - r->texts.entries);
}

// Called locked.
static void add_row(struct fbc_reader *r, struct file *f, struct row row)
{
	size_t before = f->rows_cap;

	vec_reserve(f->rows, f->nrows, f->rows_cap);
	r->memory += (f->rows_cap - before) * sizeof(*f->rows);
	f->rows[f->nrows++] = row;
}

// Called locked.
static int add_document(struct fbc_reader *r, struct file *f, const struct fbc_document *d,
			struct err *e)
{
	bool is_package = strcmp(d->schema, "olm.package") == 0;
	const char *package = is_package && !d->package[0] ? d->name : d->package;
	struct row row = {intern(r, package), NONE, NONE, .is_package = true};

	if (is_package)
		add_row(r, f, row);
	row = (struct row){row.package, intern(r, d->name), NONE, false};
	if (strcmp(d->schema, "olm.bundle") == 0)
		add_row(r, f, row);
	for (size_t i = 0; i < d->nimages; i++) {
		row.image = intern(r, d->images[i]);
		add_row(r, f, row);
	}
	if (r->memory > FBC_MEMORY_MAX)
		return err_set(e, ERR_INPUT, "what the catalog says takes more than %zu bytes",
			       FBC_MEMORY_MAX);
	return 0;
}

struct parsing {
	struct fbc_reader *r;
	const struct job *job;
};

static int on_document(void *arg, const struct fbc_document *d, struct err *e)
{
	const struct parsing *p = arg;
	struct file *f = p->job->file;
	int failed = 0;

	pthread_mutex_lock(&p->r->lock);
	if (!f->is_gone && !f->error)
		failed = add_document(p->r, f, d, e);
	pthread_mutex_unlock(&p->r->lock);
	return failed;
}

static void parse(struct fbc_reader *r, struct job *job)
{
	struct parsing p = {r, job};
	size_t number = job->document.number;
	unsigned flags = r->cfg.deep_scan ? FBC_DEEP : 0;
	struct err e;

	if (cancelled(r->cfg.cancel) || !matters_now(r, job->file, number) ||
	    fbc_read(&job->document, flags, on_document, &p, &e) == 0)
		return;
	pthread_mutex_lock(&r->lock);
	set_error(r, job->file, number, &e);
	pthread_mutex_unlock(&r->lock);
}

// The next document, its bytes owned; false when there will be none. Called locked.
static bool next_job(struct fbc_reader *r, struct job *ret)
{
	while (r->njobs == 0 && !r->no_more)
		pthread_cond_wait(&r->has_job, &r->lock);
	if (r->njobs == 0)
		return false;
	*ret = r->jobs[r->first];
	r->first = (r->first + 1) % JOBS_MAX;
	r->njobs--;
	return true;
}

static void *work(void *arg)
{
	struct fbc_reader *r = arg;
	struct job job;

	pthread_mutex_lock(&r->lock);
	while (next_job(r, &job)) {
		size_t n = job.document.bytes.n;

		pthread_mutex_unlock(&r->lock);
		parse(r, &job);
		buf_free(&job.document.bytes);
		pthread_mutex_lock(&r->lock);
		r->waiting -= n;
		pthread_cond_signal(&r->has_room);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static void start_threads(struct fbc_reader *r)
{
	unsigned wanted = r->cfg.threads ? r->cfg.threads : THREADS_DEFAULT;

	for (; r->nthreads < wanted && r->nthreads < THREADS_MAX; r->nthreads++)
		if (pthread_create(&r->threads[r->nthreads], NULL, work, r) != 0)
			return;
}

static void join_threads(struct fbc_reader *r)
{
	pthread_mutex_lock(&r->lock);
	r->no_more = true;
	pthread_cond_broadcast(&r->has_job);
	pthread_mutex_unlock(&r->lock);
	while (r->nthreads > 0)
		pthread_join(r->threads[--r->nthreads], NULL);
}

// ---- the thread that cuts

struct fbc_reader *fbc_reader_new(const struct fbc_reader_config *cfg, struct err *e)
{
	auto_of(fbc_reader_free) struct fbc_reader *r = xcalloc(1, sizeof(*r));

	r->cfg = *cfg;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->has_job, NULL);
	pthread_cond_init(&r->has_room, NULL);
	start_threads(r);
	if (r->nthreads == 0) {
		err_set(e, ERR_IO, "cannot start a thread");
		return NULL;
	}
	return steal(&r);
}

static void free_file(struct file *f)
{
	free(f->rows);
	buf_free(&f->text);
	free(f->error);
	free(f->path);
	free(f);
}

// Documents that no thread has begun with go unread.
static void drop_jobs(struct fbc_reader *r)
{
	pthread_mutex_lock(&r->lock);
	for (; r->njobs > 0; r->njobs--) {
		buf_free(&r->jobs[r->first].document.bytes);
		r->first = (r->first + 1) % JOBS_MAX;
	}
	pthread_mutex_unlock(&r->lock);
}

void fbc_reader_free(struct fbc_reader *r)
{
	if (!r)
		return;
	drop_jobs(r);
	join_threads(r);
	for (size_t i = 0; i < r->nfiles; i++)
		free_file(r->files[i]);
	free(r->files);
	map_release(&r->texts);
	map_release(&r->by_path);
	pthread_cond_destroy(&r->has_room);
	pthread_cond_destroy(&r->has_job);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void end_file(struct fbc_reader *r, struct file *f)
{
	if (f->is_patterns)
		r->patterns -= f->text.n;
	buf_free(&f->text);
	pthread_mutex_lock(&r->lock);
	f->is_gone = true;
	drop_rows(r, f);
	pthread_mutex_unlock(&r->lock);
}

// A new file of that name, in place of the one there was.
static struct file *new_file(struct fbc_reader *r, const char *path)
{
	struct map_entry *entry = map_put(&r->by_path, str_of(path), NULL);
	const char *slash = strrchr(path, '/');
	struct file *f = xcalloc(1, sizeof(*f));

	if (entry->ptr)
		end_file(r, entry->ptr);
	f->path = xstrdup(path);
	f->is_patterns = strcmp(slash ? slash + 1 : path, IGNORE_NAME) == 0;
	f->text = (struct buf)BUF_INIT(FBC_IGNORE_MAX);
	entry->ptr = f;
	vec_reserve(r->files, r->nfiles, r->cap);
	r->files[r->nfiles++] = f;
	return f;
}

void fbc_reader_broken(struct fbc_reader *r, const char *path, const struct err *why)
{
	struct file *f = new_file(r, path);

	pthread_mutex_lock(&r->lock);
	set_error(r, f, 0, why);
	pthread_mutex_unlock(&r->lock);
}

void fbc_reader_gone(struct fbc_reader *r, const char *path)
{
	size_t n = strlen(path);

	for (size_t i = 0; i < r->by_path.n; i++) {
		struct map_entry *entry = &r->by_path.entries[i];
		bool below = n == 0 || (strncmp(entry->key, path, n) == 0 &&
					(entry->key[n] == '/' || entry->key[n] == '\0'));

		if (!below || !entry->ptr)
			continue;
		end_file(r, entry->ptr);
		entry->ptr = NULL;
	}
}

// Hands a document over; waits while too much is waiting.
static int enqueue(void *arg, struct document *d, struct err *e)
{
	struct fbc_reader *r = arg;

	if (cancelled(r->cfg.cancel))
		return err_cancelled(e);
	pthread_mutex_lock(&r->lock);
	while (r->njobs == JOBS_MAX ||
	       (r->waiting > 0 && r->waiting + d->bytes.n > FBC_WAITING_MAX))
		pthread_cond_wait(&r->has_room, &r->lock);
	struct job *job = &r->jobs[(r->first + r->njobs++) % JOBS_MAX];

	*job = (struct job){r->current, *d};
	d->bytes = (struct buf)BUF_INIT(d->bytes.max);
	r->waiting += job->document.bytes.n;
	pthread_cond_signal(&r->has_job);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

struct source {
	ssize_t (*read)(void *source, void *data, size_t n, struct err *e);
	void *arg;
};

static void too_many_patterns(struct fbc_reader *r, struct file *f)
{
	auto_free char *name = catalog_tree_name(r->cfg.tree_path, f->path);
	struct err why;

	err_set(&why, ERR_INPUT, "%s: more than %zu bytes of " IGNORE_NAME " in all", name,
		FBC_IGNORE_MAX);
	pthread_mutex_lock(&r->lock);
	set_error(r, f, 0, &why);
	pthread_mutex_unlock(&r->lock);
}

static int read_patterns(struct fbc_reader *r, struct file *f, const struct source *s,
			 struct err *e)
{
	for (;;) {
		ssize_t n = s->read(s->arg, r->chunk, sizeof(r->chunk), e);

		if (n <= 0)
			return (int)n;
		if ((size_t)n > FBC_IGNORE_MAX - r->patterns) {
			too_many_patterns(r, f);
			return 0;
		}
		buf_put(&f->text, r->chunk, (size_t)n);
		r->patterns += (size_t)n;
	}
}

// What is wrong with the file is kept in it; only READ and the user end the walk.
static int cut(struct fbc_reader *r, struct file *f, struct documents *s, struct str bytes,
	       struct err *e)
{
	int failed = bytes.p ? documents_add(s, bytes, e) : documents_end(s, e);

	if (!failed || e->kind == ERR_CANCELLED)
		return failed;
	pthread_mutex_lock(&r->lock);
	set_error(r, f, SIZE_MAX, e);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

static int read_documents(struct fbc_reader *r, struct file *f, const struct source *s,
			  struct err *e)
{
	auto_of(documents_free) struct documents *docs =
		documents_new(CATALOG_DOCUMENT_MAX, enqueue, r);

	r->current = f;
	for (;;) {
		ssize_t n = s->read(s->arg, r->chunk, sizeof(r->chunk), e);
		struct str bytes = {n > 0 ? r->chunk : NULL, n > 0 ? (size_t)n : 0};

		if (n < 0)
			return -1;
		if (cancelled(r->cfg.cancel))
			return err_cancelled(e);
		if (!matters_now(r, f, SIZE_MAX))
			return 0; // the rest is passed over
		if (cut(r, f, docs, bytes, e) < 0)
			return -1;
		if (n == 0)
			return 0;
	}
}

int fbc_reader_file(struct fbc_reader *r, const char *path,
		    ssize_t (*read)(void *source, void *data, size_t n, struct err *e),
		    void *source, struct err *e)
{
	struct file *f = new_file(r, path);
	struct source s = {read, source};

	int failed = f->is_patterns ? read_patterns(r, f, &s, e) : read_documents(r, f, &s, e);

	if (failed && e->kind != ERR_CANCELLED) {
		auto_free char *name = catalog_tree_name(r->cfg.tree_path, path);

		err_wrap(e, "%s", name);
	}
	return failed;
}

// ---- the end

static int by_path(const void *a, const void *b)
{
	const struct file *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

static bool looks_like_catalog(const char *path)
{
	return ends_with(path, ".json") || ends_with(path, ".yaml") || ends_with(path, ".yml");
}

// F has the error WHY: 0 when it is left out therefore.
static int broken(struct fbc_reader *r, const struct file *f, const char *why, struct err *e)
{
	auto_free char *name = catalog_tree_name(r->cfg.tree_path, f->path);

	err_set(e, ERR_INPUT, "%s", why);
	if (!f->error || f->error_document > 0)
		err_wrap(e, "%s", name);
	if (!f->is_patterns && f->error_document > 0 && !looks_like_catalog(f->path))
		err_hint(
			e,
			"hint: a file that is no part of the catalog is to be named in " IGNORE_NAME);
	return r->cfg.on_broken && r->cfg.on_broken(r->cfg.arg, e) ? 0 : -1;
}

static int add_patterns(struct fbc_reader *r, struct ignore *ig, const struct file *f,
			struct err *e)
{
	const char *slash = strrchr(f->path, '/');
	auto_free char *folder = xstrndup(f->path, slash ? (size_t)(slash - f->path) : 0);
	struct err why;

	if (f->error)
		return broken(r, f, f->error, e);
	if (ignore_add(ig, folder, buf_str(&f->text), &why) < 0)
		return broken(r, f, why.text, e);
	return 0;
}

static int read_ignores(struct fbc_reader *r, struct ignore *ig, struct err *e)
{
	for (size_t i = 0; i < r->nfiles; i++) {
		const struct file *f = r->files[i];

		if (f->is_patterns && !f->is_gone && add_patterns(r, ig, f, e) < 0)
			return -1;
	}
	ignore_ready(ig);
	return 0;
}

static struct str text_of(const struct fbc_reader *r, uint32_t number)
{
	if (number == NONE)
		return STR("");
	return (struct str){r->texts.entries[number].key, r->texts.entries[number].len};
}

static int collect_row(const struct fbc_reader *r, const struct row *row, struct collect *to,
		       struct err *e)
{
	uint32_t bundle;

	if (row->is_package)
		return collect_package(to, text_of(r, row->package), e);
	if (collect_bundle(to, text_of(r, row->package), text_of(r, row->name), &bundle, e) < 0)
		return -1;
	return collect_image(to, bundle, text_of(r, row->image), e);
}

static int collect_file(const struct fbc_reader *r, const struct file *f, struct collect *to,
			struct err *e)
{
	for (size_t i = 0; i < f->nrows; i++)
		if (collect_row(r, &f->rows[i], to, e) < 0)
			return -1;
	return 0;
}

static int add_file(struct fbc_reader *r, struct file *f, struct collect *to, struct err *e)
{
	int failed = f->error ? broken(r, f, f->error, e) : collect_file(r, f, to, e);

	drop_rows(r, f);
	return failed;
}

int fbc_reader_finish(struct fbc_reader *r, struct collect *to, struct err *e)
{
	auto_of(ignore_free) struct ignore *ig = ignore_new(CATALOG_IGNORES_MAX);

	join_threads(r);
	if (cancelled(r->cfg.cancel))
		return err_cancelled(e);
	if (r->nfiles > 1)
		qsort(r->files, r->nfiles, sizeof(*r->files), by_path);
	if (read_ignores(r, ig, e) < 0)
		return -1;
	for (size_t i = 0; i < r->nfiles; i++) {
		struct file *f = r->files[i];

		if (cancelled(r->cfg.cancel))
			return err_cancelled(e);
		if (f->is_gone || f->is_patterns || ignore_matches(ig, f->path))
			continue;
		if (ignore_check(ig, e) < 0)
			return err_wrap(e, IGNORE_NAME);
		if (add_file(r, f, to, e) < 0)
			return -1;
	}
	return 0;
}
