// SPDX-License-Identifier: Apache-2.0
// Error bodies and statuses in the reference's words.
#include "registry/errors.h"

#include "data/gofmt.h"
#include "data/json.h"
#include "util/cleanup.h"
#include "util/mem.h"

#include <string.h>

// The codes whose standard message the reference leaves out when a body has nothing but it.
static const struct {
	const char *code, *message;
} standard[] = {
	{"UNKNOWN", "unknown error"},
	{"UNSUPPORTED", "The operation is unsupported."},
	{"UNAUTHORIZED", "authentication required"},
	{"DENIED", "requested access to the resource is denied"},
	{"UNAVAILABLE", "service unavailable"},
	{"TOOMANYREQUESTS", "too many requests"},
	{"DIGEST_INVALID", "provided digest did not match uploaded content"},
	{"SIZE_INVALID", "provided length did not match content length"},
	{"RANGE_INVALID", "invalid content range"},
	{"NAME_INVALID", "invalid repository name"},
	{"TAG_INVALID", "manifest tag did not match URI"},
	{"NAME_UNKNOWN", "repository name not known to registry"},
	{"MANIFEST_UNKNOWN", "manifest unknown"},
	{"MANIFEST_INVALID", "manifest invalid"},
	{"MANIFEST_UNVERIFIED", "manifest failed signature verification"},
	{"MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"},
	{"BLOB_UNKNOWN", "blob unknown to registry"},
	{"BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"},
	{"BLOB_UPLOAD_INVALID", "blob upload invalid"},
	{"PAGINATION_NUMBER_INVALID", "invalid number of results requested"},
};

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{204, "No Content"},
	{206, "Partial Content"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{303, "See Other"},
	{304, "Not Modified"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{402, "Payment Required"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{410, "Gone"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Request Entity Too Large"},
	{414, "Request URI Too Long"},
	{415, "Unsupported Media Type"},
	{416, "Requested Range Not Satisfiable"},
	{422, "Unprocessable Entity"},
	{429, "Too Many Requests"},
	{451, "Unavailable For Legal Reasons"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{507, "Insufficient Storage"},
};

const char *http_reason(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

enum err_kind error_kind(int status)
{
	switch (status) {
	case 401:
	case 403:
		return ERR_DENIED;
	case 404:
	case 410:
		return ERR_NOT_FOUND;
	case 405:
	case 501:
		return ERR_UNSUPPORTED;
	case 408:
	case 429:
		return ERR_NET;
	default:
		return status >= 500 ? ERR_NET : ERR_INPUT;
	}
}

static const char *standard_message(const char *code)
{
	for (size_t i = 0; i < ARRAY_SIZE(standard); i++)
		if (strcmp(standard[i].code, code) == 0)
			return standard[i].message;
	return "";
}

// Control bytes would let a server write to the terminal.
static void put_plain(struct buf *out, const char *text)
{
	size_t n = strnlen(text, ERROR_MESSAGE_MAX);

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		buf_putc(out, c < ' ' || c == 0x7f ? ' ' : (char)c);
	}
	if (text[n] != '\0')
		buf_puts(out, "...");
}

// "MANIFEST_UNKNOWN" as "manifest unknown".
static void put_code(struct buf *out, const char *code)
{
	auto_free char *text = xstrndup(code, strnlen(code, 64));

	for (char *c = text; *c; c++) {
		if (*c == '_')
			*c = ' ';
		else if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	}
	put_plain(out, text);
}

// BODY in double quotes, cut to what a line can bear.
static void put_quoted(struct buf *out, struct str body)
{
	size_t n = body.n < ERROR_MESSAGE_MAX ? body.n : ERROR_MESSAGE_MAX;
	auto_free char *quoted = gofmt_quote((struct str){body.p, n});

	buf_puts(out, quoted);
	if (n < body.n)
		buf_puts(out, "...");
}

static bool is_json_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void put_invalid_character(struct buf *out, char c)
{
	if (c >= ' ' && c < 0x7f)
		buf_printf(out, "invalid character '%c'", c);
	else
		buf_printf(out, "invalid character '\\x%02x'", (unsigned char)c);
}

// Why BODY is no JSON, in the words of Go's decoder for the usual cases (plain text, HTML,
// nothing).
static void put_json_fault(struct buf *out, struct str body)
{
	static const char *const literals[] = {"true", "false", "null"};
	size_t at = 0;

	while (at < body.n && is_json_blank(body.p[at]))
		at++;
	if (at == body.n) {
		buf_puts(out, "unexpected end of JSON input");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(literals); i++) {
		const char *word = literals[i];

		for (size_t k = 1; body.p[at] == word[0] && word[k] && at + k < body.n; k++)
			if (body.p[at + k] != word[k]) {
				put_invalid_character(out, body.p[at + k]);
				buf_printf(out, " in literal %s (expecting '%c')", word, word[k]);
				return;
			}
	}
	if (memchr("{[\"-0123456789tfn", body.p[at], 17)) {
		buf_puts(out, "invalid JSON");
		return;
	}
	put_invalid_character(out, body.p[at]);
	buf_puts(out, " looking for beginning of value");
}

// One member of "errors": "<code>: <message>", without the message when it says nothing new.
static void put_error(struct buf *out, const char *code, const char *message, bool detail)
{
	const char *usual = standard_message(code);

	put_code(out, *code ? code : "UNKNOWN");
	if (!detail && (*message == '\0' || strcmp(message, usual) == 0))
		return;
	buf_puts(out, ": ");
	put_plain(out, *message ? message : usual);
}

// Prints the "errors" of BODY into OUT. False when there are none to print.
static bool put_errors(struct buf *out, const struct json *root, bool *ret_name_unknown)
{
	struct json errors = json_member(root, "errors");
	struct err ignored;
	size_t n;

	if (json_items(&errors, &n, &ignored) < 0 || n == 0)
		return false;
	if (n > 1)
		buf_puts(out, "errors:");
	for (size_t i = 0; i < n && i < ERROR_LIST_MAX; i++) {
		struct json one = json_item(&errors, i);
		struct json code = json_member(&one, "code");
		struct json message = json_member(&one, "message");
		struct json detail = json_member(&one, "detail");
		const char *code_text, *message_text;

		if (json_text_or(&code, "", &code_text, &ignored) < 0)
			code_text = "";
		if (json_text_or(&message, "", &message_text, &ignored) < 0)
			message_text = "";
		if (strcmp(code_text, "NAME_UNKNOWN") == 0)
			*ret_name_unknown = true;
		if (n > 1)
			buf_putc(out, '\n');
		put_error(out, code_text, message_text, json_present(&detail));
	}
	if (n > ERROR_LIST_MAX)
		buf_printf(out, "\nand %zu more", n - ERROR_LIST_MAX);
	return true;
}

// Bodies of the form {"details": "..."}, which some token servers send.
static bool put_details(struct buf *out, int status, const struct json *root)
{
	struct json details = json_member(root, "details");
	const char *text;
	struct err ignored;

	if (json_text_or(&details, "", &text, &ignored) < 0 || *text == '\0')
		return false;
	put_error(out,
		  status == 401   ? "UNAUTHORIZED"
		  : status == 429 ? "TOOMANYREQUESTS"
				  : "UNKNOWN",
		  text, true);
	return true;
}

static void put_body(struct buf *out, int status, struct str body, bool *ret_name_unknown)
{
	auto_json struct json_doc doc = {0};
	struct err ignored;

	if (json_parse(&doc, body, JSON_LIMITS(ERROR_BODY_MAX), 0, &ignored) < 0) {
		// A refusal without words still is one that has a standard wording.
		if (body.n == 0 && (status == 401 || status == 403)) {
			put_error(out, status == 401 ? "UNAUTHORIZED" : "DENIED", "", true);
			return;
		}
		buf_printf(out, "error parsing HTTP %d response body: ", status);
		put_json_fault(out, body);
		buf_puts(out, ": ");
		put_quoted(out, body);
		return;
	}
	struct json root = json_root(&doc);

	if (put_details(out, status, &root) || put_errors(out, &root, ret_name_unknown))
		return;
	buf_printf(out,
		   "error parsing HTTP %d response body: no error details found in HTTP "
		   "response body: ",
		   status);
	put_quoted(out, body);
}

int error_from_body(int status, struct str body, bool *ret_name_unknown, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	const char *reason = http_reason(status);
	bool name_unknown = false;

	if (status >= 400 && status < 500)
		put_body(&text, status, body, &name_unknown);
	else
		buf_printf(&text, "received unexpected HTTP status: %d%s%s", status,
			   *reason ? " " : "", reason);
	if (ret_name_unknown)
		*ret_name_unknown = name_unknown;
	err_set(e, error_kind(status), "%s", text.p);
	e->http = status;
	return -1;
}
