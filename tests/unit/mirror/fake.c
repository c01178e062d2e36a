// SPDX-License-Identifier: Apache-2.0
// The engine and the factory, faked.
#include "fake.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/mem.h"

static struct fake *now;

void fake_init(struct fake *f)
{
	*f = (struct fake){.pool = slab_pool_new(8)};
	f->src = place_memory_new("src.io", f->pool);
	f->dst = place_memory_new("dst.io", f->pool);
	now = f;
}

void fake_release(struct fake *f)
{
	place_free(f->src);
	place_free(f->dst);
	slab_pool_free(f->pool);
	strlist_release(&f->log);
}

struct repo *fake_repo(struct fake *f, const char *name)
{
	return place_repo(starts_with(name, "src.io/") ? f->src : f->dst, name + strlen("src.io/"));
}

size_t fake_requests(struct place *p)
{
	return memory_calls(p, MEMORY_MANIFEST_GET) + memory_calls(p, MEMORY_MANIFEST_STAT);
}

bool fake_logged(const struct fake *f, const char *prefix)
{
	for (size_t i = 0; i < f->log.n; i++)
		if (starts_with(f->log.v[i], prefix))
			return true;
	return false;
}

struct digest fake_image(struct repo *r, const char *text, const char *tag)
{
	struct descriptor config, layer;
	struct digest ret;
	auto_free char *json =
		xasprintf("{\"architecture\":\"amd64\",\"os\":\"linux\",\"text\":\"%s\"}", text);

	memory_add_blob(r, json, strlen(json), &config);
	memory_add_blob(r, text, strlen(text), &layer);
	auto_free char *manifest = xasprintf(
		"{\"schemaVersion\":2,\"mediaType\":\"" MT_DOCKER_MANIFEST "\",\"config\":{"
		"\"mediaType\":\"application/vnd.docker.container.image.v1+json\",\"size\":%zu,"
		"\"digest\":\"%s\"},\"layers\":[{\"mediaType\":"
		"\"application/vnd.docker.image.rootfs.diff.tar.gzip\",\"size\":%zu,"
		"\"digest\":\"%s\"}]}",
		strlen(json), config.digest.text, strlen(text), layer.digest.text);

	memory_add_manifest(r, manifest, MT_DOCKER_MANIFEST, tag, &ret);
	return ret;
}

struct digest fake_list(struct repo *r, const struct digest *children, size_t n, const char *tag)
{
	static const char *const arch[] = {"amd64", "arm64", "s390x", "ppc64le"};
	auto_buf struct buf json = BUF_INIT(BUF_TEXT_MAX);
	struct digest ret;

	buf_puts(&json,
		 "{\"schemaVersion\":2,\"mediaType\":\"" MT_DOCKER_LIST "\",\"manifests\":[");
	for (size_t i = 0; i < n; i++)
		buf_printf(
			&json,
			"%s{\"mediaType\":\"" MT_DOCKER_MANIFEST
			"\",\"digest\":\"%s\",\"size\":100,\"platform\":{\"architecture\":\"%s\","
			"\"os\":\"linux\"}}",
			i ? "," : "", children[i].text, arch[i % 4]);
	buf_puts(&json, "]}");
	memory_add_manifest(r, json.p, MT_DOCKER_LIST, tag, &ret);
	return ret;
}

// --- places ---

struct repo *places_repo(struct places *p, const struct reference *ref, bool write, struct err *e)
{
	(void)p;
	(void)e;
	now->opened_for_writing += write;
	return place_repo(strcmp(ref->registry, "src.io") == 0 ? now->src : now->dst,
			  ref->repository);
}

int places_sync(struct places *p, struct err *e)
{
	(void)p;
	(void)e;
	return 0;
}

// A place that a test made a store of (place->kind) is its own handle.
struct store *place_store(struct place *p)
{
	return p->kind == PLACE_STORE ? (struct store *)p : NULL;
}

const char *store_dir(const struct store *s)
{
	(void)s;
	return "media";
}

int store_origin_put(struct store *s, const char *repo, const struct digest *digest,
		     const char *origin, struct err *e)
{
	(void)s;
	(void)e;
	strlist_addf(&now->log, "origin %s %s %s", repo, digest->text, origin);
	return 0;
}

// Every image of a store came from the repository of the same name on quay.io, but for "unknown".
int store_origin_get(struct store *s, const char *repo, const struct digest *digest, char **ret,
		     struct err *e)
{
	(void)s;
	(void)digest;
	(void)e;
	*ret = strcmp(repo, "unknown") == 0 ? NULL : xasprintf("quay.io/%s", repo);
	return 0;
}

// --- engine ---

struct task {
	int (*fn)(struct transfer *t, void *arg, struct err *e);
	void *arg;
};

struct planned_blob {
	struct repo *src, *dst;
	struct digest digest;
	uint64_t size;
};

struct transfer {
	struct transfer_config cfg;
	struct planned_blob *blobs;
	size_t nblobs, blobs_cap;
	struct task *tasks;
	size_t n, cap;
};

