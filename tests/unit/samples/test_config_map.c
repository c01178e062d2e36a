// SPDX-License-Identifier: Apache-2.0
// The config map: its forms, what is refused, and the one of a release.
#include "samples/config_map.h"

#include "tap.h"
#include "util/cleanup.h"

#include <sys/stat.h>

static struct err e;

#define HEAD "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: imagestreamtag-to-image\n"

static char *read_text(const char *text)
{
	auto_config_map struct config_map m = {0};
	auto_buf struct buf out = BUF_INIT(10000);

	if (config_map_read(&m, str_of(text), "f", &e) < 0)
		return xstrdup(e.text);
	for (size_t i = 0; i < m.n; i++)
		buf_printf(&out, "%s%s %s %s", i ? ", " : "", m.v[i].stream, m.v[i].tag,
			   m.v[i].image);
	return buf_take(&out);
}

static void check(const char *text, const char *want)
{
	auto_free char *got = read_text(text);

	CHECK_STR(got, want);
}

TEST(every_form_is_understood)
{
	static const char *const forms[] = {
		"ruby_3.3: r.io/a/ruby:1\n",
		"data:\n  ruby_3.3: r.io/a/ruby:1\n",
		HEAD "data:\n  ruby_3.3: r.io/a/ruby:1\n",
		"{\"ruby_3.3\":\"r.io/a/ruby:1\"}",
		"\n\t{\n\t\"data\":\n\t{\"ruby_3.3\": \"r.io\\/a\\/ruby:1\"}}\n",
		"{kind: ConfigMap, data: {ruby_3.3: 'r.io/a/ruby:1'}}",
		"---\nruby_3.3: '  r.io/a/ruby:1 '\n---\n",
		"kind: List\nitems:\n- kind: ConfigMap\n  data: {ruby_3.3: r.io/a/ruby:1}\n",
		"kind: ConfigMapList\nitems:\n- kind: ConfigMap\n  data: {}\n"
		"- kind: ConfigMap\n  metadata: {name: imagestreamtag-to-image}\n"
		"  data: {ruby_3.3: r.io/a/ruby:1}\n- kind: Secret\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		check(forms[i], "ruby 3.3 r.io/a/ruby:1");
}

TEST(keys_are_cut_at_the_first_underscore_and_sorted_by_stream)
{
	check("a-b_1: x\na_2_3: yy\na_10: z\na.b_v-1.0: w\n",
	      "a 10 z, a 2_3 yy, a-b 1 x, a.b v-1.0 w");
}

TEST(what_is_no_map_is_refused_in_one_line)
{
	static const char *const rows[][2] = {
		{"", "f: it is empty"},
		{"{}", "f: it names no image stream tags"},
		{"data:\n", "f: data: key \"data\" is not STREAM_TAG"},
		{HEAD, "f: it has no data"},
		{HEAD "data: [x]\n", "f: data: not an object"},
		{"[]", "f: not an object"},
		{"kind: Secret\ndata: {a_1: x}\n", "f: it is of kind \"Secret\", not a ConfigMap"},
		{"kind: List\nitems: []\n",
		 "f: items: 0 config maps, 0 of them named imagestreamtag-to-image: one is needed"},
		{"ruby: x\n", "f: data: key \"ruby\" is not STREAM_TAG"},
		{"_1: x\n", "f: data: key \"_1\" does not begin with the name of an image stream"},
		{"Ruby_1: x\n",
		 "f: data: key \"Ruby_1\" does not begin with the name of an image stream"},
		{"a-_1: x\n",
		 "f: data: key \"a-_1\" does not begin with the name of an image stream"},
		{"a._1: x\n",
		 "f: data: key \"a._1\" does not begin with the name of an image stream"},
		{"ruby_: x\n", "f: data: key \"ruby_\" does not end with a tag"},
		{"ruby_a/b: x\n", "f: data: key \"ruby_a/b\" does not end with a tag"},
		{"ruby_1: 1\n", "f: data: key \"ruby_1\" has a value that is no text"},
		{"ruby_1: [a]\n", "f: data: key \"ruby_1\" has a value that is no text"},
		{"ruby_1:\n", "f: data: key \"ruby_1\" has a value that is no text"},
		{"ruby_1: ' '\n", "f: data: key \"ruby_1\" has no image"},
		{"\"x\\e\": y\n", "f: data: key \"x\\x1b\" is not STREAM_TAG"},
		{"a_1: x\na_1: x\n", "f: line 2: duplicate key"},
		{"{\"a_1\": \"x\", \"a_1\": \"y\"}", "f: line 1: duplicate key"},
		{"a_1: x\n---\na_2: x\n", "f: there is more than one document"},
		{"metadata: {annotations: {ferry/excluded-imagestreams: 'a,,b'}}\n"
		 "data: {a_1: x}\n",
		 "f: metadata.annotations.ferry/excluded-imagestreams: not names of image streams"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(rows[i][0], rows[i][1]);
}

TEST(sizes_have_ceilings)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&text, "a_1: ");
	for (size_t i = 0; i < CONFIG_MAP_IMAGE_MAX + 1; i++)
		buf_putc(&text, 'x');
	check(text.p, "f: data: key \"a_1\" has an image whose name is too long");
	buf_clear(&text);
	for (size_t i = 0; i < CONFIG_MAP_TAGS_MAX + 1; i++)
		buf_printf(&text, "a_%zu: x\n", i);
	check(text.p, "f: it names 20001 image stream tags, at most 20000 are read");
	buf_clear(&text);
	for (size_t i = 0; i < 200; i++)
		buf_putc(&text, 'y');
	buf_puts(&text, ": x\n");
	auto_free char *got = read_text(text.p);

	CHECK(strlen(got) < 150);
	CHECK(strstr(got, "…"));
}

TEST(the_map_of_a_release_is_read)
{
	auto_config_map struct config_map m = {0};
	size_t streams = 0;

	REQUIRE_OK(config_map_read_file(
		&m, TEST_DATA "/samples/imagestreamtag-to-image.x86_64-4.18.yaml", -1, &e));
	for (size_t i = 0; i < m.n; i++)
		streams += i == 0 || strcmp(m.v[i].stream, m.v[i - 1].stream) != 0;
	CHECK_INT(m.n, 248);
	CHECK_INT(streams, 47);
	CHECK_STR(m.version, "4.18.0");
	CHECK_INT(m.excluded.n, 0);
}

TEST(what_is_written_for_media_reads_the_same)
{
	auto_config_map struct config_map m = {0}, again = {0};
	auto_buf struct buf first = BUF_INIT(BUF_TEXT_MAX), second = BUF_INIT(BUF_TEXT_MAX);

	REQUIRE_OK(config_map_read(
		&m,
		STR("data: {b_1_2: 'x:1', a_yes: yy, a_07: 'z@sha256:0'}\nmetadata:\n"
		    "  annotations: {samples.operator.openshift.io/version: '4.18',\n"
		    "    ferry/excluded-imagestreams: 'b,a,b'}\n"),
		"f", &e));
	config_map_print(&first, &m);
	CHECK_STR(first.p, "apiVersion: v1\n"
			   "data:\n"
			   "  a_07: z@sha256:0\n"
			   "  a_yes: yy\n"
			   "  b_1_2: x:1\n"
			   "kind: ConfigMap\n"
			   "metadata:\n"
			   "  annotations:\n"
			   "    ferry/excluded-imagestreams: a,b\n"
			   "    samples.operator.openshift.io/version: \"4.18\"\n"
			   "  name: imagestreamtag-to-image\n"
			   "  namespace: openshift-cluster-samples-operator\n");
	REQUIRE_OK(config_map_read(&again, buf_str(&first), "g", &e));
	config_map_print(&second, &again);
	CHECK_STR(second.p, first.p);
}

TEST(streams_are_found_whether_a_map_has_them_or_excludes_them)
{
	static const struct {
		const char *stream;
		bool has, excludes;
	} rows[] = {{"a", true, false}, {"b", true, true},    {"c", false, true},
		    {"", false, false}, {"aa", false, false}, {"d", false, false}};
	auto_config_map struct config_map m = {0}, none = {0};

	REQUIRE_OK(config_map_read(&m,
				   STR("data: {b_1: x, b_2: x, a_1: x}\nmetadata:\n"
				       "  annotations: {ferry/excluded-imagestreams: 'c,b'}\n"),
				   "f", &e));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_INT(config_map_has(&m, rows[i].stream), rows[i].has);
		CHECK_INT(config_map_excludes(&m, rows[i].stream), rows[i].excludes);
		CHECK(!config_map_has(&none, rows[i].stream));
		CHECK(!config_map_excludes(&none, rows[i].stream));
	}
}

TEST(a_pipe_on_media_is_refused_and_not_waited_for)
{
	auto_config_map struct config_map m = {0};
	char dir[] = "/tmp/ferry-test-XXXXXX";

	CHECK(mkdtemp(dir));
	auto_free char *path = xasprintf("%s/map", dir);

	CHECK_INT(mkfifo(path, 0600), 0);
	CHECK_FAILS(config_map_read_media(&m, path, &e));
	CHECK_INT(e.kind, ERR_INPUT);
	unlink(path);
	CHECK_FAILS(config_map_read_media(&m, path, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	rmdir(dir);
}

TEST(a_map_comes_from_standard_input)
{
	auto_config_map struct config_map m = {0};
	int ends[2];

	CHECK_INT(pipe(ends), 0);
	CHECK(write(ends[1], "a: b", 4) == 4);
	close(ends[1]);
	CHECK_FAILS(config_map_read_file(&m, "-", ends[0], &e));
	CHECK_STR(e.text, "standard input: data: key \"a\" is not STREAM_TAG");
	close(ends[0]);
}

int main(void)
{
	return tap_main();
}
