// SPDX-License-Identifier: Apache-2.0
#include "catalog/fbc.h"

#include "data/base64.h"
#include "tap.h"
#include "util/mem.h"

static int print(void *arg, const struct fbc_document *d, struct err *e)
{
	struct buf *b = arg;

	(void)e;
	buf_printf(b, "%s%s,%s,%s:", b->n ? "|" : "", d->schema, d->package, d->name);
	for (size_t i = 0; i < d->nimages; i++)
		buf_printf(b, " %s", d->images[i]);
	return 0;
}

// "schema,package,name: images…", or the error. Caller frees.
static char *read_flags(enum document_format format, const char *text, unsigned flags)
{
	auto_buf struct buf bytes = BUF_INIT((size_t)1 << 20), out = BUF_INIT(BUF_TEXT_MAX);
	struct err e;

	buf_puts(&bytes, text);
	struct document d = {.format = format, .number = 3, .line = 100, .bytes = bytes};

	if (fbc_read(&d, flags, print, &out, &e) < 0)
		return xasprintf("error: %s", e.text);
	return buf_take(&out);
}

static char *read_one(enum document_format format, const char *text)
{
	return read_flags(format, text, 0);
}

struct row {
	const char *text, *want;
};

static void check_rows(enum document_format format, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		auto_free char *got = read_one(format, rows[i].text);

		CHECK_STR(got, rows[i].want);
	}
}

TEST(images_of_json_documents_are_found)
{
	static const struct row rows[] = {
		{"{\"schema\":\"olm.bundle\",\"package\":\"p\",\"name\":\"n\",\"image\":\"q/b\","
		 "\"relatedImages\":[{\"name\":\"x\",\"image\":\"q/x\"},{\"image\":\"q/b\"}]}",
		 "olm.bundle,p,n: q/b q/x q/b"},
		{"{}", ",,:"},
		{"{\"image\":\"q/a\"}", ",,: q/a"},
		{"{\"schema\":\"unheard.of\",\"name\":\"n\",\"image\":\"q/a\"}",
		 "unheard.of,,n: q/a"},
		{"{\"schema\":\"olm.package\",\"name\":\"n\"}", "olm.package,,n:"},
		// what a channel is called is nobody's business
		{"{\"schema\":\"olm.channel\",\"package\":\"p\",\"name\":4.18}", "olm.channel,,:"},
		{"{\"image\":null,\"relatedImages\":null,\"schema\":null}", ",,:"},
		{"{\"relatedImages\":[null,{},{\"image\":null},{\"image\":\"\"},{\"image\":\"q/a\"}]}",
		 ",,: q/a"},
		{"{\"IMAGE\":\"q/a\",\"RelatedIMAGES\":[{\"Image\":\"q/b\"}]}", ",,: q/a q/b"},
		{"{\"image\":\"q/a\",\"Image\":\"q/b\",\"IMAGE\":null}", ",,: q/b"},
		{"{\"image\":\"q/a\",\"image\":\"q/b\"}", ",,: q/b"},
		{"{\"properties\":[{\"type\":\"t\",\"value\":{\"image\":\"q/not\"}}]}", ",,:"},
		// what is wrong
		{"{\"image\":5}", "error: document 3 (line 100): image: not a string"},
		{"{\"image\":[\"q/a\"]}", "error: document 3 (line 100): image: not a string"},
		{"{\"relatedImages\":{}}",
		 "error: document 3 (line 100): relatedImages: not an array"},
		{"{\"relatedImages\":[\"q/a\"]}",
		 "error: document 3 (line 100): relatedImages[0]: not an object"},
		{"{\"relatedImages\":[{},{\"image\":true}]}",
		 "error: document 3 (line 100): relatedImages[1].image: not a string"},
		{"{\"schema\":1}", "error: document 3 (line 100): schema: not a string"},
		{"{\"schema\":\"olm.bundle\",\"name\":1}",
		 "error: document 3 (line 100): name: not a string"},
		{"{\"package\":{},\"image\":\"q/a\"}",
		 "error: document 3 (line 100): package: not a string"},
		{"{\n\"a\": 1,\n\"b\": tru\n}",
		 "error: document 3 (line 100): invalid JSON at line 102, column 8"},
		{"{\n\"a\"", "error: document 3 (line 100): unexpected end of JSON input"},
		{"{\"a\":[}", "error: document 3 (line 100): invalid JSON at line 100, column 7"},
	};

	check_rows(DOCUMENT_JSON, rows, ARRAY_SIZE(rows));
}

