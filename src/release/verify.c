// SPDX-License-Identifier: Apache-2.0
// Verifying releases: found, read, walked, and their signatures checked.
#include "release/verify.h"

#include <stdlib.h>
#include <string.h>

#include "release/verify_find.h"
#include "release/verify_walk.h"

#define RELEASE_IMAGE "release image"

struct run {
	const struct verify_request *req;
	struct verify_report *report;
	struct verify_find find;
	struct map known; // manifests of releases that were verified, and tags of their components
};

static void release_free(struct verify_release *r)
{
	free(r->name);
	free(r->version);
	free(r->architecture);
	free(r->unsigned_why);
	signatures_release(&r->signatures);
	verify_problems_release(r->problems, r->nproblems);
}

void verify_report_release(struct verify_report *r)
{
	for (size_t i = 0; i < r->n; i++)
		release_free(&r->releases[i]);
	free(r->releases);
	verify_problems_release(r->tags, r->ntags);
	*r = (struct verify_report){0};
}

// ---- one release

// Where else a component may be: what it is called on the same registry, or in the same folder.
static int find_others(struct run *r, const struct verify_candidate *c,
		       const struct payload_component *component, struct verify_root *root,
		       struct err *e)
{
	if (!r->req->repository) {
		root->others = r->find.repos;
		root->nothers = r->find.nrepos;
		return 0;
	}
	// Borrowed for the call: a reference that is only read.
	const struct reference ref = {.type = REF_REGISTRY,
				      .registry = c->ref.registry,
				      .repository = component->ref.repository,
				      .tag = (char *)""};

	if (strcmp(ref.repository, c->ref.repository) == 0)
		return 0;
	root->named = places_repo(r->req->places, &ref, false, e);
	if (!root->named)
		return -1;
	root->others = &root->named;
	root->nothers = 1;
	return 0;
}

static void add_release_image(struct verify_walk *w, const struct verify_candidate *c)
{
	struct verify_root *root = &w->roots[w->n++];

	root->digest = c->digest;
	root->own = c->repo;
	strlist_add(&root->names, RELEASE_IMAGE);
}

// Components that are one image are checked once.
static int add_component(struct run *r, const struct verify_candidate *c,
			 const struct payload_component *component, struct verify_walk *w,
			 struct map *index, struct err *e)
{
	bool new;

	if (!component->ref.has_digest) {
		verify_problem_add(&w->problems, &w->nproblems, &w->cap, VERIFY_DAMAGED, "image",
				   NULL, component->name, "the release does not name it by digest");
		return 0;
	}
	struct map_entry *en = map_put(index, str_of(component->ref.digest.text), &new);

	if (!new) {
		strlist_add(&w->roots[en->num].names, component->name);
		return 0;
	}
	struct verify_root *root = &w->roots[w->n];

	en->num = w->n++;
	root->digest = component->ref.digest;
	root->own = c->repo;
	strlist_add(&root->names, component->name);
	return find_others(r, c, component, root, e);
}

static int add_roots(struct run *r, const struct verify_candidate *c,
		     const struct release_info *info, struct verify_walk *w, struct err *e)
{
	auto_map struct map index = {0};
	const struct payload *p = &info->payload;

	w->roots = xcalloc(p->ncomponents + 1, sizeof(*w->roots));
	add_release_image(w, c);
	for (size_t i = 0; i < p->ncomponents; i++)
		if (add_component(r, c, &p->components[i], w, &index, e) < 0)
			return -1;
	return 0;
}

// Reads the release by digest: what the tag named when it was looked at.
static int read_release(struct run *r, const struct verify_candidate *c, struct release_info *ret,
			struct err *e)
{
	struct reference ref = c->ref; // borrowed for the call

	ref.tag = (char *)"";
	ref.has_digest = true;
	ref.digest = c->digest;
	auto_free char *text = reference_print(&ref);
	const struct release_info_request req = {.image = text, .default_filter = true};

	return release_info_read(ret, r->req->places, &req, e);
}

static void describe(struct verify_release *to, const struct release_info *info)
{
	const struct payload *p = &info->payload;

	to->version = xstrdup(release_info_name(info));
	to->architecture = xstrdup(p->is_list ? "multi" : platform_release_arch(p->architecture));
	to->images = p->ncomponents + 1;
}

static int check_signature(struct run *r, const struct release_info *info,
			   struct verify_release *to, struct verify_walk *w, struct err *e)
{
	struct err why;

	if (release_info_verify(info, &r->req->signatures, &to->signatures, &why) == 0) {
		to->is_signed = true;
		return 0;
	}
	if (why.kind == ERR_CANCELLED) {
		*e = why;
		return -1;
	}
	if (why.kind == ERR_NOT_FOUND && !r->req->require_signature) {
		to->unsigned_why = xstrdup(why.text);
		return 0;
	}
	verify_problem_add(&w->problems, &w->nproblems, &w->cap,
			   why.kind == ERR_NOT_FOUND ? VERIFY_MISSING : VERIFY_DAMAGED, "signature",
			   &to->digest, RELEASE_IMAGE, why.text);
	return 0;
}

static bool has_problem_with(const struct verify_walk *w, const char *image)
{
	for (size_t i = 0; i < w->nproblems; i++)
		if (strlist_has(&w->problems[i].images, image))
			return true;
	return false;
}

// The tags under which components are mirrored: one that cannot be read says nothing new.
static void know_tags(struct run *r, const struct verify_candidate *c, const struct verify_walk *w)
{
	for (size_t i = 0; *c->ref.tag && i < w->n; i++)
		for (size_t k = 0; k < w->roots[i].names.n; k++) {
			auto_free char *key = xasprintf("%s %s-%s", c->repo->name, c->ref.tag,
							w->roots[i].names.v[k]);

			map_put(&r->known, str_of(key), NULL);
		}
}

