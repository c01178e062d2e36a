// SPDX-License-Identifier: Apache-2.0
// Layers of tests/data/layers, each with one trick, extracted to a folder that has a neighbour.
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layer/extract_to.h"
#include "layer/stack.h"
#include "tap.h"
#include "util/fs.h"
#include "util/mem.h"

static struct err e;

// A folder with a secret, and the target beside it.
struct place {
	char dir[64];
	char *target;
};

static void place_make(struct place *p)
{
	memcpy(p->dir, "/tmp/ferry-extract-XXXXXX", sizeof("/tmp/ferry-extract-XXXXXX"));
	if (!mkdtemp(p->dir))
		abort();
	auto_free char *secret = path_join(p->dir, "secret");

	p->target = path_join(p->dir, "target");
	if (mkdir(p->target, 0755) < 0 || fs_write_file(secret, STR("secret"), 0600, &e) < 0)
		abort();
}

static void place_release(struct place *p)
{
	auto_free char *command = xasprintf("rm -rf '%s'", p->dir);

	if (system(command) != 0) // NOLINT(cert-env33-c)
		abort();
	free(p->target);
}
#define auto_place __attribute__((cleanup(place_release)))

static struct buf read_layer(const char *name)
{
	auto_free char *path = xasprintf("%s/%s.tgz", LAYERS, name);
	struct buf bytes = BUF_INIT(1 << 20);

	if (fs_read_file(&bytes, path, &e) < 0)
		abort();
	return bytes;
}

struct source {
	const struct buf *layers;
	const struct descriptor *descriptors;
	struct slab_pool *pool;
	unsigned opened; // bits
};

static struct stream *open_source(void *arg, const struct descriptor *d, struct err *why)
{
	struct source *s = arg;
	size_t i = (size_t)(d - s->descriptors);

	(void)why;
	s->opened |= 1U << i;
	return stream_of_bytes(s->layers[i].p, s->layers[i].n, s->pool);
}

static int add(void *arg, size_t layer, struct layer *l, const struct layer_entry *entry,
	       struct err *why)
{
	(void)layer;
	return extract_to_add(arg, entry->path, l, entry, why);
}

