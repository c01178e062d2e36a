// SPDX-License-Identifier: Apache-2.0
// What verification found, for people and for programs.
#include "release/verify.h"

#include <string.h>

static const char *const fault_names[] = {
	[VERIFY_MISSING] = "missing",
	[VERIFY_DAMAGED] = "damaged",
	[VERIFY_UNKNOWN] = "not checked",
};

static void count(const struct verify_problem *v, size_t n, size_t *ret)
{
	for (size_t i = 0; i < n; i++)
		ret[v[i].fault]++;
}

void verify_count(const struct verify_report *r, size_t ret[VERIFY_UNKNOWN + 1])
{
	for (size_t i = 0; i <= VERIFY_UNKNOWN; i++)
		ret[i] = 0;
	count(r->tags, r->ntags, ret);
	for (size_t i = 0; i < r->n; i++)
		count(r->releases[i].problems, r->releases[i].nproblems, ret);
}

// What a release calls things cannot end the line.
static void put_word(struct buf *out, const char *text)
{
	for (; *text; text++)
		buf_putc(out, (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

// "damaged: layer DIGEST of cli, pod: its bytes have …"; hints are left out.
static void print_problem(struct buf *out, const struct verify_problem *p)
{
	struct str rest = str_of(p->why), why = str_cut(&rest, '\n');

	buf_printf(out, "%s: %s", fault_names[p->fault], p->part);
	if (*p->digest)
		buf_printf(out, " %s", p->digest);
	for (size_t i = 0; i < p->images.n; i++) {
		buf_puts(out, i ? ", " : " of ");
		put_word(out, p->images.v[i]);
	}
	if (p->fault != VERIFY_MISSING || !*p->digest || strcmp(p->part, "signature") == 0)
		buf_printf(out, ": %.*s", STR_FMT(why));
	buf_putc(out, '\n');
}

static const char *signature_of(const struct verify_release *r)
{
	return r->is_signed      ? "signature good"
	       : r->unsigned_why ? "no signature"
				 : "signature not good";
}

static void print_release(struct buf *out, const struct verify_release *r)
{
	for (size_t i = 0; i < r->nproblems; i++)
		print_problem(out, &r->problems[i]);
	buf_puts(out, r->nproblems == 0 ? "complete: " : "incomplete: ");
	put_word(out, *r->version ? r->version : r->name);
	if (*r->version) {
		buf_putc(out, ' ');
		put_word(out, r->architecture);
		buf_printf(out, ", %zu images, %zu blobs", r->images, r->blobs);
		if (r->attachments > 0)
			buf_printf(out, ", %zu attachment%s", r->attachments,
				   r->attachments == 1 ? "" : "s");
	} else {
		buf_puts(out, ", its components are not known");
	}
	if (r->nproblems > 0)
		buf_printf(out, ", %zu problem%s", r->nproblems, r->nproblems == 1 ? "" : "s");
	if (*r->version)
		buf_printf(out, ", %s", signature_of(r));
	buf_putc(out, '\n');
}

void verify_print(struct buf *out, const struct verify_report *r)
{
	for (size_t i = 0; i < r->ntags; i++)
		print_problem(out, &r->tags[i]);
	for (size_t i = 0; i < r->n; i++)
		print_release(out, &r->releases[i]);
}

static void put_text(struct json_out *j, const char *key, const char *text)
{
	json_out_key(j, key);
	json_out_text(j, text);
}

static void put_number(struct json_out *j, const char *key, uint64_t n)
{
	json_out_key(j, key);
	json_out_u64(j, n);
}

static void put_problems(struct json_out *j, const struct verify_problem *v, size_t n)
{
	json_out_key(j, "problems");
	json_out_begin(j, '[');
	for (size_t i = 0; i < n; i++) {
		json_out_begin(j, '{');
		put_text(j, "problem", fault_names[v[i].fault]);
		put_text(j, "part", v[i].part);
		put_text(j, "digest", v[i].digest);
		json_out_key(j, "images");
		json_out_begin(j, '[');
		for (size_t k = 0; k < v[i].images.n; k++)
			json_out_text(j, v[i].images.v[k]);
		json_out_end(j, ']');
		put_text(j, "reason", v[i].why);
		json_out_end(j, '}');
	}
	json_out_end(j, ']');
}

static void put_signature(struct json_out *j, const struct verify_release *r)
{
	json_out_key(j, "signature");
	json_out_begin(j, '{');
	json_out_key(j, "good");
	json_out_bool(j, r->is_signed);
	if (r->unsigned_why)
		put_text(j, "reason", r->unsigned_why);
	json_out_key(j, "keys");
	json_out_begin(j, '[');
	for (size_t i = 0; i < r->signatures.n; i++)
		json_out_text(j, r->signatures.v[i].key);
	json_out_end(j, ']');
	json_out_end(j, '}');
}

static void put_release(struct json_out *j, const struct verify_release *r)
{
	json_out_begin(j, '{');
	put_text(j, "name", r->name);
	put_text(j, "digest", r->digest.text);
	put_text(j, "version", r->version);
	put_text(j, "architecture", r->architecture);
	json_out_key(j, "complete");
	json_out_bool(j, r->nproblems == 0);
	put_number(j, "images", r->images);
	put_number(j, "blobs", r->blobs);
	put_number(j, "bytes", r->bytes);
	put_number(j, "attachments", r->attachments);
	put_signature(j, r);
	put_problems(j, r->problems, r->nproblems);
	json_out_end(j, '}');
}

void verify_json(struct json_out *j, const struct verify_report *r)
{
	json_out_begin(j, '{');
	json_out_key(j, "releases");
	json_out_begin(j, '[');
	for (size_t i = 0; i < r->n; i++)
		put_release(j, &r->releases[i]);
	json_out_end(j, ']');
	put_problems(j, r->tags, r->ntags);
	json_out_end(j, '}');
}
