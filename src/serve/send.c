// SPDX-License-Identifier: Apache-2.0
// Sending answers: heads and small files in one write, large ones by sendfile, TLS in records that
// are filled as they are written.
//
// Nothing here waits for a disk: what is not in memory is read in by a worker (cold.c) first. Bytes
// that cannot be had end the connection; they are never replaced by others.
#include "serve/connection.h"

#include "util/mem.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/sendfile.h>

enum {
	INLINE_BODY = 16 * 1024, // copied behind the head
	ONE_WRITE = 32 * 1024,   // answers up to this are gathered, file and all
	SENDFILE_STEP = 2 * 1024 * 1024,
	PLAIN_STEPS = 1,
	TLS_READ = 64 * 1024,
	TLS_STEPS = 16,
	PAGE = 4096,
};

// ---- The head.

static const char *reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{206, "Partial Content"},
		{304, "Not Modified"},
		{307, "Temporary Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{411, "Length Required"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{416, "Range Not Satisfiable"},
		{417, "Expectation Failed"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
		{505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Status";
}

static uint64_t length_of(const struct reply *r)
{
	uint64_t n = r->body.n;

	if (r->npieces == 0)
		return n;
	n = 0;
	for (unsigned i = 0; i < r->npieces; i++)
		n += r->pieces[i].length;
	return n;
}

// What of the request's body the client will still send is too much to be read for nothing, or
// may never come.
static bool leaves_body(const struct conn *c)
{
	if (c->flow->x.request.chunked)
		return !c->chunked.done;
	return c->body_left > 0 && (!c->told || c->body_left > DRAIN_MAX);
}

static void add_length(struct buf *head, const struct exchange *x, uint64_t length)
{
	bool is_head = x->request.method == METHOD_HEAD;
	int status = x->reply.status;

	if (is_head && length == 0)
		length = x->reply.length;
	// RFC 9110, 8.6: none with 204; with 304 only the length of what was not sent.
	if (status == 204 || (status == 304 && length == 0))
		return;
	buf_printf(head, "Content-Length: %llu\r\n", (unsigned long long)length);
}

void send_start(struct conn *c)
{
	struct flow *f = c->flow;
	struct exchange *x = &f->x;
	struct reply *r = &x->reply;
	struct cursor *out = &f->out;
	uint64_t length = length_of(r);
	bool bodiless = x->request.method == METHOD_HEAD || r->status == 204 || r->status == 304;

	c->close_after =
		r->close || !x->request.keep_alive || leaves_body(c) || c->thread->server->stopping;
	buf_printf(&out->head, "HTTP/1.1 %d %s\r\n", r->status, reason(r->status));
	add_length(&out->head, x, length);
	buf_puts(&out->head, "Docker-Distribution-API-Version: registry/2.0\r\n"
			     "X-Content-Type-Options: nosniff\r\n");
	if (c->close_after)
		buf_puts(&out->head, "Connection: close\r\n");
	else if (x->request.http10)
		buf_puts(&out->head, "Connection: keep-alive\r\n");
	buf_put(&out->head, r->headers.p, r->headers.n);
	buf_puts(&out->head, "\r\n");
	out->head_n = out->head.n;
	out->left = out->head.n + (bodiless ? 0 : length);
	if (!bodiless && r->npieces == 0 && r->body.n > 0) {
		size_t n = r->body.n;

		if (n <= INLINE_BODY)
			buf_put(&out->head, r->body.p, n);
		else
			reply_add_text(r, buf_take(&r->body), n);
	}
	c->state = CONN_SEND;
	c->since = c->thread->now;
}

void send_refusal(struct reply *r, int status, const char *code, const char *text)
{
	reply_clear(r);
	r->status = status;
	r->close = true;
	reply_header(r, "Content-Type", "application/json");
	buf_printf(&r->body, "{\"errors\":[{\"code\":\"%s\",\"message\":\"", code);
	// The text may quote what the client sent.
	for (const char *p = text; *p; p++)
		buf_putc(&r->body, *p < ' ' || *p > '~' || *p == '"' || *p == '\\' ? '?' : *p);
	buf_puts(&r->body, "\"}]}");
}

// ---- Where we are.

struct part {
	const char *text; // NULL: of the file
	uint64_t offset, n;
};

static struct part part_at(const struct flow *f, unsigned piece, uint64_t at)
{
	if (piece == 0)
		return (struct part){f->out.head.p + at, 0, f->out.head.n - at};
	const struct reply_piece *p = &f->x.reply.pieces[piece - 1];

	return (struct part){p->text ? p->text + at : NULL, p->offset + at, p->length - at};
}

static void advance(struct conn *c, uint64_t n)
{
	struct flow *f = c->flow;
	struct cursor *out = &f->out;

	out->left -= n;
	out->sent += n;
	f->x.body_sent = out->sent > out->head_n ? out->sent - out->head_n : 0;
	c->since = c->thread->now;
	for (;;) {
		uint64_t here = part_at(f, out->piece, out->at).n;

		if (n < here) {
			out->at += n;
			return;
		}
		n -= here;
		out->at = 0;
		// Behind the last piece there is nothing to stand on.
		if (out->left == 0)
			return;
		out->piece++;
	}
}

// ---- When the file is not in memory, or not readable.

static bool is_warm(const struct cursor *out, uint64_t offset)
{
	return offset >= out->warm_from && offset < out->warm_until;
}

static enum step read_in(struct conn *c, struct part p)
{
	struct flow *f = c->flow;

	f->read_from = p.offset;
	f->read_until = p.offset + p.n;
	c->state = CONN_WORK;
	cold_post(c->thread->server->cold, f);
	return STEP_WAIT;
}

static enum step unreadable(struct conn *c, uint64_t offset, int os)
{
	struct flow *f = c->flow;

	f->read_from = offset;
	f->read_error = os ? os : EIO;
	c->state = CONN_WORK;
	flow_post(f, JOB_UNREADABLE);
	return STEP_WAIT;
}

// Looks how much from OFFSET on is in memory, beyond what is known.
static bool find_warm(struct flow *f, uint64_t offset)
{
	struct cursor *out = &f->out;

	if (!is_warm(out, offset))
		out->warm_from = out->warm_until = offset;
	if (out->warm_until < f->x.reply.file.size)
		out->warm_until += cold_probe(&f->x.reply.file, out->warm_until);
	return is_warm(out, offset);
}

static ssize_t checked(ssize_t r)
{
	if (r == 0)
		errno = EIO; // the file has become shorter
	return r > 0 ? r : -1;
}

// Bytes of a part of the file, from memory. 0: the rest must be read in. -1 with errno.
static ssize_t read_part(struct flow *f, void *buf, struct part p, bool may_wait)
{
	struct cursor *out = &f->out;
	const struct store_file *file = &f->x.reply.file;

	if (!may_wait && !is_warm(out, p.offset)) {
		ssize_t r = cold_read(file, buf, (size_t)p.n, p.offset);
		if (r < 0 && errno == EAGAIN)
			return 0;
		if (r >= 0 || errno != EOPNOTSUPP)
			return checked(r);
		if (!find_warm(f, p.offset))
			return 0;
	}
	if (!may_wait && out->warm_until - p.offset < p.n)
		p.n = out->warm_until - p.offset;
	return checked(store_file_pread(file, buf, (size_t)p.n, p.offset));
}

// N bytes from OFFSET on, or a little less, so that the next ones begin with a page: copying those
// is a good deal cheaper.
static uint64_t whole_pages(uint64_t offset, uint64_t n)
{
	uint64_t end = (offset + n) / PAGE * PAGE;

	return end > offset ? end - offset : n;
}

// Copies up to N of the bytes that are next into BUF. EXACTLY: these very bytes were offered
// before, so they are in memory or nearly so. Returns how many; 0 and *ret_step when a worker has
// to be asked first.
static size_t gather(struct conn *c, unsigned char *buf, size_t n, bool exactly,
		     enum step *ret_step)
{
	struct flow *f = c->flow;
	struct cursor at = f->out;
	size_t got = 0;

	if (n > at.left)
		n = (size_t)at.left;
	while (got < n) {
		struct part p = part_at(f, at.piece, at.at);
		ssize_t r;

		if (p.n == 0) {
			at.piece++;
			at.at = 0;
			continue;
		}
		bool cut = p.n > n - got;

		if (cut)
			p.n = exactly ? n - got : whole_pages(p.offset, n - got);
		if (p.text) {
			memcpy(buf + got, p.text, (size_t)p.n);
			r = (ssize_t)p.n;
		} else {
			r = read_part(f, buf + got, p, exactly);
		}
		if (r < 0 && (exactly || got == 0)) {
			*ret_step = unreadable(c, p.offset, errno);
			return 0;
		}
		if (r <= 0)
			break;
		got += (size_t)r;
		at.at += (uint64_t)r;
		if (cut && !exactly)
			break;
	}
	if (got == 0)
		*ret_step = read_in(c, part_at(f, at.piece, at.at));
	return got;
}

// ---- One step each: AGAIN is progress.

static enum step send_gathered(struct conn *c, size_t max)
{
	struct cursor *out = &c->flow->out;
	enum step step;
	size_t n = gather(c, c->thread->scratch, max, false, &step);

	if (n == 0)
		return step;
	ssize_t r = conn_send(c, c->thread->scratch, n, n < out->left);

	if (r < 0)
		return r == IO_BLOCKED ? STEP_WAIT : STEP_GONE;
	advance(c, (uint64_t)r);
	return STEP_AGAIN;
}

// Several records from one read. OpenSSL wants to be offered the record that it could not write
// once more.
static enum step send_records(struct conn *c)
{
	struct cursor *out = &c->flow->out;
	const unsigned char *at = c->thread->scratch;
	enum step step;
	size_t n = gather(c, c->thread->scratch, out->blocked ? out->blocked : TLS_READ,
			  out->blocked > 0, &step);

	if (n == 0)
		return step;
	while (n > 0) {
		size_t record = n < TLS_RECORD ? n : TLS_RECORD;
		ssize_t r = conn_send(c, at, record, false);

		if (r == IO_BLOCKED)
			out->blocked = record;
		if (r < 0)
			return r == IO_BLOCKED ? STEP_WAIT : STEP_GONE;
		out->blocked = 0;
		advance(c, (uint64_t)r);
		at += r;
		n -= (size_t)r;
	}
	return STEP_AGAIN;
}

static enum step send_text(struct conn *c, struct part p)
{
	ssize_t r = conn_send(c, p.text, (size_t)p.n, p.n < c->flow->out.left);

	if (r < 0)
		return r == IO_BLOCKED ? STEP_WAIT : STEP_GONE;
	advance(c, (uint64_t)r);
	return STEP_AGAIN;
}

// Errors of sendfile that speak of the socket.
static bool is_peers(int os)
{
	return os == EPIPE || os == ECONNRESET || os == ETIMEDOUT || os == ENOTCONN ||
	       os == ECONNABORTED || os == EHOSTUNREACH || os == ENETUNREACH || os == ENETDOWN ||
	       os == ENOBUFS || os == ENOMEM;
}

// A file was sent in part. Mostly the socket is full, and asking it to take more at once would give
// it the little that has become free, over and over. poll asks for a third of the buffer, and where
// there is less an event will tell.
static bool is_full(struct conn *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLOUT};

	if (poll(&p, 1, 0) != 0)
		return false;
	c->writable = false;
	return true;
}

// While a file is sent only whole segments leave: what a full socket cuts in two would make a short
// one each time.
static void cork(struct conn *c, bool on)
{
	int value = on;

	if (c->corked == on)
		return;
	c->corked = on;
	setsockopt(c->fd, IPPROTO_TCP, TCP_CORK, &value, sizeof(value));
}

static enum step send_file(struct conn *c, struct part p)
{
	struct flow *f = c->flow;
	const struct store_file *file = &f->x.reply.file;
	uint64_t in_file, room;

	if (!c->writable)
		return STEP_WAIT;
	int fd = file_at(file, p.offset, &in_file, &room);

	if (fd < 0)
		return unreadable(c, p.offset, EIO);
	uint64_t n = p.n < room ? p.n : room;

	n = n < SENDFILE_STEP ? n : SENDFILE_STEP;
	// Less than the socket takes would cost one more call each time.
	if (!is_warm(&f->out, p.offset + n - 1) && !find_warm(f, p.offset))
		return read_in(c, p);
	if (n > f->out.warm_until - p.offset)
		n = f->out.warm_until - p.offset;
	off_t at = (off_t)in_file;
	cork(c, true);
	ssize_t r = sendfile(c->fd, fd, &at, (size_t)n);

	if (r > 0) {
		advance(c, (uint64_t)r);
		return (uint64_t)r < n && is_full(c) ? STEP_WAIT : STEP_AGAIN;
	}
	if (r < 0 && errno == EINTR)
		return STEP_AGAIN;
	if (r < 0 && errno == EAGAIN) {
		c->writable = false;
		return STEP_WAIT;
	}
	if (r < 0 && is_peers(errno))
		return STEP_GONE;
	if (r < 0 && (errno == EINVAL || errno == ENOSYS))
		return send_gathered(c, SCRATCH_SIZE); // a filesystem without splice
	return unreadable(c, p.offset, r < 0 ? errno : EIO);
}

static enum step send_some(struct conn *c)
{
	struct flow *f = c->flow;
	struct cursor *out = &f->out;

	if (c->ssl)
		return send_records(c);
	struct part p = part_at(f, out->piece, out->at);

	if (p.n == 0) { // an empty piece
		out->piece++;
		out->at = 0;
		return STEP_AGAIN;
	}
	if (out->left <= ONE_WRITE && p.n < out->left)
		return send_gathered(c, ONE_WRITE);
	return p.text ? send_text(c, p) : send_file(c, p);
}

static enum step sent_all(struct conn *c)
{
	cork(c, false);
	return conn_answered(c);
}

enum step send_step(struct conn *c)
{
	struct cursor *out = &c->flow->out;

	for (int i = c->ssl ? TLS_STEPS : PLAIN_STEPS; i > 0; i--) {
		if (out->left == 0)
			return sent_all(c);
		enum step step = send_some(c);

		if (step != STEP_AGAIN)
			return step;
	}
	return out->left == 0 ? sent_all(c) : STEP_YIELD;
}
