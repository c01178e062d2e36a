// SPDX-License-Identifier: Apache-2.0
// Images as `image info` shows them, as text and as JSON.
#include <string.h>

#include "data/gofmt.h"
#include "data/json_copy.h"
#include "data/tabwriter.h"
#include "release/image_info.h"

static const char *text_at(const struct json *object, const char *name)
{
	struct json at = json_member(object, name);

	return json_as_text(&at);
}

static void print_digests(struct buf *out, const struct image_info *im)
{
	buf_printf(out, "Name:\t%s\n", im->name);
	if (!im->by_digest)
		buf_printf(out, "Digest:\t%s\n", im->digest.text);
	if (im->in_list)
		buf_printf(out, "Manifest List:\t%s\n", im->list.text);
	buf_printf(out, "Media Type:\t%s\n", im->manifest.media_type);
}

static void print_layers(struct buf *out, const struct image_info *im)
{
	const struct manifest *m = &im->manifest;

	if (m->nlayers == 0) {
		buf_printf(out, "Layer Size:\t%s\n", gofmt_decimal((double)im->size).s);
		return;
	}
	if (im->size == 0)
		buf_printf(out, "Image Size:\t%zu layers (size unavailable)\n", m->nlayers);
	else
		buf_printf(out, "Image Size:\t%s in %zu layers\n",
			   gofmt_decimal((double)im->size).s, m->nlayers);
	for (size_t i = 0; i < m->nlayers; i++)
		buf_printf(out, "%s\t%s\t%s\n", i ? "" : "Layers:",
			   m->layers[i].size ? gofmt_decimal((double)m->layers[i].size).s : "--",
			   m->layers[i].digest.text);
}

static void print_text(struct buf *out, const char *title, const struct json *object,
		       const char *name)
{
	const char *text = text_at(object, name);

	if (*text)
		buf_printf(out, "%s:\t%s\n", title, text);
}

// A list in one line, with blanks between.
static bool print_words(struct buf *out, const char *title, const struct json *object,
			const char *name)
{
	struct json at = json_member(object, name);
	size_t n = json_size(&at);

	if (n == 0)
		return false;
	buf_printf(out, "%s:\t", title);
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(&at, i);

		buf_printf(out, "%s%s", i ? " " : "", json_as_text(&item));
	}
	buf_putc(out, '\n');
	return true;
}

static void print_ports(struct buf *out, const struct json *config)
{
	struct json at = json_member(config, "ExposedPorts");
	size_t n;
	auto_free const char **names = json_sorted_names(&at, &n);

	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s%s", i ? ", " : "Exposes Ports:\t", names[i]);
	if (n > 0)
		buf_putc(out, '\n');
}

static void print_environment(struct buf *out, const struct json *config)
{
	struct json at = json_member(config, "Env");
	size_t n = json_size(&at);

	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(&at, i);

		buf_printf(out, "%s\t%s\n", i ? "" : "Environment:", json_as_text(&item));
	}
}

// The names of a map in byte order, a line each, with their values if they have text.
static void print_map(struct buf *out, const char *title, const struct json *object,
		      const char *name, bool values)
{
	struct json at = json_member(object, name);
	size_t n;
	auto_free const char **names = json_sorted_names(&at, &n);

	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s\t%s%s%s\n", i ? "" : title, names[i], values ? "=" : "",
			   values ? text_at(&at, names[i]) : "");
}

static void print_config(struct buf *out, const struct json *config)
{
	if (json_kind(config) != JSON_KIND_OBJECT)
		return;
	bool entrypoint = print_words(out, "Entrypoint", config, "Entrypoint");

	if (!print_words(out, "Command", config, "Cmd") && !entrypoint)
		buf_puts(out, "Command:\t<none>\n");
	print_text(out, "Working Dir", config, "WorkingDir");
	print_text(out, "User", config, "User");
	print_ports(out, config);
	print_environment(out, config);
	print_map(out, "Labels:", config, "Labels", true);
	print_map(out, "Volumes:", config, "Volumes", false);
}

void image_info_print(struct buf *out, const struct image_info *im, int64_t now)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	struct json root = json_root(&im->config), config = json_member(&root, "config");
	int64_t created;

	print_digests(&text, im);
	if (image_info_created(im, &created))
		buf_printf(&text, "Created:\t%s ago\n", gofmt_age(now - created).s);
	else
		buf_puts(&text, "Created:\t<unknown>\n");
	print_layers(&text, im);
	buf_printf(&text, "OS:\t%s\n", text_at(&root, "os"));
	buf_printf(&text, "Arch:\t%s\n", text_at(&root, "architecture"));
	print_text(&text, "Author", &root, "author");
	print_config(&text, &config);
	tab_align(out, buf_str(&text), 1);
	buf_putc(out, '\n');
}

