// SPDX-License-Identifier: Apache-2.0
// Layers as one tree, and looking for files in it, on small layers made here.
#include <archive.h>
#include <archive_entry.h>

#include "layer/find.h"
#include "tap.h"
#include "util/mem.h"

static struct err e;

enum { LAYERS_MAX = 4, ENTRIES_MAX = 8 };

// "a/" is a folder, "a=x" a file, "a>b" a symlink, "a~b" a hard link.
struct stack {
	const char *layers[LAYERS_MAX][ENTRIES_MAX]; // the last is on top
	struct buf bytes[LAYERS_MAX];
	struct descriptor descriptors[LAYERS_MAX];
	size_t n;
	unsigned opened; // layers, as bits
	struct slab_pool *pool;
};

static void put_entry(struct archive *a, const char *text)
{
	struct archive_entry *entry = archive_entry_new();
	size_t n = strcspn(text, "=>~");
	auto_free char *name = xstrndup(text, n);
	const char *value = text[n] ? text + n + 1 : "";

	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, ends_with(name, "/") ? AE_IFDIR
					  : text[n] == '>'     ? AE_IFLNK
							       : AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	if (text[n] == '>')
		archive_entry_set_symlink(entry, value);
	else if (text[n] == '~')
		archive_entry_set_hardlink(entry, value);
	else
		archive_entry_set_size(entry, (la_int64_t)strlen(value));
	archive_write_header(a, entry);
	if (text[n] == '=')
		archive_write_data(a, value, strlen(value));
	archive_entry_free(entry);
}

static void make_layer(struct stack *s, size_t i)
{
	static char out[1 << 16];
	struct archive *a = archive_write_new();
	size_t used = 0;

	archive_write_set_format_ustar(a);
	archive_write_open_memory(a, out, sizeof(out), &used);
	for (size_t k = 0; k < ENTRIES_MAX && s->layers[i][k]; k++)
		put_entry(a, s->layers[i][k]);
	archive_write_close(a);
	archive_write_free(a);
	s->bytes[i] = (struct buf)BUF_INIT(sizeof(out));
	buf_put(&s->bytes[i], out, used);
	digest_of(&s->descriptors[i].digest, DIGEST_SHA256, out, used);
	s->descriptors[i].size = used;
}

static void stack_make(struct stack *s)
{
	s->pool = slab_pool_new(4);
	while (s->n < LAYERS_MAX && s->layers[s->n][0])
		make_layer(s, s->n++);
}

static void stack_release(struct stack *s)
{
	for (size_t i = 0; i < s->n; i++)
		buf_free(&s->bytes[i]);
	slab_pool_free(s->pool);
}
#define auto_stack __attribute__((cleanup(stack_release)))

static struct stream *open_layer(void *arg, const struct descriptor *d, struct err *why)
{
	struct stack *s = arg;
	size_t i = (size_t)(d - s->descriptors);

	(void)why;
	s->opened |= 1U << i;
	return stream_of_bytes(s->bytes[i].p, s->bytes[i].n, s->pool);
}

static int note(void *arg, size_t layer, struct layer *l, const struct layer_entry *entry,
		struct err *why)
{
	(void)l;
	(void)why;
	buf_printf(arg, "%s%zu:%s", ((struct buf *)arg)->n ? " " : "", layer, entry->path);
	return 0;
}

