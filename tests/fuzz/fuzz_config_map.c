// SPDX-License-Identifier: Apache-2.0
// Config maps of samples: any bytes are a map, whose tags are sorted, valid and unique, that reads
// the same once it was written, and whose images are mapped or refused by name; or they are refused
// in one line.
#include <assert.h>
#include <string.h>

#include "fuzz.h"
#include "samples/plan.h"
#include "util/cleanup.h"

static void check_tags(const struct config_map *m)
{
	assert(m->n > 0 && m->n <= CONFIG_MAP_TAGS_MAX);
	for (size_t i = 0; i < m->n; i++) {
		const struct config_map_tag *t = &m->v[i];

		assert(*t->stream && !strchr(t->stream, '_') && !strchr(t->stream, '/'));
		assert(tag_valid(t->tag) && *t->image);
		if (i == 0)
			continue;
		int c = strcmp(m->v[i - 1].stream, t->stream);

		assert(c < 0 || (c == 0 && strcmp(m->v[i - 1].tag, t->tag) < 0));
	}
}

static void check_writing(const struct config_map *m)
{
	auto_config_map struct config_map again = {0};
	auto_buf struct buf first = BUF_INIT(BUF_TEXT_MAX), second = BUF_INIT(BUF_TEXT_MAX);
	struct err e;

	config_map_print(&first, m);
	assert(config_map_read(&again, buf_str(&first), "g", &e) == 0);
	config_map_print(&second, &again);
	assert(str_eq(buf_str(&first), buf_str(&second)));
}

// Each tag has its image, and no two images one name.
static void check_plan(const struct samples_plan *p)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	auto_strlist struct strlist skipped = {0};

	for (size_t i = 0; i < p->map->n; i++)
		assert(p->image_of[i] == SAMPLES_NONE || p->image_of[i] < p->nimages);
	for (size_t i = 0; i < p->nimages; i++)
		assert(!p->images[i].dst.has_digest &&
		       (*p->images[i].dst.tag || p->images[i].src.has_digest));
	samples_plan_print(&text, p);
	samples_plan_skipped(&skipped, p, false);
	assert(skipped.n == p->nstreams);
}

static void plan(const struct config_map *m, const char *src, const char *dst)
{
	auto_samples_plan struct samples_plan p = {0};
	struct samples_place from = {0}, to = {0};
	struct samples_choice choice = {0};
	struct err e;

	assert(samples_place_parse(&to, dst, &e) == 0);
	assert(!src || samples_place_parse(&from, src, &e) == 0);
	if (samples_plan_init(&p, m, &choice, &e) == 0) {
		if (samples_plan_fill(&p, src ? &from : NULL, &to, &e) == 0)
			check_plan(&p);
		else
			assert(e.kind == ERR_INPUT && starts_with(e.text, "image stream tag "));
	}
	samples_place_release(&from);
	samples_place_release(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_config_map struct config_map m = {0};
	struct err e;

	if (config_map_read(&m, (struct str){(const char *)data, size}, "f", &e) < 0) {
		assert(e.kind == ERR_INPUT && starts_with(e.text, "f: ") && !strchr(e.text, '\n'));
		return 0;
	}
	check_tags(&m);
	check_writing(&m);
	plan(&m, NULL, "m:5000/s");
	plan(&m, NULL, "file://s");
	plan(&m, "file://s", "q.io");
	return 0;
}
