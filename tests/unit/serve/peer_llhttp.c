// SPDX-License-Identifier: Apache-2.0
// llhttp (8.1.0 in Debian 12), in its strict mode.
#include "peers.h"

#include <llhttp.h>
#include <stdio.h>

static int on_url(llhttp_t *p, const char *at, size_t n)
{
	buf_put(&((struct reading *)p->data)->target, at, n);
	return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
	buf_put(&((struct reading *)p->data)->body, at, n);
	return 0;
}

static int on_headers_complete(llhttp_t *p)
{
	struct reading *r = p->data;

	buf_puts(&r->method, llhttp_method_name((llhttp_method_t)p->method));
	if (p->flags & F_CHUNKED)
		r->framing = FRAMING_CHUNKED;
	else if (p->flags & F_CONTENT_LENGTH)
		r->framing = FRAMING_LENGTH;
	return 0;
}

static int on_message_complete(llhttp_t *p)
{
	((struct reading *)p->data)->complete = true;
	return HPE_PAUSED;
}

void read_as_llhttp(struct reading *ret, const char *data, size_t n)
{
	llhttp_settings_t settings;
	llhttp_t p;

	llhttp_settings_init(&settings);
	settings.on_url = on_url;
	settings.on_body = on_body;
	settings.on_headers_complete = on_headers_complete;
	settings.on_message_complete = on_message_complete;
	llhttp_init(&p, HTTP_REQUEST, &settings);
	p.data = ret;
	llhttp_errno_t code = llhttp_execute(&p, data, n);

	if (ret->complete) {
		ret->used = (size_t)(llhttp_get_error_pos(&p) - data);
		return;
	}
	ret->refused = code != HPE_OK;
	if (ret->refused)
		snprintf(ret->why, sizeof(ret->why), "%s", llhttp_get_error_reason(&p));
}
