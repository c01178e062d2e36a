// SPDX-License-Identifier: Apache-2.0
// The config map `imagestreamtag-to-image` of the Cluster Samples Operator: which image populates
// which tag of which sample image stream.
//
// Spec 5.1. Taken are YAML and JSON: the ConfigMap, a List with one, or its data alone. A key is
// STREAM_TAG, cut at the first '_', which stream names cannot hold.
#ifndef SAMPLES_CONFIG_MAP_H
#define SAMPLES_CONFIG_MAP_H

#include "util/mem.h"
#include "util/str.h"

#define CONFIG_MAP_NAME      "imagestreamtag-to-image"
#define CONFIG_MAP_NAMESPACE "openshift-cluster-samples-operator"

// Ceilings. A cluster keeps objects of up to 1.5 MiB; the map of a release has 250 tags.
#define CONFIG_MAP_FILE_MAX  ((size_t)4 << 20)
#define CONFIG_MAP_TAGS_MAX  ((size_t)20000)
#define CONFIG_MAP_IMAGE_MAX ((size_t)640) // bytes of a pull spec; a valid one has 520

struct config_map_tag {
	const char *stream, *tag;
	const char *image; // the pull spec as it is written, blanks around it removed
};

// Everything it points at is in its arena.
struct config_map {
	struct config_map_tag *v; // by stream, then tag, bytewise; each once
	size_t n;
	const char *version; // of the operator; "" when the map does not tell
	// Streams that were left out when media were filled, sorted; none in the maps of a cluster.
	struct strlist excluded;
	struct arena arena;
};
#define auto_config_map __attribute__((cleanup(config_map_release)))
void config_map_release(struct config_map *m);

// NAME stands in errors: "NAME: data.ruby: …". ERR_INPUT.
int config_map_read(struct config_map *ret, struct str bytes, const char *name, struct err *e)
	must_check;
// "-" reads STDIN_FD. ERR_NOT_FOUND.
int config_map_read_file(struct config_map *ret, const char *path, int stdin_fd, struct err *e)
	must_check;
// The same from media, which come from strangers: what is no regular file is ERR_INPUT, never
// waited for.
int config_map_read_media(struct config_map *ret, const char *path, struct err *e) must_check;
// Has M a tag of STREAM? Was STREAM left out when media were filled?
bool config_map_has(const struct config_map *m, const char *stream);
bool config_map_excludes(const struct config_map *m, const char *stream);
// TEXT of a map in an error: quoted, and not all of it when it is long. Caller frees.
char *config_map_show(const char *text);
// As YAML that config_map_read takes: what media carry.
void config_map_print(struct buf *ret, const struct config_map *m);

#endif
