// SPDX-License-Identifier: Apache-2.0
// http_parser (2.9.4 in Debian 12), as strict as it can be asked to be.
#include "peers.h"

#include <http_parser.h>
#include <stdio.h>

static int on_url(http_parser *p, const char *at, size_t n)
{
	buf_put(&((struct reading *)p->data)->target, at, n);
	return 0;
}

static int on_body(http_parser *p, const char *at, size_t n)
{
	buf_put(&((struct reading *)p->data)->body, at, n);
	return 0;
}

static int on_headers_complete(http_parser *p)
{
	struct reading *r = p->data;

	buf_puts(&r->method, http_method_str((enum http_method)p->method));
	if (p->flags & F_CHUNKED)
		r->framing = FRAMING_CHUNKED;
	else if (p->flags & F_CONTENTLENGTH)
		r->framing = FRAMING_LENGTH;
	return 0;
}

static int on_message_complete(http_parser *p)
{
	((struct reading *)p->data)->complete = true;
	http_parser_pause(p, 1);
	return 0;
}

void read_as_http_parser(struct reading *ret, const char *data, size_t n)
{
	http_parser_settings settings;
	http_parser p;

	http_parser_settings_init(&settings);
	settings.on_url = on_url;
	settings.on_body = on_body;
	settings.on_headers_complete = on_headers_complete;
	settings.on_message_complete = on_message_complete;
	http_parser_init(&p, HTTP_REQUEST);
	p.data = ret;
	ret->used = http_parser_execute(&p, &settings, data, n);
	if (ret->complete)
		return;
	ret->refused = HTTP_PARSER_ERRNO(&p) != HPE_OK;
	snprintf(ret->why, sizeof(ret->why), "%s", http_errno_description(HTTP_PARSER_ERRNO(&p)));
}