static const struct json_field container_fields[] = {
	JSON_TEXT("Hostname"),
	JSON_TEXT("Domainname"),
	JSON_TEXT("User"),
	JSON_WHOLE("Memory"),
	JSON_WHOLE("MemorySwap"),
	JSON_WHOLE("CpuShares"),
	JSON_TEXT("Cpuset"),
	JSON_BOOL("AttachStdin"),
	JSON_BOOL("AttachStdout"),
	JSON_BOOL("AttachStderr"),
	JSON_TEXTS("PortSpecs"),
	{JSON_FIELD_SET, "ExposedPorts", JSON_OMIT, NULL},
	JSON_BOOL("Tty"),
	JSON_BOOL("OpenStdin"),
	JSON_BOOL("StdinOnce"),
	JSON_TEXTS("Env"),
	JSON_TEXTS("Cmd"),
	JSON_TEXTS("Dns"),
	JSON_TEXT("Image"),
	{JSON_FIELD_SET, "Volumes", JSON_OMIT, NULL},
	JSON_TEXT("VolumesFrom"),
	JSON_TEXT("WorkingDir"),
	JSON_TEXTS("Entrypoint"),
	JSON_BOOL("NetworkDisabled"),
	JSON_TEXTS("SecurityOpts"),
	JSON_TEXTS("OnBuild"),
	{JSON_FIELD_TEXT_MAP, "Labels", JSON_OMIT, NULL},
	{0},
};
static const struct json_field rootfs_fields[] = {
	{JSON_FIELD_TEXT, "type", 0, NULL}, JSON_TEXTS("diff_ids"), {0}};
static const struct json_field history_fields[] = {
	{JSON_FIELD_TIME, "created", 0, NULL},
	JSON_TEXT("author"),
	JSON_TEXT("created_by"),
	JSON_TEXT("comment"),
	JSON_BOOL("empty_layer"),
	{0},
};
// Of a configuration, before and behind the size, which is not its own.
static const struct json_field before_size[] = {
	{JSON_FIELD_TEXT, "id", 0, NULL},
	JSON_TEXT("parent"),
	JSON_TEXT("comment"),
	{JSON_FIELD_TIME, "created", 0, NULL},
	JSON_TEXT("container"),
	{JSON_FIELD_OBJECT, "container_config", 0, container_fields},
	JSON_TEXT("docker_version"),
	JSON_TEXT("author"),
	{JSON_FIELD_OBJECT, "config", JSON_OMIT, container_fields},
	JSON_TEXT("architecture"),
	{0},
};
static const struct json_field behind_size[] = {
	{JSON_FIELD_OBJECT, "rootfs", JSON_OMIT, rootfs_fields},
	{JSON_FIELD_OBJECTS, "history", JSON_OMIT, history_fields},
	JSON_TEXT("os"),
	JSON_TEXT("os.version"),
	JSON_TEXTS("os.features"),
	{0},
};

int image_config_json(struct json_out *j, const struct json *config, uint64_t size, struct err *e)
{
	json_out_begin(j, '{');
	if (json_copy_members(j, config, before_size, e) < 0)
		return err_wrap(e, "image configuration");
	if (size > 0) {
		json_out_key(j, "size");
		json_out_u64(j, size);
	}
	if (json_copy_members(j, config, behind_size, e) < 0)
		return err_wrap(e, "image configuration");
	json_out_end(j, '}');
	return 0;
}

static void put_text(struct json_out *j, const char *key, const char *text)
{
	json_out_key(j, key);
	json_out_text(j, text);
}

static void put_layer(struct json_out *j, const struct descriptor *d)
{
	json_out_begin(j, '{');
	if (*d->media_type)
		put_text(j, "mediaType", d->media_type);
	put_text(j, "digest", d->digest.text);
	if (d->size > 0) {
		json_out_key(j, "size");
		json_out_u64(j, d->size);
	}
	if (d->urls) {
		json_out_key(j, "urls");
		json_out_begin(j, '[');
		for (const char *const *url = d->urls; *url; url++)
			json_out_text(j, *url);
		json_out_end(j, ']');
	}
	json_out_end(j, '}');
}

int image_info_json(struct json_out *j, const struct image_info *im, struct err *e)
{
	struct json config = json_root(&im->config);

	json_out_begin(j, '{');
	put_text(j, "name", im->name);
	put_text(j, "digest", im->digest.text);
	put_text(j, "contentDigest", im->digest.text);
	put_text(j, "listDigest", im->in_list ? im->list.text : "");
	put_text(j, "mediaType", im->manifest.media_type);
	json_out_key(j, "layers");
	json_out_begin(j, '[');
	for (size_t i = 0; i < im->manifest.nlayers; i++)
		put_layer(j, &im->manifest.layers[i]);
	json_out_end(j, ']');
	json_out_key(j, "config");
	if (image_config_json(j, &config, im->size, e) < 0)
		return -1;
	json_out_end(j, '}');
	return 0;
}