TEST(images_of_yaml_documents_are_found)
{
	static const struct row rows[] = {
		{"schema: olm.bundle\npackage: p\nname: b.v1\nimage: q/b\n"
		 "relatedImages:\n- {name: x, image: q/x}\n- image: q/y\n",
		 "olm.bundle,p,b.v1: q/b q/x q/y"},
		{"# nothing\n", ""},
		{"null", ""},
		{"image: q/a\nimage: q/b\n", ",,: q/b"},
		{"x: &x q/a\nimage: *x\n", ",,: q/a"},
		{"x: &x {image: q/a}\n<<: *x\n", ",,: q/a"},
		{"image: q/a\n...\n---\nimage: q/b\n", ",,: q/a|,,: q/b"},
		{"image: ~\nrelatedImages:\n", ",,:"},
		{"image: '5'\n", ",,: 5"},
		// what is wrong
		{"image: true\n", "error: document 3 (line 100): image: not a string"},
		{"image: 1.10\n", "error: document 3 (line 100): image: not a string"},
		{"relatedImages:\n- image: 5\n",
		 "error: document 3 (line 100): relatedImages[0].image: not a string"},
		{"just words\n", "error: document 3 (line 100): not an object"},
		{"- image: q/a\n", "error: document 3 (line 100): not an object"},
		{"a: 1\n b: 2\n", "error: document 3 (line 100): line 101: mapping values are not "
				  "allowed in this context"},
		{"%YAML 1.2\n", "error: document 3 (line 100): line 101: did not find expected "
				"<document start>"},
		{"a: *x\n", "error: document 3 (line 100): line 100: unknown anchor"},
	};

	check_rows(DOCUMENT_YAML, rows, ARRAY_SIZE(rows));
}

TEST(few_bytes_of_yaml_do_not_become_many_values)
{
	auto_buf struct buf bomb = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&bomb, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 9; i++)
		buf_printf(&bomb, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i,
			   i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	auto_free char *got = read_one(DOCUMENT_YAML, bomb.p);

	CHECK_STR(got, "error: document 3 (line 100): YAML of more than 500000 values");
}

TEST(nesting_has_a_ceiling)
{
	auto_buf struct buf deep = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&deep, "{\"a\":");
	for (int i = 0; i < 100; i++)
		buf_putc(&deep, '[');
	auto_free char *json = read_one(DOCUMENT_JSON, deep.p);
	auto_free char *yaml = read_one(DOCUMENT_YAML, deep.p);

	CHECK_STR(json, "error: document 3 (line 100): JSON nested more than 100 levels deep");
	CHECK_STR(yaml, "error: document 3 (line 100): YAML nested more than 100 levels deep");
}

TEST(a_name_has_a_ceiling)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&text, "{\"image\":\"");
	for (int i = 0; i < 4097; i++)
		buf_putc(&text, 'x');
	buf_puts(&text, "\"}");
	auto_free char *got = read_one(DOCUMENT_JSON, text.p);

	CHECK_STR(got, "error: document 3 (line 100): image: longer than 4096 bytes");
}

// A property that holds OBJECT.
static char *bundle_with(const char *object)
{
	auto_free char *data = base64_encode(str_of(object));

	return xasprintf("{\"schema\":\"olm.bundle\",\"image\":\"q/b\",\"properties\":[{\"type\":"
			 "\"olm.gvk\",\"value\":{}},{\"type\":\"olm.bundle.object\",\"value\":{"
			 "\"data\":\"%s\"}}]}",
			 data);
}

TEST(csvs_inside_of_bundles_are_looked_into_when_asked)
{
	static const struct row rows[] = {
		{"{\"kind\":\"ClusterServiceVersion\",\"spec\":{\"relatedImages\":[{\"image\":\"q/r\"}],"
		 "\"install\":{\"spec\":{\"deployments\":[{\"spec\":{\"template\":{\"spec\":{"
		 "\"initContainers\":[{\"image\":\"q/i\"}],\"containers\":[{\"image\":\"q/c\"},{}]}}}}]"
		 "}}}}",
		 "olm.bundle,,: q/b q/r q/i q/c"},
		{"{\"kind\":\"Deployment\",\"spec\":{\"relatedImages\":[{\"image\":\"q/r\"}]}}",
		 "olm.bundle,,: q/b"},
		{"{\"spec\":{\"relatedImages\":[{\"image\":5}]}}",
		 "error: document 3 (line 100): properties[1].value.data: "
		 "spec.relatedImages[0].image: not a string"},
		{"{", "error: document 3 (line 100): properties[1].value.data: unexpected end of "
		      "JSON input"},
		{"[]", "error: document 3 (line 100): properties[1].value.data: not an object"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *text = bundle_with(rows[i].text);
		auto_free char *deep = read_flags(DOCUMENT_JSON, text, FBC_DEEP);
		auto_free char *yaml = read_flags(DOCUMENT_YAML, text, FBC_DEEP);
		auto_free char *flat = read_one(DOCUMENT_JSON, text);

		CHECK_STR(deep, rows[i].want);
		CHECK_STR(yaml, rows[i].want);
		CHECK_STR(flat, "olm.bundle,,: q/b");
	}
}

TEST(what_should_be_base64_has_to_be)
{
	static const struct row rows[] = {
		{"{\"properties\":[{\"type\":\"olm.bundle.object\",\"value\":{\"data\":\"!\"}}]}",
		 "error: document 3 (line 100): properties[0].value.data: not base64"},
		{"{\"properties\":[{\"type\":\"olm.bundle.object\",\"value\":{}}]}",
		 "error: document 3 (line 100): properties[0].value.data: missing"},
		{"{\"properties\":{}}", "error: document 3 (line 100): properties: not an array"},
		{"{\"properties\":[null,5,{\"type\":5}]}", ",,:"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *got = read_flags(DOCUMENT_JSON, rows[i].text, FBC_DEEP);

		CHECK_STR(got, rows[i].want);
	}
}

int main(void)
{
	return tap_main();
}
