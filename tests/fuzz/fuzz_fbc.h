// SPDX-License-Identifier: Apache-2.0
// A file of a file-based catalog: cut whole and in pieces, its documents read, what they say
// collected.
#ifndef FUZZ_FUZZ_FBC_H
#define FUZZ_FUZZ_FBC_H

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "catalog/collect.h"
#include "catalog/fbc.h"
#include "fuzz.h"
#include "util/mem.h"

enum { FBC_FUZZ_MAX = 1 << 16 }; // bytes of a document

// Everything that was said about a file, as text.
struct fbc_run {
	struct buf said;
	struct collect *found;
	unsigned flags;  // of fbc_read
	struct str rest; // of the file, behind the last document
};

static inline bool fbc_is_blank(struct str s)
{
	return str_trim(s).n == 0;
}

// Documents stand in the file as they are, in its order; between those of JSON are blanks.
static inline void fbc_check_place(struct fbc_run *run, const struct document *d)
{
	const char *at = memmem(run->rest.p, run->rest.n, d->bytes.p, d->bytes.n);

	assert(at && d->bytes.n > 0 && d->number > 0 && d->line > 0);
	struct str before = {run->rest.p, (size_t)(at - run->rest.p)};

	assert(d->format == DOCUMENT_YAML || fbc_is_blank(before) ||
	       str_eqz(str_trim(before), "\xef\xbb\xbf"));
	run->rest.p = at + d->bytes.n;
	run->rest.n -= before.n + d->bytes.n;
}

static inline int fbc_on_value(void *arg, const struct fbc_document *d, struct err *e)
{
	struct fbc_run *run = arg;
	uint32_t bundle;

	buf_printf(&run->said, "%s|%s|%s", d->schema, d->package, d->name);
	if (collect_bundle(run->found, str_of(d->package), str_of(d->name), &bundle, e) < 0)
		return -1;
	for (size_t i = 0; i < d->nimages; i++) {
		assert(d->images[i][0] && strlen(d->images[i]) <= CATALOG_TEXT_MAX);
		buf_printf(&run->said, " %s", d->images[i]);
		if (collect_image(run->found, bundle, str_of(d->images[i]), e) < 0)
			return -1;
	}
	buf_putc(&run->said, '\n');
	return 0;
}

static inline int fbc_on_document(void *arg, struct document *d, struct err *e)
{
	struct fbc_run *run = arg;
	auto_free char *where = xasprintf("document %zu (line %zu): ", d->number, d->line);

	fbc_check_place(run, d);
	buf_printf(&run->said, "%d %zu %zu %zu\n", d->format, d->number, d->line, d->bytes.n);
	if (fbc_read(d, run->flags, fbc_on_value, run, e) == 0)
		return 0;
	assert(e->kind == ERR_INPUT && starts_with(e->text, where));
	assert(e->text[strlen(where)] && !strchr(e->text, '\n'));
	buf_printf(&run->said, "%s\n", e->text);
	return 0;
}

// In pieces of STEP bytes, each a heap block without a byte to spare.
static inline void fbc_run_file(struct fbc_run *run, struct str file, size_t step)
{
	auto_of(documents_free) struct documents *s =
		documents_new(FBC_FUZZ_MAX, fbc_on_document, run);
	struct err e;
	int r = 0;

	run->rest = file;
	for (size_t at = 0; r == 0 && at < file.n; at += step) {
		size_t n = file.n - at < step ? file.n - at : step;
		auto_free char *piece = xmemdup(file.p + at, n);

		r = documents_add(s, (struct str){piece, n}, &e);
	}
	if (r == 0)
		r = documents_end(s, &e);
	if (r == 0)
		return;
	assert(e.kind == ERR_INPUT && starts_with(e.text, "document ") && !strchr(e.text, '\n'));
	buf_printf(&run->said, "%s\n", e.text);
}

// Sorted, each once, every number in range.
static inline void fbc_check_catalog(const struct catalog *c)
{
	for (size_t i = 1; i < c->npackages; i++)
		assert(strcmp(c->packages[i - 1], c->packages[i]) < 0);
	for (size_t i = 0; i < c->nbundles; i++)
		assert(c->bundles[i].package == CATALOG_NONE ||
		       c->bundles[i].package < c->npackages);
	for (size_t i = 0; i < c->nimages; i++) {
		assert(i == 0 || strcmp(c->images[i - 1].text, c->images[i].text) < 0);
		for (size_t j = 0; j < c->images[i].nbundles; j++)
			assert(c->images[i].bundles[j] < c->nbundles);
	}
}

static inline void fbc_fuzz(struct str file, size_t step)
{
	struct fbc_run whole = {
		.said = BUF_INIT(BUF_TEXT_MAX), .found = collect_new(), .flags = step & FBC_DEEP};
	struct fbc_run pieces = {
		.said = BUF_INIT(BUF_TEXT_MAX), .found = collect_new(), .flags = step & FBC_DEEP};
	auto_catalog struct catalog c = {0};

	fbc_run_file(&whole, file, file.n ? file.n : 1);
	fbc_run_file(&pieces, file, step);
	assert(strcmp(whole.said.p, pieces.said.p) == 0);
	collect_finish(whole.found, &c);
	fbc_check_catalog(&c);
	collect_free(whole.found);
	collect_free(pieces.found);
	buf_free(&whole.said);
	buf_free(&pieces.said);
}

// The first byte that is no blank says what the file is.
static inline bool fbc_is_json(struct str file)
{
	struct str text = str_trim(file);

	return text.n > 0 && text.p[0] == '{';
}

#endif