struct transfer *transfer_new(const struct transfer_config *cfg)
{
	struct transfer *t = xcalloc(1, sizeof(*t));

	t->cfg = *cfg;
	return t;
}

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	free(t->tasks);
	free(t->blobs);
	free(t);
}

void transfer_spawn(struct transfer *t, struct place *place,
		    int (*fn)(struct transfer *t, void *arg, struct err *e), void *arg)
{
	(void)place;
	vec_reserve(t->tasks, t->n, t->cap);
	t->tasks[t->n++] = (struct task){fn, arg};
}

static void emit(struct transfer *t, struct transfer_event ev)
{
	if (t->cfg.sink)
		t->cfg.sink->event(t->cfg.sink, &ev);
}

static void image_event(struct transfer *t, enum transfer_event_type type, struct repo *dst,
			const struct digest *d, const char *tag)
{
	if (now->broken && digest_equal(now->broken, d))
		return;
	emit(t, (struct transfer_event){
			.type = type, .dst = dst, .digest = d, .tag = tag, .is_manifest = true});
}

bool transfer_stopping(struct transfer *t)
{
	(void)t;
	return false;
}

int transfer_add(struct transfer *t, const struct transfer_manifest *m, struct err *e)
{
	auto_buf struct buf line = BUF_INIT(BUF_TEXT_MAX);

	(void)e;
	buf_printf(&line, "add %s/%s %s tags=", m->dst->place->name, m->dst->name,
		   m->bytes->digest.text);
	for (size_t i = 0; i < m->ntags; i++) {
		buf_printf(&line, "%s%s", i ? "," : "", m->tags[i]);
		image_event(t, TRANSFER_IMAGE_DONE, m->dst, &m->bytes->digest, m->tags[i]);
	}
	if (m->ntags == 0)
		image_event(t, TRANSFER_IMAGE_DONE, m->dst, &m->bytes->digest, NULL);
	buf_printf(&line, " blobs=%zu children=%zu%s%s%s", m->nblobs, m->nchildren,
		   m->blobs_present ? " present" : "", m->sparse ? " sparse" : "",
		   m->generated ? " generated" : "");
	strlist_add(&now->log, line.p);
	for (size_t i = 0; i < m->nblobs; i++) {
		vec_reserve(t->blobs, t->nblobs, t->blobs_cap);
		t->blobs[t->nblobs++] =
			(struct planned_blob){m->src, m->dst, m->blobs[i].digest, m->blobs[i].size};
	}
	manifest_bytes_release(m->bytes);
	*m->bytes = (struct manifest_bytes){0};
	return 0;
}

void transfer_present(struct transfer *t, struct repo *dst, const struct digest *digest,
		      const char *tag)
{
	strlist_addf(&now->log, "present %s/%s %s %s", dst->place->name, dst->name, digest->text,
		     tag ? tag : "-");
	image_event(t, TRANSFER_IMAGE_PRESENT, dst, digest, tag);
}

printf_like(4, 0) static void text_event(struct transfer *t, enum transfer_event_type type,
					 const char *word, const char *fmt, va_list ap)
{
	auto_free char *text = xvasprintf(fmt, ap);

	strlist_addf(&now->log, "%s %s", word, text);
	emit(t, (struct transfer_event){.type = type, .text = text});
}

void transfer_missing(struct transfer *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_event(t, TRANSFER_MISSING, "missing", fmt, ap);
	va_end(ap);
}

void transfer_notice(struct transfer *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_event(t, TRANSFER_NOTICE, "notice", fmt, ap);
	va_end(ap);
}

void transfer_failed(struct transfer *t, const struct err *why)
{
	(void)t;
	strlist_addf(&now->log, "failed %s", why->text);
}

const struct transfer_failure *transfer_why(struct transfer *t, struct repo *dst,
					    const struct digest *digest)
{
	static const struct transfer_failure why = {ERR_DENIED, 403, false, "denied"};

	(void)t;
	(void)dst;
	return now->broken && digest_equal(now->broken, digest) ? &why : NULL;
}

void transfer_stats(struct transfer *t, struct transfer_stats *ret)
{
	(void)t;
	*ret = (struct transfer_stats){0};
}

void transfer_visit_plan(struct transfer *t, const struct transfer_plan_visitor *v)
{
	for (size_t i = 0; i < t->nblobs; i++) {
		const struct planned_blob *b = &t->blobs[i];

		if (v->repository)
			v->repository(v->arg, b->dst);
		if (v->blob)
			v->blob(v->arg, b->src, &b->digest, b->size, false);
	}
}

int transfer_run(struct transfer *t,
		 int (*before_copy)(struct transfer *t, void *arg, struct err *e), void *arg,
		 struct err *e)
{
	struct err why;
	int r = 0;

	for (size_t i = 0; i < t->n; i++)
		if (t->tasks[i].fn(t, t->tasks[i].arg, &why) < 0) {
			strlist_addf(&now->log, "failed %s", why.text);
			if (r == 0)
				*e = why;
			r = -1;
		}
	if (r == 0 && before_copy)
		r = before_copy(t, arg, e);
	return r;
}
