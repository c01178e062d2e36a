// SPDX-License-Identifier: Apache-2.0
// Response heads.
#include "net/head.h"

#include "util/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void head_restart(struct head *h)
{
	strlist_release(&h->names);
	strlist_release(&h->values);
	h->status = 0;
}

void head_release(struct head *h)
{
	head_restart(h);
	h->bytes = 0;
}

static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && !memchr("!#$%&'*+-.^_`|~", s.p[i], 15))
			return false;
	return s.n > 0;
}

static bool is_value(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

int head_line(struct head *h, const char *line, size_t n, struct err *e)
{
	struct str value = {line, n}, name;

	h->bytes += n;
	if (h->bytes > HEAD_MAX)
		return err_set(e, ERR_NET, "response headers are larger than %d bytes", HEAD_MAX);
	if (str_starts(value, STR("HTTP/"))) {
		head_restart(h);
		return 0;
	}
	while (value.n > 0 && (value.p[value.n - 1] == '\n' || value.p[value.n - 1] == '\r'))
		value.n--;
	if (value.n == 0)
		return 0;
	if (h->names.n == HEAD_FIELDS_MAX)
		return err_set(e, ERR_NET, "response has more than %d header fields",
			       HEAD_FIELDS_MAX);
	name = str_cut(&value, ':');
	if (!value.p || !is_token(name))
		return err_set(e, ERR_NET, "malformed response header");
	value = str_trim(value);
	if (!is_value(value))
		return err_set(e, ERR_NET, "control byte in response header '%.*s'", STR_FMT(name));
	strlist_take(&h->names, xstrndup(name.p, name.n));
	strlist_take(&h->values, xstrndup(value.p, value.n));
	return 0;
}

const char *head_get(const struct head *h, const char *name)
{
	for (size_t i = 0; i < h->names.n; i++)
		if (strcasecmp(h->names.v[i], name) == 0)
			return h->values.v[i];
	return NULL;
}

char *head_join(const struct head *h, const char *name)
{
	auto_buf struct buf all = BUF_INIT(BUF_TEXT_MAX);
	bool any = false;

	for (size_t i = 0; i < h->names.n; i++) {
		if (strcasecmp(h->names.v[i], name) != 0)
			continue;
		buf_printf(&all, "%s%s", any ? ", " : "", h->values.v[i]);
		any = true;
	}
	return any ? buf_take(&all) : NULL;
}

const char **head_all(const struct head *h, const char *name)
{
	const char **all = xcalloc(h->names.n + 1, sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; i < h->names.n; i++)
		if (strcasecmp(h->names.v[i], name) == 0)
			all[n++] = h->values.v[i];
	return all;
}