static bool is_known(const struct run *r, const struct verify_candidate *c)
{
	auto_free char *digest = verify_known_key(c->repo, c->digest.text);
	auto_free char *tag = verify_known_key(c->repo, c->ref.tag);

	return map_find(&r->known, str_of(c->has_digest ? digest : tag)) != NULL;
}

static void take_results(struct run *r, struct verify_walk *w, struct verify_release *to)
{
	to->blobs = w->blobs;
	to->bytes = w->bytes;
	to->attachments = w->attachments;
	to->problems = w->problems;
	to->nproblems = w->nproblems;
	w->problems = NULL;
	w->nproblems = w->cap = 0;
	for (size_t i = 0; i < w->manifests.n; i++)
		map_put(&r->known, str_of(w->manifests.entries[i].key), NULL);
}

// What is wrong with the release image itself says more than that it cannot be read.
static void note_unread(const struct verify_candidate *c, const struct err *why,
			struct verify_walk *w)
{
	if (!has_problem_with(w, RELEASE_IMAGE))
		verify_problem_add(&w->problems, &w->nproblems, &w->cap,
				   verify_fault_of(c->repo, why), "payload", &c->digest,
				   RELEASE_IMAGE, why->text);
}

static int verify(struct run *r, const struct verify_candidate *c, struct verify_release *to,
		  struct err *e)
{
	auto_release_info struct release_info info = {0};
	auto_verify_walk struct verify_walk w = {.req = r->req};
	struct err why = {0};
	bool readable = read_release(r, c, &info, &why) == 0;

	if (!readable && why.kind == ERR_CANCELLED) {
		*e = why;
		return -1;
	}
	if (readable)
		describe(to, &info);
	if (add_roots(r, c, &info, &w, e) < 0 || verify_walk_run(&w, e) < 0)
		return -1;
	if (!readable)
		note_unread(c, &why, &w);
	else if (check_signature(r, &info, to, &w, e) < 0)
		return -1;
	know_tags(r, c, &w);
	take_results(r, &w, to);
	return 0;
}

static int verify_candidate(struct run *r, const struct verify_candidate *c, struct err *e)
{
	struct verify_report *report = r->report;

	report->releases =
		xreallocarray(report->releases, report->n + 1, sizeof(*report->releases));
	struct verify_release *to = &report->releases[report->n++];

	*to = (struct verify_release){
		.name = reference_print(&c->ref), .digest = c->digest, .images = 1};
	if (verify(r, c, to, e) < 0)
		return -1;
	if (!to->version) {
		to->version = xstrdup("");
		to->architecture = xstrdup("");
	}
	return 0;
}

// ---- all of them

// Those that are releases, each once.
static int verify_candidates(struct run *r, bool longer, struct err *e)
{
	for (size_t i = 0; i < r->find.n; i++) {
		const struct verify_candidate *c = &r->find.v[i];

		if (!c->is_release || c->is_longer != longer || is_known(r, c))
			continue;
		if (verify_candidate(r, c, e) < 0)
			return -1;
	}
	return 0;
}

// Tags that could be those of a release, for all that can be known.
static void report_unread(struct run *r)
{
	struct verify_report *report = r->report;
	size_t cap = 0;

	for (size_t i = 0; i < r->find.n; i++) {
		const struct verify_candidate *c = &r->find.v[i];
		auto_free char *name = reference_print(&c->ref);

		if (c->why.kind == ERR_NONE || is_known(r, c))
			continue;
		verify_problem_add(&report->tags, &report->ntags, &cap,
				   verify_fault_of(c->repo, &c->why), "image", NULL, name,
				   c->why.text);
	}
}

static int verify_all(struct run *r, struct err *e)
{
	struct verify_find *f = &r->find;

	// Once the releases are known, so are the tags of their components.
	if (verify_find_tags(f, e) < 0 || verify_find_look(f, false, &r->known, e) < 0 ||
	    verify_candidates(r, false, e) < 0 || verify_find_look(f, true, &r->known, e) < 0 ||
	    verify_candidates(r, true, e) < 0)
		return -1;
	report_unread(r);
	if (r->report->n > 0 || r->report->ntags > 0)
		return 0;
	return err_set(e, ERR_NOT_FOUND,
		       "there is no tag of a release in %s: name the release by tag or digest",
		       r->req->repository ? r->req->repository : "the folder");
}

// A mistake of the user is not a flaw of the release.
static int check_keys(const struct verify_request *req, struct err *e)
{
	auto_verifier struct verifier v = {0};
	const struct release_verify_request *s = &req->signatures;

	if (s->keyrings->n > 0 && verifier_read_keys(&v, s->keyrings, s->now, e) < 0)
		return -1;
	for (size_t i = 0; i < s->signature_stores->n; i++)
		if (verifier_add_store(&v, s->signature_stores->v[i], e) < 0)
			return -1;
	return 0;
}

static int run(struct run *r, struct err *e)
{
	if (check_keys(r->req, e) < 0 || verify_find_open(&r->find, r->req, e) < 0)
		return -1;
	if (!r->find.tag && r->req->nwanted == 0)
		return verify_all(r, e);
	if (verify_find_wanted(&r->find, e) < 0)
		return -1;
	return verify_candidates(r, false, e);
}

int verify_run(struct verify_report *ret, const struct verify_request *req, struct err *e)
{
	struct verify_report report = {0};
	struct run r = {.req = req, .report = &report};
	int status = run(&r, e);

	verify_find_release(&r.find);
	map_release(&r.known);
	if (status < 0)
		verify_report_release(&report);
	else
		*ret = report;
	return status;
}
