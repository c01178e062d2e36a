// SPDX-License-Identifier: Apache-2.0
// Reading signature stores: HTTP servers, folders laid out as they are, and config maps on disk.
#include "release/signature_store.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "data/base64.h"
#include "data/yaml_in.h"
#include "net/http.h"
#include "openpgp/openpgp.h"
#include "release/signatures.h"
#include "util/fs.h"
#include "util/mem.h"

enum { HEAD_SECONDS = 10 }; // for the head of an answer: on closed networks packets just vanish

struct reading {
	struct http *net;
	const struct digest *digest;
	signature_store_take take;
	void *arg;
	bool enough;
};

static char *signature_path(const char *store, const struct digest *d, int n)
{
	struct str base = str_of(store);

	while (base.n > 1 && base.p[base.n - 1] == '/')
		base.n--;
	return xasprintf("%.*s/%s=%s/signature-%d", STR_FMT(base), digest_algo_name(d->algo),
			 digest_hex(d), n);
}

// A 404 is the end; 403 is how object stores say it to those who may not list.
static int check_status(int status, const char *url, bool *ret_end, struct err *e)
{
	*ret_end = status == 404 || status == 410 || status == 403;
	if (status == 200 || *ret_end)
		return 0;
	err_set(e, ERR_NET, "%s: unexpected status %d", url, status);
	e->http = status;
	return -1;
}

static int fetch(const struct reading *r, const char *url, struct buf *ret, bool *ret_end,
		 struct err *e)
{
	struct http_req req = {
		.method = "GET", .url = url, .flags = HTTP_SMALL, .timeout_seconds = HEAD_SECONDS};
	auto_of(http_exchange_free) struct http_exchange *x = http_open(r->net, &req, e);

	if (!x || check_status(http_status(x), url, ret_end, e) < 0)
		return -1;
	return *ret_end ? 0 : http_read_all(x, ret, e);
}

static int read_server(struct reading *r, const char *store, struct err *e)
{
	if (!r->net)
		return err_set(e, ERR_NET, "%s is not asked: there is no network", store);
	for (int n = 1; n <= SIGNATURES_MAX && !r->enough; n++) {
		auto_free char *url = signature_path(store, r->digest, n);
		auto_buf struct buf bytes = BUF_INIT(OPENPGP_MESSAGE_MAX);
		bool end;

		if (fetch(r, url, &bytes, &end, e) < 0)
			return -1;
		if (end)
			return 0;
		if (r->take(r->arg, url, buf_str(&bytes), &r->enough) < 0)
			return -1;
	}
	return 0;
}

int signature_file_read(struct buf *ret, const char *path, struct err *e)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return err_os(e, errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO,
			      "open %s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, "%s is not a file", path);
	return fs_read_fd(ret, fd, path, e);
}

static int read_folder(struct reading *r, const char *store, struct err *e)
{
	for (int n = 1; n <= SIGNATURES_MAX && !r->enough; n++) {
		auto_free char *path = signature_path(store, r->digest, n);
		auto_buf struct buf bytes = BUF_INIT(OPENPGP_MESSAGE_MAX);

		if (signature_file_read(&bytes, path, e) < 0)
			return e->kind == ERR_NOT_FOUND ? 0 : -1;
		if (r->take(r->arg, path, buf_str(&bytes), &r->enough) < 0)
			return -1;
	}
	return 0;
}

// A config map on disk that is being read.
struct map_reading {
	struct reading *r;
	const char *path;
	int n;
};

static int take_member(struct map_reading *m, const struct json *member, struct err *e)
{
	auto_free char *location = xasprintf("%s: %s", m->path, member->name);
	auto_free char *bytes = NULL;
	const char *text;
	size_t n;

	if (json_text(member, &text, e) < 0)
		return -1;
	if (!base64_decode(str_of(text), &bytes, &n))
		return json_fail(member, e, "is not base64");
	return m->r->take(m->r->arg, location, (struct str){bytes, n}, &m->r->enough);
}

// "sha256-HEX" and "sha256-HEX-N" are the digest's.
static bool is_wanted(const struct digest *d, const char *name)
{
	auto_free char *base = xasprintf("%s-%s", digest_algo_name(d->algo), digest_hex(d));
	size_t n = strlen(base);

	return strncmp(name, base, n) == 0 && (name[n] == '\0' || name[n] == '-');
}

static int read_config_map(void *arg, const struct json *root, struct err *e)
{
	struct map_reading *m = arg;
	struct json data = json_member(root, "binaryData");
	size_t n = 0;

	if (!json_present(&data))
		return 0;
	if (json_need_object(&data, e) < 0)
		return -1;
	auto_free const char **names = json_sorted_names(&data, &n);

	for (size_t i = 0; i < n && !m->r->enough; i++) {
		struct json member = json_member(&data, names[i]);

		if (is_wanted(m->r->digest, names[i]) && m->n++ < SIGNATURES_MAX &&
		    take_member(m, &member, e) < 0)
			return -1;
	}
	return 0;
}

static int read_map_file(struct reading *r, const char *path, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(SIGNATURES_FILE_MAX);
	struct map_reading m = {.r = r, .path = path};

	if (signature_file_read(&text, path, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (yaml_parse(buf_str(&text), YAML_LIMITS(SIGNATURES_FILE_MAX), 0, read_config_map, &m,
		       e) < 0)
		return err_wrap(e, "%s", path);
	return 0;
}

static int read_disk(struct reading *r, const char *store, struct err *e)
{
	auto_free char *name = signatures_file_name(r->digest);
	auto_free char *map = path_join(store, name);
	struct stat st;

	if (stat(store, &st) == 0 && S_ISREG(st.st_mode))
		return read_map_file(r, store, e);
	if (read_map_file(r, map, e) < 0)
		return -1;
	return r->enough ? 0 : read_folder(r, store, e);
}

int signature_store_each(const char *store, struct http *net, const struct digest *digest,
			 signature_store_take take, void *arg, struct err *e)
{
	struct reading r = {.net = net, .digest = digest, .take = take, .arg = arg};

	if (starts_with(store, "http://") || starts_with(store, "https://"))
		return read_server(&r, store, e);
	return read_disk(&r, store, e);
}
