// SPDX-License-Identifier: Apache-2.0
// Parser of WWW-Authenticate.
#include "registry/challenge.h"

#include <string.h>

static bool is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

// Tokens, and what an unquoted value is written with in practice (URLs, token68).
static bool is_value_char(char c)
{
	return is_token_char(c) || (c != '\0' && strchr("/:=@?[]()", c));
}

static void skip_blanks(const char **at)
{
	while (**at == ' ' || **at == '\t')
		++*at;
}

static struct str take_while(const char **at, bool (*accept)(char c))
{
	struct str run = {*at, 0};

	while (accept(**at)) {
		++*at;
		run.n++;
	}
	return run;
}

static char *lower(struct arena *arena, struct str s)
{
	char *text = arena_strndup(arena, s.p, s.n);

	for (char *c = text; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return text;
}

// A quoted string, the opening quote already seen. NULL when it does not end or holds a control
// byte.
static char *take_quoted(const char **at, struct arena *arena)
{
	char *text = arena_alloc(arena, strlen(*at) + 1), *out = text;

	for (++*at; **at != '"'; ++*at) {
		if (**at == '\\')
			++*at;
		if ((unsigned char)**at < ' ' && **at != '\t')
			return NULL;
		*out++ = **at;
	}
	++*at;
	return text;
}

static char *take_value(const char **at, struct arena *arena)
{
	if (**at == '"')
		return take_quoted(at, arena);
	struct str run = take_while(at, is_value_char);

	return run.n > 0 ? arena_strndup(arena, run.p, run.n) : NULL;
}

// Is the '=' at AT part of a token68 ("TlRMTVNT=="), not of a parameter?
static bool ends_token68(const char *at)
{
	while (*at == '=')
		at++;
	skip_blanks(&at);
	return *at == '\0' || *at == ',';
}

static bool add_param(struct challenge *c, const char *name, const char *value)
{
	for (size_t i = 0; i < c->nparams; i++)
		if (strcmp(c->params[i].name, name) == 0)
			return false;
	if (c->nparams == CHALLENGE_PARAMS_MAX)
		return false;
	c->params[c->nparams++] = (struct challenge_param){name, value};
	return true;
}

// What follows a scheme: nothing, a token68 (which no scheme of ours uses), or the first parameter.
// Leaves *at on the parameter in the last case.
static void skip_token68(const char **at)
{
	const char *look = *at;

	take_while(&look, is_token_char);
	skip_blanks(&look);
	if (*look == '=' && !ends_token68(look))
		return;
	look = *at;
	take_while(&look, is_value_char);
	*at = look;
}

bool challenges_parse(struct challenges *ret, const char *header)
{
	struct challenge *now = NULL;
	const char *at = header;

	if (strnlen(header, CHALLENGE_HEADER_MAX + 1) > CHALLENGE_HEADER_MAX)
		return false;
	for (;;) {
		while (*at == ' ' || *at == '\t' || *at == ',')
			at++;
		if (*at == '\0')
			return true;
		struct str word = take_while(&at, is_token_char);

		if (word.n == 0)
			return false;
		const char *behind = at;

		skip_blanks(&behind);
		if (*behind == '=') {
			at = behind + 1;
			skip_blanks(&at);
			const char *value = take_value(&at, &ret->arena);

			if (!now || !value || !add_param(now, lower(&ret->arena, word), value))
				return false;
			skip_blanks(&at);
			if (*at != '\0' && *at != ',')
				return false;
			continue;
		}
		if (ret->n == CHALLENGES_MAX || (*at != '\0' && *at != ',' && at == behind))
			return false;
		now = &ret->v[ret->n++];
		*now = (struct challenge){.scheme = lower(&ret->arena, word)};
		at = behind;
		if (*at != '\0' && *at != ',')
			skip_token68(&at);
	}
}

void challenges_release(struct challenges *c)
{
	arena_free(&c->arena);
	*c = (struct challenges){0};
}

const char *challenge_param(const struct challenge *c, const char *name)
{
	for (size_t i = 0; i < c->nparams; i++)
		if (strcmp(c->params[i].name, name) == 0)
			return c->params[i].value;
	return "";
}

const struct challenge *challenges_find(const struct challenges *c, const char *scheme)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->v[i].scheme, scheme) == 0)
			return &c->v[i];
	return NULL;
}
