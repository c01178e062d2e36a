// SPDX-License-Identifier: Apache-2.0
// Finding what is attached to images.
#include "release/verify_attached.h"

#include <stdlib.h>
#include <string.h>

#include "release/tasks.h"
#include "util/map.h"

enum {
	FALLBACK_HEX_MAX = 64, // of the digest in a fallback tag
	FOUND_MAX = 256,       // of one image
};

struct search {
	const struct verify_request *req;
	struct verify_subject *v;
	struct map tags; // "REPOSITORY TAG" of all repositories
};

static int add(struct verify_subject *s, const char *kind, const char *tag,
	       const struct verify_attachment *found, struct err *e)
{
	if (s->n == FOUND_MAX)
		return err_set(e, ERR_INPUT, "more than %d things are attached to it", FOUND_MAX);
	vec_reserve(s->found, s->n, s->cap);
	s->found[s->n] = *found;
	s->found[s->n].kind = kind;
	s->found[s->n++].tag = tag ? xstrdup(tag) : NULL;
	return 0;
}

// ---- tags

static char *tag_key(const struct repo *repo, const char *tag)
{
	return xasprintf("%s %s", repo->name, tag);
}

// Those of the repository of ANY.
static int list_tags(struct search *s, struct verify_subject *any, struct err *e)
{
	auto_strlist struct strlist tags = {0};
	struct repo *repo = any->repo;
	struct err why;

	if (repo->ops->tags(repo, &tags, &why) < 0) {
		if (why.kind == ERR_CANCELLED)
			return err_cancelled(e);
		if (why.kind != ERR_NOT_FOUND && why.kind != ERR_DENIED &&
		    why.kind != ERR_UNSUPPORTED)
			any->why = why;
		return 0;
	}
	for (size_t i = 0; i < tags.n; i++) {
		auto_free char *key = tag_key(repo, tags.v[i]);

		map_put(&s->tags, str_of(key), NULL);
	}
	return 0;
}

// A folder without a list of referrers is read through once, for all who ask later.
static int read_through(const struct verify_subject *any, struct err *e)
{
	auto_strlist struct strlist ignored = {0};
	struct err why;

	if (any->repo->place->kind != PLACE_STORE ||
	    any->repo->ops->referrers(any->repo, &any->digest, &ignored, &why) == 0 ||
	    why.kind != ERR_CANCELLED)
		return 0;
	*e = why;
	return -1;
}

// In every repository that holds a part of the release.
static int list_all_tags(struct search *s, size_t n, struct err *e)
{
	auto_map struct map asked = {0};

	for (size_t i = 0; i < n; i++) {
		struct repo *repo = s->v[i].repo;
		bool new;

		map_put(&asked, str_of(repo->name), &new);
		if (!new)
			continue;
		if (list_tags(s, &s->v[i], e) < 0 || read_through(&s->v[i], e) < 0)
			return -1;
	}
	return 0;
}

static int follow_tag(const struct search *s, struct verify_subject *subject, const char *kind,
		      const char *tag, struct err *e)
{
	auto_free char *key = tag_key(subject->repo, tag);
	struct verify_attachment found = {0};
	struct manifest_stat st;

	if (!map_find(&s->tags, str_of(key)))
		return 0;
	if (subject->repo->ops->manifest_stat(subject->repo, tag, &st, &found.why) == 0)
		found.digest = st.digest;
	else if (found.why.kind == ERR_CANCELLED)
		return err_cancelled(e);
	return add(subject, kind, tag, &found, e);
}

static int follow_tags(const struct search *s, struct verify_subject *subject, struct err *e)
{
	static const struct {
		const char *kind, *suffix;
	} kinds[] = {{"signature", "sig"}, {"attestation", "att"}, {"SBOM", "sbom"}};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		auto_free char *tag = xasprintf("%s-%s.%s", digest_algo_name(subject->digest.algo),
						digest_hex(&subject->digest), kinds[i].suffix);

		if (follow_tag(s, subject, kinds[i].kind, tag, e) < 0)
			return -1;
	}
	return 0;
}

// ---- referrers

// An index under the fallback tag is verified with all that it lists.
static int follow_fallback(const struct search *s, struct verify_subject *subject, struct err *e)
{
	size_t before = subject->n;
	auto_free char *tag = xasprintf("%s-%.*s", digest_algo_name(subject->digest.algo),
					FALLBACK_HEX_MAX, digest_hex(&subject->digest));

	if (follow_tag(s, subject, "referrer", tag, e) < 0)
		return -1;
	if (subject->n > before)
		subject->found[before].lists = true;
	return 0;
}

static int follow_referrers(const struct search *s, struct verify_subject *subject, struct err *e)
{
	auto_strlist struct strlist list = {0};
	struct repo *repo = subject->repo;

	if (repo->ops->referrers(repo, &subject->digest, &list, e) < 0) {
		if (e->kind == ERR_UNSUPPORTED)
			return follow_fallback(s, subject, e);
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	}
	for (size_t i = 0; i < list.n; i++) {
		struct verify_attachment found = {0};

		if (digest_parse(&found.digest, list.v[i], e) < 0 ||
		    add(subject, "referrer", NULL, &found, e) < 0)
			return -1;
	}
	return 0;
}

// ---- all of them

static void find_task(void *arg, size_t i)
{
	const struct search *s = arg;
	struct verify_subject *subject = &s->v[i];
	struct err why = {0};

	if (cancelled(s->req->cancel))
		err_cancelled(&subject->why);
	else if (follow_tags(s, subject, &why) < 0 || follow_referrers(s, subject, &why) < 0)
		subject->why = why;
}

static int find(struct search *s, size_t n, struct err *e)
{
	if (list_all_tags(s, n, e) < 0)
		return -1;
	tasks_run(n, s->req->parallel, find_task, s);
	for (size_t i = 0; i < n; i++)
		if (s->v[i].why.kind == ERR_CANCELLED) {
			*e = s->v[i].why;
			return -1;
		}
	return 0;
}

int verify_attached_find(const struct verify_request *req, struct verify_subject *v, size_t n,
			 struct err *e)
{
	struct search s = {.req = req, .v = v};
	int r = find(&s, n, e);

	map_release(&s.tags);
	return r;
}

void verify_subjects_release(struct verify_subject *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < v[i].n; k++)
			free(v[i].found[k].tag);
		free(v[i].found);
	}
	free(v);
}