// Extracts LAYERS, the last on top; 0 when everything was committed.
static int extract(const char *dir, const struct buf *layers, size_t n,
		   const struct extract_to_options *opt)
{
	static const struct layer_limits limits = {
		.max_bytes = 256 << 20, .max_entries = 500, .max_ratio = 500};
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
	struct descriptor descriptors[4] = {0};
	struct source s = {layers, descriptors, pool, 0};
	struct stack_source source = {open_source, &s};
	struct stack_visitor visitor = {.entry = add};

	for (size_t i = 0; i < n; i++) {
		digest_of(&descriptors[i].digest, DIGEST_SHA256, layers[i].p, layers[i].n);
		descriptors[i].size = layers[i].n;
	}
	auto_of(extract_to_free) struct extract_to *t = extract_to_new(dir, opt, &e);

	visitor.arg = t;
	if (!t || stack_walk(descriptors, n, &source, &visitor, &limits, 0, &e) < 0)
		return -1;
	return extract_to_commit(t, &e);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void list_entry(struct buf *out, const char *dir, const char *prefix, const char *name);

// "a/ a/b=evil c>a/b"
static void list_folder(struct buf *out, const char *dir, const char *prefix)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, by_name);

	for (int i = 0; i < n; i++) {
		if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0)
			list_entry(out, dir, prefix, names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

static void list_entry(struct buf *out, const char *dir, const char *prefix, const char *name)
{
	auto_free char *path = path_join(dir, name);
	auto_free char *below = xasprintf("%s%s/", prefix, name);
	auto_buf struct buf bytes = BUF_INIT(1 << 20);
	struct stat st;
	char link[4096] = "";

	if (lstat(path, &st) < 0)
		abort();
	buf_printf(out, "%s%s%s", out->n ? " " : "", prefix, name);
	if (S_ISDIR(st.st_mode)) {
		buf_puts(out, "/");
		list_folder(out, path, below);
	} else if (S_ISLNK(st.st_mode)) {
		if (readlink(path, link, sizeof(link) - 1) < 0)
			abort();
		buf_printf(out, ">%s", link);
	} else if (S_ISREG(st.st_mode) && fs_read_file(&bytes, path, &e) == 0) {
		buf_printf(out, "=%.*s", STR_FMT(str_trim(buf_str(&bytes))));
	} else {
		buf_puts(out, "?");
	}
}

// What is in the target; the neighbour must be as it was.
static void check_place(const struct place *p, const char *name, const char *want)
{
	auto_buf struct buf all = BUF_INIT(BUF_TEXT_MAX), inside = BUF_INIT(BUF_TEXT_MAX);
	auto_free char *whole = NULL;

	list_folder(&all, p->dir, "");
	list_folder(&inside, p->target, "target/");
	whole = xasprintf("secret=secret target/%s%s", inside.n ? " " : "", inside.p);
	tap_report(strcmp(all.p, whole) == 0, "%s: the folder has '%s'", name, all.p);
	buf_clear(&inside);
	list_folder(&inside, p->target, "");
	tap_report(strcmp(inside.p, want) == 0, "%s: the target has '%s', want '%s'", name,
		   inside.p, want);
}

static void check_trick(const char *name, const char *why, const char *want, bool by_hand)
{
	auto_place struct place p;
	auto_buf struct buf layer = read_layer(name);
	struct extract_to_options opt = {.by_hand = by_hand};

	place_make(&p);
	e.text[0] = '\0';
	int failed = extract(p.target, &layer, 1, &opt);

	tap_report((failed < 0) == (why != NULL), "%s: %s", name,
		   failed < 0 ? e.text : "was extracted");
	if (failed < 0 && why)
		tap_report(strstr(e.text, why) != NULL, "%s: '%s', want '%s'", name, e.text, why);
	check_place(&p, name, failed < 0 ? "" : want);
}

static const struct {
	const char *layer, *why, *want; // WHY it is refused, or what is WANTed in the target
} tricks[] = {
	{"plain", NULL, "a/ a/b=evil c>a/b d=evil"},
	{"dot-dot", "leaves the layer", NULL},
	{"dot-dot-inside", "leaves the layer", NULL},
	{"dot-dot-in-ustar-prefix", "leaves the layer", NULL},
	{"dot-dot-folder", "leaves the layer", NULL},
	{"absolute", NULL, "evil=evil tmp/ tmp/evil=evil"},
	{"dots", NULL, "a=evil b/ b/c=evil"},
	{"through-symlink-up", "which may be outside", NULL},
	{"through-symlink-absolute", "which may be outside", NULL},
	{"through-symlink-inside", "is below something that is no folder", NULL},
	{"through-symlink-chain", "which may be outside", NULL},
	{"through-itself", "is below something that is no folder", NULL},
	{"symlink-out", "which may be outside", NULL},
	{"symlink-out-and-in-again", "which may be outside", NULL},
	{"symlink-out-by-another", "which may be outside", NULL},
	{"symlink-to-absolute", "which may be outside", NULL},
	{"folder-over-symlink", NULL, "x/ x/evil=evil"},
	{"file-over-symlink", NULL, "x=evil"},
	{"file-over-folder", NULL, "x=evil"},
	{"folder-over-file", NULL, "x/ x/y=evil"},
	{"file-below-file", "is below something that is no folder", NULL},
	{"hardlink-up", "leaves the layer", NULL},
	{"hardlink-absolute", "which is not there", NULL},
	{"hardlink-to-symlink", "which is not there", NULL},
	{"hardlink-to-folder", "which is not there", NULL},
	{"hardlink-to-itself", NULL, ""},
	{"hardlink-below-symlink", "which is not there", NULL},
	{"written-through-hardlink", NULL, "a=good b=bad"},
	{"device", "neither file, folder nor link", NULL},
	{"block-device", "neither file, folder nor link", NULL},
	{"fifo", "neither file, folder nor link", NULL},
	{"pax-path", "leaves the layer", NULL},
	{"pax-linkpath", "which may be outside", NULL},
	{"pax-size", "claims", NULL},
	{"gnu-long-name", "leaves the layer", NULL},
	{"gnu-long-link", "which may be outside", NULL},
	{"sparse-terabyte", "claims", NULL},
	{"size-beyond-end", "claims", NULL},
	{"negative-size", "", NULL},
	{"deep", "more than 200 folders deep", NULL},
	{"long-component", "no usable name", NULL},
	{"many-entries", "more than 500 entries", NULL},
	{"bomb", "unpacks to more than 500 times its size", NULL},
	{"whiteouts-of-nothing", NULL, "b=b"},
	{"whiteout-up", "leaves the layer", NULL},
	{"newline", NULL, "a\nb=evil"},
	{"empty-name", NULL, "after=evil"},
	{"unknown-type", NULL, "after=evil odd="},
	{"truncated", "", NULL},
	{"no-end", NULL, "a=evil"},
};

TEST(nothing_is_written_outside_whatever_a_layer_says)
{
	for (size_t i = 0; i < ARRAY_SIZE(tricks); i++)
		check_trick(tricks[i].layer, tricks[i].why, tricks[i].want, false);
}

TEST(the_same_holds_where_the_kernel_cannot_resolve_beneath)
{
	for (size_t i = 0; i < ARRAY_SIZE(tricks); i++)
		check_trick(tricks[i].layer, tricks[i].why, tricks[i].want, true);
}

static mode_t mode_of(const struct place *p, const char *name)
{
	auto_free char *path = path_join(p->target, name);
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

TEST(setuid_is_dropped_unless_it_is_asked_for)
{
	auto_buf struct buf layer = read_layer("setuid");

	for (int preserve = 0; preserve < (geteuid() == 0 ? 2 : 1); preserve++) {
		auto_place struct place p;
		struct extract_to_options opt = {.preserve = preserve};

		place_make(&p);
		CHECK_OK(extract(p.target, &layer, 1, &opt));
		CHECK_INT(mode_of(&p, "su"), preserve ? 06755 : 0640);
		CHECK_INT(mode_of(&p, "t"), preserve ? 07777 : 0755);
	}
}

TEST(what_is_there_is_replaced_and_folders_are_merged)
{
	auto_place struct place p;
	auto_buf struct buf layer = read_layer("plain");

	place_make(&p);
	auto_free char *folder = path_join(p.target, "a"), *kept = path_join(p.target, "a/kept"),
		       *old = path_join(p.target, "c");

	CHECK_OK(fs_mkdirs(folder, 0755, &e));
	CHECK_OK(fs_write_file(kept, STR("kept"), 0644, &e));
	CHECK_OK(fs_write_file(old, STR("old"), 0644, &e));
	CHECK_OK(extract(p.target, &layer, 1, NULL));
	check_place(&p, "merge", "a/ a/b=evil a/kept=kept c>a/b d=evil");
}

TEST(a_link_that_is_there_is_replaced_and_not_followed)
{
	auto_place struct place p;
	auto_buf struct buf layer = read_layer("plain");

	place_make(&p);
	auto_free char *link = path_join(p.target, "a");

	CHECK_INT(symlink(p.dir, link), 0);
	CHECK_OK(extract(p.target, &layer, 1, NULL));
	check_place(&p, "link", "a/ a/b=evil c>a/b d=evil");
}

TEST(a_folder_that_is_there_is_not_replaced_by_a_file)
{
	auto_place struct place p;
	auto_buf struct buf layer = read_layer("file-over-symlink");

	place_make(&p);
	auto_free char *folder = path_join(p.target, "x");

	CHECK_OK(fs_mkdirs(folder, 0755, &e));
	CHECK_FAILS(extract(p.target, &layer, 1, NULL));
	CHECK(strstr(e.text, "is a folder in") != NULL);
	check_place(&p, "folder", "x/");
}

TEST(upper_layers_win)
{
	auto_place struct place p;
	struct buf layers[2] = {read_layer("folder-over-file"),
				read_layer("written-through-hardlink")};

	place_make(&p);
	CHECK_OK(extract(p.target, layers, 2, NULL));
	check_place(&p, "layers", "a=good b=bad x/ x/y=evil");
	buf_free(&layers[0]);
	buf_free(&layers[1]);
}

int main(void)
{
	return tap_main();
}
