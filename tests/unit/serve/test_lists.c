// SPDX-License-Identifier: Apache-2.0
// Lists and their pages.
#include "data/json.h"
#include "image/manifest.h"
#include "serve/internal.h"
#include "unit/serve/call.h"
#include "unit/serve/users.h"

#define EMPTY "{\"schemaVersion\":2,\"manifests\":[]}"

// A folder that is filled, then served.
struct world {
	char *dir;
	struct store *s; // until it is served
	struct registry r;
};

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->dir = temp_dir();
	w->s = must_open(w->dir, STORE_WRITE, STORE_LAYOUT_OC);
}

static void world_release(struct world *w)
{
	registry_release(&w->r);
	store_close(w->s);
	temp_dir_removep(&w->dir);
}
#define auto_world __attribute__((cleanup(world_release)))

static void add(struct world *w, const char *repo, const char *tag)
{
	struct err e;

	CHECK_OK(put_manifest(w->s, repo, EMPTY, tag, NULL, &e));
}

static void serve(struct world *w)
{
	struct err e;

	CHECK_OK(store_sync(w->s, &e));
	store_close(w->s);
	w->s = NULL;
	registry_add_root(&w->r, w->dir);
	registry_start(&w->r);
}

// The names in the list MEMBER of the answer's body, with blanks between them. Caller frees.
static char *names_in(const struct answer *a, const char *member)
{
	auto_json struct json_doc doc = {NULL};
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);
	struct json_limits limits = JSON_LIMITS(BUF_TEXT_MAX);
	struct err e = {0};
	size_t n = 0;

	CHECK_OK(json_parse(&doc, (struct str){a->body, a->n}, limits, JSON_UNIQUE, &e));
	struct json root = json_root(&doc), list = json_member(&root, member);

	CHECK(json_exists(&list));
	CHECK_OK(json_items(&list, &n, &e));
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(&list, i);
		const char *text = "?";

		CHECK_OK(json_text(&item, &text, &e));
		buf_printf(&out, "%s%s", i ? " " : "", text);
	}
	return buf_take(&out);
}

// The target of the answer's Link; "" when there is none.
static const char *next_of(const struct answer *a)
{
	static char target[4096];
	const char *link = answer_header(a, "Link");
	static const char tail[] = ">; rel=\"next\"";

	if (!*link)
		return "";
	CHECK(*link == '<' && ends_with(link, tail));
	snprintf(target, sizeof(target), "%.*s", (int)(strlen(link) - strlen(tail) - 1), link + 1);
	return target;
}

// ---- tags

TEST(tags_come_in_pages_that_start_behind_a_name)
{
	static const struct {
		const char *query, *tags, *next;
	} rows[] = {
		{"", "A B a b c", ""},
		{"?n=2", "A B", "/v2/a/b/tags/list?n=2&last=B"},
		{"?n=2&last=B", "a b", "/v2/a/b/tags/list?n=2&last=b"},
		{"?n=2&last=b", "c", ""},
		{"?n=5", "A B a b c", ""},
		{"?n=1000000", "A B a b c", ""},
		{"?n=0", "", ""},
		{"?n=0&last=A", "", ""},
		{"?last=a", "b c", ""},
		{"?last=AA", "B a b c", ""},
		{"?last=", "A B a b c", ""},
		{"?last=c", "", ""},
		{"?n=1&last=zzz", "", ""},
		{"?last=%61&n=1", "b", "/v2/a/b/tags/list?n=1&last=b"},
	};
	static const char *const tags[] = {"b", "A", "c", "a", "B"};
	auto_world struct world w;

	world_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
		add(&w, "a/b", tags[i]);
	serve(&w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *target = xasprintf("/v2/a/b/tags/list%s", rows[i].query);
		auto_answer struct answer a = ask(&w.r, "GET", target, NULL, NULL);
		auto_free char *got = names_in(&a, "tags");

		CHECK_INT(a.status, 200);
		CHECK_STR(got, rows[i].tags);
		CHECK_STR(next_of(&a), rows[i].next);
	}
}

TEST(a_page_size_that_is_no_number_is_refused)
{
	static const char *const rows[] = {
		"n=-1", "n=x", "n=", "n=1.5", "n=+1", "n=1%20", "n=99999999999999999999"};
	auto_world struct world w;

	world_init(&w);
	add(&w, "a/b", "v1");
	serve(&w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *tags = xasprintf("/v2/a/b/tags/list?%s", rows[i]);
		auto_free char *catalog = xasprintf("/v2/_catalog?%s", rows[i]);
		auto_answer struct answer a = ask(&w.r, "GET", tags, NULL, NULL);
		auto_answer struct answer b = ask(&w.r, "GET", catalog, NULL, NULL);

		CHECK_ERROR(a, 400, "UNSUPPORTED");
		CHECK_ERROR(b, 400, "UNSUPPORTED");
	}
}