TEST(the_topmost_entry_of_a_path_counts)
{
	static const struct {
		const char *layers[LAYERS_MAX][ENTRIES_MAX];
		const char *want;
	} rows[] = {
		{{{"a=1", "b=1"}, {"a=2"}}, "1:a 0:b"},
		{{{"a=1", "b=1"}, {".wh.a="}}, "0:b"},
		{{{"d/", "d/a=1", "d/b=1"}, {"d/.wh.a="}}, "0:d 0:d/b"},
		{{{"d/", "d/a=1", "e=1"}, {".wh.d="}}, "0:e"},
		{{{"d/", "d/a=1", "d/b/c=1"}, {"d/.wh..wh..opq=", "d/x=2"}}, "1:d/x 0:d"},
		{{{"d/a=1"}, {"d/x=2", "d/.wh..wh..opq="}}, "1:d/x"}, // in any order
		{{{"a=1"}, {"a=2", ".wh.a="}}, "1:a"},                // of lower layers only
		{{{"a=1"}, {".wh.a="}, {"b=3"}}, "2:b"},              // through other layers
		{{{"a=1"}, {".wh.a="}, {"a=3"}}, "2:a"},              // made anew
		{{{"d/a=1"}, {"d=2"}}, "1:d"},                        // a file over a folder
		{{{"d=1"}, {"d/a=2"}}, "1:d/a"},                      // a folder over a file
		{{{"d/a=1"}, {"d=2"}, {"d/b=3"}}, "2:d/b"},           // and over that
		{{{"d/a=1"}, {"d>x"}, {"d/"}}, "2:d"},                // a link between
		{{{"a=1"}, {".wh..wh..opq=", "b=2"}}, "1:b"},         // everything
		{{{"d/", "d/a=1"}, {"d/"}}, "1:d 0:d/a"},
		{{{".wh..wh.plnk=", "a=1"}, {".wh.="}}, "0:a"},
		{{{"da=1"}, {".wh.d="}}, "0:da"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_stack struct stack s = {0};
		auto_buf struct buf got = BUF_INIT(BUF_TEXT_MAX);
		struct stack_source source = {open_layer, &s};
		struct stack_visitor visitor = {.entry = note, .arg = &got};

		memcpy(s.layers, rows[i].layers, sizeof(s.layers));
		stack_make(&s);
		CHECK_OK(stack_walk(s.descriptors, s.n, &source, &visitor, NULL, 0, &e));
		CHECK_STR(got.p, rows[i].want);
	}
}

TEST(everything_is_shown_from_the_bottom_where_that_is_asked_for)
{
	auto_stack struct stack s = {.layers = {{"a=1", "b=1"}, {".wh.a=", "b=2"}}};
	auto_buf struct buf got = BUF_INIT(BUF_TEXT_MAX);
	struct stack_source source = {open_layer, &s};
	struct stack_visitor visitor = {.entry = note, .arg = &got};

	stack_make(&s);
	CHECK_OK(stack_walk(s.descriptors, s.n, &source, &visitor, NULL, STACK_EVERYTHING, &e));
	CHECK_STR(got.p, "0:a 0:b 1:.wh.a 1:b");
}

TEST(a_layer_that_is_not_its_digest_is_refused)
{
	auto_stack struct stack s = {.layers = {{"a=1"}}};
	auto_buf struct buf got = BUF_INIT(BUF_TEXT_MAX);
	struct stack_source source = {open_layer, &s};
	struct stack_visitor visitor = {.entry = note, .arg = &got};

	stack_make(&s);
	s.bytes[0].p[600] ^= 1;
	CHECK_FAILS(stack_walk(s.descriptors, s.n, &source, &visitor, NULL, 0, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
}

TEST(ceilings_are_for_all_layers_together)
{
	auto_stack struct stack s = {.layers = {{"a=1", "b=1"}, {"c=1", "d=1"}}};
	auto_buf struct buf got = BUF_INIT(BUF_TEXT_MAX);
	struct stack_source source = {open_layer, &s};
	struct stack_visitor visitor = {.entry = note, .arg = &got};
	struct layer_limits limits = {.max_entries = 4};

	stack_make(&s);
	CHECK_OK(stack_walk(s.descriptors, s.n, &source, &visitor, &limits, 0, &e));
	limits.max_entries = 3;
	CHECK_FAILS(stack_walk(s.descriptors, s.n, &source, &visitor, &limits, 0, &e));
	limits = (struct layer_limits){.max_bytes = 4000};
	CHECK_FAILS(stack_walk(s.descriptors, s.n, &source, &visitor, &limits, 0, &e));
}

static int keep(void *arg, size_t which, struct layer *l, const struct layer_entry *entry,
		struct err *why)
{
	struct buf *contents = arg;

	(void)entry;
	buf_clear(&contents[which]);
	return layer_read_all(l, &contents[which], why);
}

TEST(files_are_found_by_their_paths_and_no_further_layer_is_read)
{
	static const struct {
		const char *layers[LAYERS_MAX][ENTRIES_MAX];
		const char *path, *want; // content; NULL: not there
		unsigned opened;
	} rows[] = {
		{{{"x=1"}, {"usr/bin/oc=top"}}, "usr/bin/oc", "top", 2},
		{{{"usr/bin/oc=low"}, {"x=1"}}, "usr/bin/oc", "low", 3},
		{{{"a=low"}, {"y=1"}, {"a=top"}}, "a", "top", 4},
		{{{"a=low"}, {".wh.a="}}, "a", NULL, 3},
		{{{"a=1"}}, "b", NULL, 1},
		{{{"a/b=1"}}, "a", NULL, 1},
		{{{"a=1"}, {"a>b", "b=2"}}, "a", "2", 2},
		{{{"b=1"}, {"a>b"}}, "a", "1", 3},
		{{{"usr/bin/a=1"}, {"bin>usr/bin"}}, "bin/a", "1", 3},
		{{{"usr/bin/a=1"}, {"bin>/usr/bin"}}, "bin/a", "1", 3},
		{{{"c/a=1"}, {"d/l>../c/a"}}, "d/l", "1", 3},
		{{{"a=1"}, {"l>../../a"}}, "l", NULL, 2}, // out of the image
		{{{"a=1", "h~a"}}, "h", "1", 1},
		{{{"a=1", "h~a"}, {"a=2"}}, "h", "1", 3}, // what its own layer had
		{{{"a=1"}, {"h~a"}}, "h", "1", 3},
		{{{"a>b", "b>a"}}, "a", "!'b' is behind too many links", 1},
		{{{"a=1", "a=2"}}, "a", "2", 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_stack struct stack s = {0};
		auto_buf struct buf content = BUF_INIT(BUF_TEXT_MAX);
		struct stack_source source = {open_layer, &s};
		bool found = false;

		memcpy(s.layers, rows[i].layers, sizeof(s.layers));
		stack_make(&s);
		if (layers_find(s.descriptors, s.n, &source, NULL, &rows[i].path, 1, keep, &content,
				&found, &e) < 0)
			buf_printf(&content, "!%s", e.text);
		const char *got = found || content.n > 0 ? content.p : "(none)";
		const char *want = rows[i].want ? rows[i].want : "(none)";

		tap_report(strncmp(got, want, strlen(want)) == 0 || *want == '!',
			   "row %zu: '%s', want '%s'", i, got, want);
		tap_report(s.opened == rows[i].opened || *want == '!',
			   "row %zu: layers %x, want %x", i, s.opened, rows[i].opened);
	}
}

TEST(several_files_are_found_in_one_walk)
{
	auto_stack struct stack s = {.layers = {{"c=low"}, {"b=mid"}, {"a=top"}}};
	struct buf contents[3] = {BUF_INIT(99), BUF_INIT(99), BUF_INIT(99)};
	const char *const paths[] = {"a", "b", "nothing"};
	struct stack_source source = {open_layer, &s};
	bool found[3];

	stack_make(&s);
	CHECK_OK(layers_find(s.descriptors, s.n, &source, NULL, paths, 2, keep, contents, found,
			     &e));
	CHECK_STR(contents[0].p, "top");
	CHECK_STR(contents[1].p, "mid");
	CHECK_INT(s.opened, 6);
	CHECK_OK(layers_find(s.descriptors, s.n, &source, NULL, paths, 3, keep, contents, found,
			     &e));
	CHECK(found[0] && found[1] && !found[2]);
	for (int i = 0; i < 3; i++)
		buf_free(&contents[i]);
}

int main(void)
{
	return tap_main();
}
