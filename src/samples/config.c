// SPDX-License-Identifier: Apache-2.0
// The operator's Config and the patch of it.
#include "samples/config.h"

#include "data/json_out.h"
#include "data/yaml_out.h"

#define MANAGED "Managed"

static void print_text(struct yaml_out *y, const char *key, const char *text)
{
	yaml_out_key(y, key);
	yaml_out_text(y, text);
}

void samples_config_print(struct buf *ret, const char *registry, const struct strlist *skipped)
{
	struct yaml_out y = {.out = ret};

	yaml_out_map(&y);
	print_text(&y, "apiVersion", "samples.operator.openshift.io/v1");
	print_text(&y, "kind", "Config");
	yaml_out_key(&y, "metadata");
	yaml_out_map(&y);
	print_text(&y, "name", "cluster");
	yaml_out_end(&y);
	yaml_out_key(&y, "spec");
	yaml_out_map(&y);
	print_text(&y, "managementState", MANAGED);
	print_text(&y, "samplesRegistry", registry);
	yaml_out_key(&y, "skippedImagestreams");
	yaml_out_list(&y);
	for (size_t i = 0; i < skipped->n; i++)
		yaml_out_text(&y, skipped->v[i]);
	yaml_out_end(&y);
	yaml_out_end(&y);
	yaml_out_end(&y);
}

void samples_patch_print(struct buf *ret, const char *registry, const struct strlist *skipped)
{
	struct json_out j = {.out = ret};

	json_out_begin(&j, '{');
	json_out_key(&j, "spec");
	json_out_begin(&j, '{');
	json_out_key(&j, "managementState");
	json_out_text(&j, MANAGED);
	json_out_key(&j, "samplesRegistry");
	json_out_text(&j, registry);
	json_out_key(&j, "skippedImagestreams");
	json_out_begin(&j, '[');
	for (size_t i = 0; i < skipped->n; i++)
		json_out_text(&j, skipped->v[i]);
	json_out_end(&j, ']');
	json_out_end(&j, '}');
	json_out_end(&j, '}');
	buf_putc(ret, '\n');
}