TEST(a_repository_without_tags_is_not_an_unknown_one)
{
	auto_world struct world w;

	world_init(&w);
	add(&w, "a/b", NULL);
	serve(&w);
	auto_answer struct answer empty = ask(&w.r, "GET", "/v2/a/b/tags/list", NULL, NULL);
	auto_answer struct answer unknown = ask(&w.r, "GET", "/v2/a/c/tags/list", NULL, NULL);

	CHECK_INT(empty.status, 200);
	CHECK_STR(empty.body, "{\"name\":\"a/b\",\"tags\":[]}");
	CHECK_ERROR(unknown, 404, "NAME_UNKNOWN");
}

static void add_tags(const char *dir, unsigned from, unsigned to)
{
	struct digest d;

	digest_of(&d, DIGEST_SHA256, EMPTY, strlen(EMPTY));
	for (unsigned i = from; i < to; i++) {
		auto_free char *path = xasprintf("%s/v2/a/b/manifests/t%05u", dir, i);

		CHECK_INT(symlink(d.text, path), 0);
	}
}

TEST(more_than_ten_thousand_tags_come_in_pages_of_a_thousand)
{
	static const struct {
		const char *query, *first, *last, *next;
		int n;
	} rows[] = {
		{"", "t00000", "t00999", "t00999", 1000},
		{"?n=5000&last=t00999", "t01000", "t01999", "t01999", 1000},
		{"?n=10&last=t01999", "t02000", "t02009", "t02009", 10},
		{"?n=1000&last=t08999", "t09000", "t09999", "t09999", 1000},
		{"?n=1000&last=t09999", "t10000", "t10000", NULL, 1},
	};
	auto_world struct world w;

	world_init(&w);
	add(&w, "a/b", "t00000");
	serve(&w);
	add_tags(w.dir, 1, 10000);
	auto_answer struct answer whole = ask(&w.r, "GET", "/v2/a/b/tags/list", NULL, NULL);
	auto_free char *all = names_in(&whole, "tags");

	CHECK_STR(next_of(&whole), "");
	CHECK_INT(strlen(all), 7 * 10000 - 1);
	add_tags(w.dir, 10000, 10001);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *target = xasprintf("/v2/a/b/tags/list%s", rows[i].query);
		auto_answer struct answer a = ask(&w.r, "GET", target, NULL, NULL);
		auto_free char *names = names_in(&a, "tags");
		auto_free char *next = rows[i].next ? xasprintf("/v2/a/b/tags/list?n=%d&last=%s",
								rows[i].n, rows[i].next)
						    : xstrdup("");

		CHECK_INT(strlen(names), 7 * rows[i].n - 1);
		CHECK(starts_with(names, rows[i].first));
		CHECK(ends_with(names, rows[i].last));
		CHECK_STR(next_of(&a), next);
	}
}

// ---- the catalog

TEST(the_catalog_comes_in_pages_that_start_behind_a_name)
{
	static const struct {
		const char *query, *names, *next;
	} rows[] = {
		{"", "a-c a/b a/b/c b", ""},
		{"?n=2", "a-c a/b", "/v2/_catalog?n=2&last=a%2Fb"},
		{"?n=2&last=a%2Fb", "a/b/c b", ""},
		{"?n=1&last=a/b", "a/b/c", "/v2/_catalog?n=1&last=a%2Fb%2Fc"},
		{"?last=a", "a-c a/b a/b/c b", ""},
		{"?last=b", "", ""},
		{"?n=0", "", ""},
		{"?n=100000", "a-c a/b a/b/c b", ""},
	};
	static const char *const repos[] = {"b", "a/b", "a-c", "a/b/c"};
	auto_world struct world w;

	world_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(repos); i++)
		add(&w, repos[i], "v1");
	serve(&w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *target = xasprintf("/v2/_catalog%s", rows[i].query);
		auto_answer struct answer a = ask(&w.r, "GET", target, NULL, NULL);
		auto_free char *got = names_in(&a, "repositories");

		CHECK_INT(a.status, 200);
		CHECK_STR(got, rows[i].names);
		CHECK_STR(next_of(&a), rows[i].next);
	}
}

