// SPDX-License-Identifier: Apache-2.0
// Layer selectors: [2], [-1], [1:3], [~sha256:4f].
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "image/manifest.h"
#include "release/image_extract.h"

static bool number(struct str s, long *ret)
{
	auto_free char *text = xstrndup(s.p, s.n);
	char *end;

	errno = 0;
	*ret = strtol(text, &end, 10);
	return s.n > 0 && *end == '\0' && text[0] != ' ' && !errno && *ret >= INT_MIN &&
	       *ret <= INT_MAX;
}

static int by_prefix(const char *prefix, const struct manifest *m, size_t *ret_from, size_t *ret_to,
		     struct err *e)
{
	size_t found = 0;

	for (size_t i = 0; i < m->nlayers; i++)
		if (starts_with(m->layers[i].digest.text, prefix)) {
			found++;
			*ret_from = i;
			*ret_to = i + 1;
		}
	if (found == 0)
		return err_set(e, ERR_USAGE, "no layers start with '%s'", prefix);
	if (found > 1)
		return err_set(e, ERR_USAGE,
			       "multiple layers start with '%s', you must be more specific",
			       prefix);
	return 0;
}

static int by_range(struct str first, struct str last, long n, size_t *ret_from, size_t *ret_to,
		    struct err *e)
{
	long from = 0, to = n;

	if ((first.n > 0 && !number(first, &from)) || (last.n > 0 && !number(last, &to)))
		return err_set(e, ERR_USAGE, "[from:to] must have valid numbers: '%.*s:%.*s'",
			       STR_FMT(first), STR_FMT(last));
	if (last.n > 0 && to > 0 && to < from)
		return err_set(e, ERR_USAGE, "[from:to] to must be larger than from");
	long a = from < 0 ? n + from : from, b = to < 0 ? n + to : to > n ? n : to;

	if (a < 0 || b < 0 || a >= n)
		return err_set(e, ERR_USAGE,
			       "tried to select [%.*s:%.*s], but image only has %ld layers",
			       STR_FMT(first), STR_FMT(last), n);
	*ret_from = (size_t)(a < b ? a : b);
	*ret_to = (size_t)(a < b ? b : a);
	return 0;
}

int layer_select(const char *selector, const struct manifest *m, size_t *ret_from, size_t *ret_to,
		 struct err *e)
{
	struct str rest = str_of(selector), first;
	long at, n = (long)m->nlayers;

	if (selector[0] == '~')
		return by_prefix(selector + 1, m, ret_from, ret_to, e);
	first = str_cut(&rest, ':');
	if (rest.p)
		return by_range(first, rest, n, ret_from, ret_to, e);
	if (!number(first, &at))
		return err_set(
			e, ERR_USAGE,
			"the layer selector [%s] is not valid, must be [from:to], [index], or "
			"[~digest]",
			selector);
	if (at < -n || at >= n)
		return err_set(e, ERR_USAGE,
			       "tried to select layer %ld, but image only has %ld layers", at, n);
	*ret_from = (size_t)(at < 0 ? n + at : at);
	*ret_to = *ret_from + 1;
	return 0;
}
