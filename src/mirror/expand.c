// SPDX-License-Identifier: Apache-2.0
// Wildcards and repositories without a tag become one mapping for each tag.
#include "mirror/expand.h"

#include <ctype.h>
#include <string.h>

struct expansion {
	struct places *places;
	struct transfer *t;
	struct mappings *to;
	struct map tags; // by repository: struct strlist *, owned
	struct map seen;
	size_t from; // the number of the mapping that is expanded
};

static void release(struct expansion *x)
{
	for (size_t i = 0; i < x->tags.n; i++) {
		strlist_release(x->tags.entries[i].ptr);
		free(x->tags.entries[i].ptr);
	}
	map_release(&x->tags);
	map_release(&x->seen);
}

static const struct strlist *list_tags(struct expansion *x, const struct reference *src,
				       const char *name, struct err *e)
{
	struct repo *repo = places_repo(x->places, src, false, e);

	if (!repo)
		return NULL;
	struct str key = {(const char *)&repo, sizeof(repo)};
	struct map_entry *known = map_find(&x->tags, key);

	if (known)
		return known->ptr;
	struct strlist *tags = xcalloc(1, sizeof(*tags));

	if (repo->ops->tags(repo, tags, e) < 0) {
		strlist_release(tags);
		free(tags);
		err_wrap(e, "unable to list the tags of %s", name);
		return NULL;
	}
	map_put(&x->tags, key, NULL)->ptr = tags;
	return tags;
}

// The first tag that VERSION* takes in although it is another version's: 4.18.7* and 4.18.70.
static const char *other_version(const char *pattern, const struct strlist *matches)
{
	size_t n = strlen(pattern);
	size_t dots = 0;

	if (n < 2 || pattern[n - 1] != '*')
		return NULL;
	n--;
	for (size_t i = 0; i < n; i++) {
		if (pattern[i] != '.' && !isdigit((unsigned char)pattern[i]))
			return NULL;
		dots += pattern[i] == '.';
	}
	if (dots != 2 || pattern[0] == '.' || pattern[n - 1] == '.')
		return NULL;
	for (size_t i = 0; i < matches->n; i++)
		if (isdigit((unsigned char)matches->v[i][n]))
			return matches->v[i];
	return NULL;
}

static void match_tags(struct strlist *ret, const struct strlist *tags, const char *pattern)
{
	for (size_t i = 0; i < tags->n; i++)
		if (pattern[0] == '\0' || tag_matches(pattern, tags->v[i]))
			strlist_add(ret, tags->v[i]);
}

static int check(struct expansion *x, const struct mapping *m, struct err *e)
{
	return mapping_claim(&x->seen, m, e) < 0 ? -1 : mapping_check_self(m, e);
}

// M with its source at TAG, its destination too unless it has its own.
static int add_tag(struct expansion *x, const struct mapping *m, char *tag, struct err *e)
{
	struct mapping one = *m;

	one.src.tag = tag;
	if (one.dst.tag[0] == '\0')
		one.dst.tag = tag;
	if (check(x, &one, e) < 0)
		return -1;
	mappings_add(x->to, &one.src, &one.dst, one.name);
	x->to->v[x->to->n - 1].from = x->from;
	return 0;
}

static int expand(struct expansion *x, const struct mapping *m, struct err *e)
{
	auto_strlist struct strlist matches = {0};
	auto_free char *name = reference_print_repository(&m->src);
	const char *pattern = m->src.tag;
	const struct strlist *tags = list_tags(x, &m->src, name, e);

	if (!tags)
		return -1;
	match_tags(&matches, tags, pattern);
	if (matches.n == 0 && pattern[0] == '\0')
		return err_set(e, ERR_NOT_FOUND, "%s has no tags", name);
	if (matches.n == 0)
		return err_set(e, ERR_NOT_FOUND, "no tag of %s matches %s", name, pattern);
	if (matches.n > 1 && m->dst.tag[0] != '\0')
		return err_set(
			e, ERR_USAGE,
			"when source contains wildcards, the destination must be a repository");
	const char *other = other_version(pattern, &matches);

	if (other)
		transfer_notice(x->t, "%s:%s also matches tags of other versions, such as %s", name,
				pattern, other);
	for (size_t i = 0; i < matches.n; i++)
		if (add_tag(x, m, matches.v[i], e) < 0)
			return -1;
	return 0;
}

int mappings_expand(struct mappings *ret, struct places *places, const struct mapping_list *m,
		    struct transfer *t, struct err *e)
{
	struct mappings to = {0};
	struct expansion x = {.places = places, .t = t, .to = &to};
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n; i++) {
		struct mapping one;

		m->lend(m->arg, i, &one);
		x.from = i;
		r = mapping_expands(&one) ? expand(&x, &one, e) : check(&x, &one, e);
	}
	release(&x);
	if (r < 0) {
		mappings_release(&to);
		return -1;
	}
	*ret = to;
	return 0;
}