static void add_repositories(const char *dir, unsigned from, unsigned to)
{
	struct digest d;

	digest_of(&d, DIGEST_SHA256, EMPTY, strlen(EMPTY));
	auto_free char *file = xasprintf("%s/v2/r/x0000/manifests/%s", dir, d.text);

	for (unsigned i = from; i < to; i++) {
		auto_free char *manifests = xasprintf("%s/v2/r/x%04u/manifests", dir, i);
		auto_free char *name = path_join(manifests, d.text);
		struct err e;

		CHECK_OK(fs_mkdirs(manifests, 0755, &e));
		CHECK_INT(link(file, name), 0);
	}
}

TEST(a_page_of_the_catalog_has_at_most_a_thousand_names)
{
	auto_world struct world w;

	world_init(&w);
	add(&w, "r/x0000", "v1");
	serve(&w);
	add_repositories(w.dir, 1, 1001);
	auto_answer struct answer a = ask(&w.r, "GET", "/v2/_catalog?n=5000", NULL, NULL);
	auto_answer struct answer b = ask(&w.r, "GET", next_of(&a), NULL, NULL);

	CHECK_STR(answer_header(&a, "Link"), "</v2/_catalog?n=1000&last=r%2Fx0999>; rel=\"next\"");
	CHECK_STR(b.body, "{\"repositories\":[\"r/x1000\"]}");
	CHECK_STR(answer_header(&b, "Link"), "");
}

TEST(the_catalog_is_not_read_anew_for_every_request)
{
	auto_world struct world w;

	world_init(&w);
	add(&w, "a", "v1");
	serve(&w);
	auto_answer struct answer before = ask(&w.r, "GET", "/v2/_catalog", NULL, NULL);

	run("cp -r '%s/v2/a' '%s/v2/b'", w.dir, w.dir);
	auto_answer struct answer after = ask(&w.r, "GET", "/v2/_catalog", NULL, NULL);

	CHECK_STR(before.body, "{\"repositories\":[\"a\"]}");
	CHECK_STR(after.body, before.body);
}

static void *ask_for_catalog(void *arg)
{
	for (int i = 0; i < 50; i++) {
		auto_answer struct answer a = ask(arg, "GET", "/v2/_catalog", NULL, NULL);

		CHECK_STR(a.body, "{\"repositories\":[\"a\"]}");
	}
	return NULL;
}

