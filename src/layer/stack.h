// SPDX-License-Identifier: Apache-2.0
// The layers of an image seen as one tree, read from the top down.
//
// Spec: OCI image-spec v1.1, layer.md "Whiteouts". Of everything that has the same path the topmost
// layer's counts; ".wh.NAME" removes NAME, ".wh..wh..opq" what lower layers have in a folder.
// Because reading begins at the top, whoever looks for a few files can stop as soon as they are
// found: lower layers are then never opened.
#ifndef LAYER_STACK_H
#define LAYER_STACK_H

#include "image/manifest.h"
#include "layer/layer.h"

// Where layers come from.
struct stack_source {
	struct stream *(*open)(void *arg, const struct descriptor *layer, struct err *e);
	void *arg;
};

struct stack_visitor {
	// Does PATH matter, or may something below it? What does not is passed over and not
	// remembered. NULL: everything matters.
	bool (*wants)(void *arg, const char *path);
	// A visible entry of layer number LAYER. Its content is read from L; nothing is verified
	// until stack_walk has returned 0. Of a path that comes twice in one layer the later
	// counts.
	int (*entry)(void *arg, size_t layer, struct layer *l, const struct layer_entry *entry,
		     struct err *e);
	bool (*enough)(void *arg); // no further layer is needed; may be NULL
	void *arg;
};

enum stack_flags {
	STACK_EVERYTHING = 1 << 0, // hidden entries, too, from the bottom up
};

// 0: every layer that was read has the digest that its descriptor says. LIMITS (may be NULL) are
// for all layers together, max_ratio for each; how many bytes a layer may have is its descriptor's
// to say.
int stack_walk(const struct descriptor *layers, size_t n, const struct stack_source *source,
	       const struct stack_visitor *visitor, const struct layer_limits *limits,
	       unsigned flags, struct err *e) must_check;

#endif