TEST(many_may_ask_for_the_catalog_at_once)
{
	auto_world struct world w;
	pthread_t threads[4];

	world_init(&w);
	add(&w, "a", "v1");
	serve(&w);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		CHECK_INT(pthread_create(&threads[i], NULL, ask_for_catalog, &w.r), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}

TEST(a_token_for_the_catalog_names_what_its_user_may_pull)
{
	auto_users struct users_file users;
	auto_world struct world w;
	auto_free char *bearer = NULL;
	char token[4096];
	struct err e;

	world_init(&w);
	add(&w, "a/b", "v1");
	REQUIRE_OK(users_file_init(&users, USERS) ? 0 : -1);
	struct auth_config cfg = {
		.mode = AUTH_TOKEN, .htpasswd = users.path, .now = registry_clock, .key = "k"};

	REQUIRE_OK(auth_new(&w.r.auth, &cfg, &e));
	serve(&w);
	// ann:secret
	auto_answer struct answer granted =
		ask(&w.r, "GET", "/token?service=ferry&scope=registry%3Acatalog%3A%2A",
		    "Host: h\nAuthorization: Basic YW5uOnNlY3JldA==", NULL);
	auto_answer struct answer nobody = ask(&w.r, "GET", "/v2/_catalog", "Host: h", NULL);

	CHECK_INT(nobody.status, 401);
	CHECK_INT(granted.status, 200);
	REQUIRE_OK(sscanf(granted.body, "{\"token\":\"%4000[^\"]", token) == 1 ? 0 : -1);
	bearer = xasprintf("Host: h\nAuthorization: Bearer %s", token);
	auto_answer struct answer a = ask(&w.r, "GET", "/v2/_catalog", bearer, NULL);

	CHECK_INT(a.status, 200);
	CHECK_STR(a.body, "{\"repositories\":[\"a/b\"]}");
	CHECK(strstr(w.r.access.p, "ann GET /v2/_catalog 200") != NULL);
	CHECK(strstr(w.r.access.p, token) == NULL);
}

// ---- referrers

static void add_image(struct world *w, struct digest *ret)
{
	struct err e;

	CHECK_OK(put_manifest(w->s, "a/b", EMPTY, "v1", ret, &e));
}

// A manifest about SUBJECT; MORE are further members, with the comma before them.
static char *about(const struct digest *subject, const char *more)
{
	return xasprintf(
		"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST
		"\",\"config\":{\"mediaType\":\"application/vnd.config\",\"digest\":\"%s\","
		"\"size\":2},\"layers\":[],\"subject\":{\"mediaType\":\"" MT_OCI_INDEX
		"\",\"digest\":\"%s\",\"size\":35}%s}",
		"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
		subject->text, more);
}

static void add_about(struct world *w, const struct digest *subject, const char *more,
		      struct digest *ret, size_t *ret_n)
{
	auto_free char *text = about(subject, more);
	struct err e;

	CHECK_OK(put_manifest(w->s, "a/b", text, NULL, ret, &e));
	*ret_n = strlen(text);
}

static struct answer referrers(struct world *w, const struct digest *subject, const char *query)
{
	auto_free char *target = xasprintf("/v2/a/b/referrers/%s%s", subject->text, query);

	return ask(&w->r, "GET", target, NULL, NULL);
}

#define INDEX_OF(entries) \
	"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX "\",\"manifests\":[" entries "]}"

TEST(an_entry_of_the_referrers_has_what_the_manifest_says_of_itself)
{
	auto_world struct world w;
	struct digest image, d;
	size_t n;

	world_init(&w);
	add_image(&w, &image);
	add_about(&w, &image,
		  ",\"artifactType\":\"application/vnd.sig\","
		  "\"annotations\":{\"b\":\"1\",\"a\":\"\\\"\\u00e9\",\"n\":7}",
		  &d, &n);
	serve(&w);
	auto_answer struct answer a = referrers(&w, &image, "");
	auto_free char *want = xasprintf(
		INDEX_OF(
			"{\"mediaType\":\"" MT_OCI_MANIFEST
			"\",\"digest\":\"%s\",\"size\":%zu,\"artifactType\":\"application/vnd.sig\","
			"\"annotations\":{\"b\":\"1\",\"a\":\"\\\"\xc3\xa9\"}}"),
		d.text, n);

	CHECK_INT(a.status, 200);
	CHECK_STR(answer_header(&a, "Content-Type"), MT_OCI_INDEX);
	CHECK_STR(answer_header(&a, "OCI-Filters-Applied"), "");
	CHECK_STR(a.body, want);
}

TEST(the_type_of_an_artifact_may_be_that_of_its_configuration)
{
	auto_world struct world w;
	struct digest image, d;
	struct err e;
	size_t n;

	world_init(&w);
	add_image(&w, &image);
	add_about(&w, &image, "", &d, &n);
	serve(&w);
	auto_answer struct answer a = referrers(&w, &image, "");

	CHECK(strstr(a.body, "\"artifactType\":\"application/vnd.config\"") != NULL);

	auto_world struct world v;
	auto_free char *index = xasprintf("{\"schemaVersion\":2,\"manifests\":[],"
					  "\"subject\":{\"digest\":\"%s\",\"size\":35}}",
					  image.text);
	world_init(&v);
	CHECK_OK(put_manifest(v.s, "a/b", index, NULL, &d, &e));
	serve(&v);
	auto_answer struct answer b = referrers(&v, &image, "");

	CHECK(strstr(b.body, d.text) != NULL);
	CHECK(strstr(b.body, "artifactType") == NULL);
}

TEST(referrers_can_be_filtered_by_their_type)
{
	auto_world struct world w;
	struct digest image, sig, sbom;
	size_t n;

	world_init(&w);
	add_image(&w, &image);
	add_about(&w, &image, ",\"artifactType\":\"application/vnd.sig+json\"", &sig, &n);
	add_about(&w, &image, ",\"artifactType\":\"application/vnd.sbom\"", &sbom, &n);
	serve(&w);
	auto_answer struct answer one =
		referrers(&w, &image, "?artifactType=application%2Fvnd.sig%2Bjson");
	auto_answer struct answer none = referrers(&w, &image, "?artifactType=application/none");
	auto_answer struct answer all = referrers(&w, &image, "?artifactType=");

	CHECK_STR(answer_header(&one, "OCI-Filters-Applied"), "artifactType");
	CHECK(strstr(one.body, sig.text) != NULL);
	CHECK(strstr(one.body, sbom.text) == NULL);
	CHECK_STR(none.body, INDEX_OF(""));
	CHECK_STR(answer_header(&all, "OCI-Filters-Applied"), "");
	CHECK(strstr(all.body, sig.text) != NULL && strstr(all.body, sbom.text) != NULL);
}

// Spec: "Enabling the Referrers API".
TEST(what_clients_listed_under_the_fallback_tag_counts_if_it_has_the_subject)
{
	auto_world struct world w;
	struct digest image, other, sig, wrong;
	struct err e;
	size_t n;
	char tag[200];

	world_init(&w);
	add_image(&w, &image);
	digest_of(&other, DIGEST_SHA256, "x", 1);
	add_about(&w, &image, "", &sig, &n);
	add_about(&w, &other, "", &wrong, &n);
	auto_free char *list = xasprintf(
		"{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"%s\",\"size\":1},"
		"{\"digest\":\"%s\",\"size\":1},{\"digest\":\"sha256:"
		"0000000000000000000000000000000000000000000000000000000000000000\",\"size\":1},"
		"{\"digest\":\"../x\"},7,{\"digest\":\"%s\"}]}",
		sig.text, wrong.text, sig.text);

	snprintf(tag, sizeof(tag), "sha256-%s", digest_hex(&image));
	CHECK_OK(put_manifest(w.s, "a/b", list, tag, NULL, &e));
	serve(&w);
	auto_answer struct answer a = referrers(&w, &image, "");
	const char *at = strstr(a.body, sig.text);

	CHECK(at != NULL);
	CHECK(at && !strstr(at + 1, sig.text));
	CHECK(strstr(a.body, wrong.text) == NULL);
	CHECK(strstr(a.body, "0000000000") == NULL);
}

TEST(a_fallback_tag_that_is_no_index_adds_nothing)
{
	static const char *const rows[] = {
		"{\"schemaVersion\":2,\"manifests\":{}}",
		"{\"schemaVersion\":2,\"config\":{},\"layers\":[]}",
		"{\"schemaVersion\":2,\"manifests\":[[],null,{}]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_world struct world w;
		struct digest image;
		struct err e;
		char tag[200];

		world_init(&w);
		add_image(&w, &image);
		snprintf(tag, sizeof(tag), "sha256-%s", digest_hex(&image));
		CHECK_OK(put_manifest(w.s, "a/b", rows[i], tag, NULL, &e));
		serve(&w);
		auto_answer struct answer a = referrers(&w, &image, "");

		CHECK_INT(a.status, 200);
		CHECK_STR(a.body, INDEX_OF(""));
	}
}

TEST(referrers_of_something_unknown_are_none)
{
	static const char *const rows[] = {"/v2/a/b/referrers/", "/v2/x/y/referrers/"};
	auto_world struct world w;
	struct digest d;

	digest_of(&d, DIGEST_SHA512, "x", 1);
	world_init(&w);
	add(&w, "a/b", "v1");
	serve(&w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *target = xasprintf("%s%s", rows[i], d.text);
		auto_answer struct answer a = ask(&w.r, "GET", target, NULL, NULL);

		CHECK_INT(a.status, 200);
		CHECK_STR(a.body, INDEX_OF(""));
	}
}

TEST(many_referrers_come_in_pages)
{
	auto_world struct world w;
	auto_free char *filler = xcalloc(1, (1 << 20) + 1);
	struct digest image, d[5];
	unsigned pages = 0, entries = 0;
	char target[1000];
	size_t n;

	memset(filler, 'x', 1 << 20);
	world_init(&w);
	add_image(&w, &image);
	for (int i = 0; i < 5; i++) {
		auto_free char *more = xasprintf(
			",\"artifactType\":\"application/a+b\",\"annotations\":{\"n\":\"%d\",\"x\":\"%s\"}",
			i, filler);

		add_about(&w, &image, more, &d[i], &n);
	}
	serve(&w);
	snprintf(target, sizeof(target), "/v2/a/b/referrers/%s?artifactType=application/a%%2Bb",
		 image.text);
	while (*target && pages < 10) {
		auto_answer struct answer a = ask(&w.r, "GET", target, NULL, NULL);

		CHECK_INT(a.status, 200);
		CHECK(a.n <= (4 << 20) + 100);
		for (const char *at = a.body; (at = strstr(at, "\"digest\"")); at++)
			entries++;
		pages++;
		snprintf(target, sizeof(target), "%s", next_of(&a));
		CHECK(!*target || ends_with(target, "&artifactType=application%2Fa%2Bb"));
	}
	CHECK_INT(pages, 2);
	CHECK_INT(entries, 5);
}

int main(void)
{
	return tap_main();
}
