// SPDX-License-Identifier: Apache-2.0
// The tools of a release (clients, installers): which there are, for which platform, and getting
// them out of the images that hold them.
//
// Spec 6.4. A tool is written beside its name, patched (release/installer.h), and gets the name
// when the layers it came from are verified to their ends. Of an image only the layers down to the
// last file that is wanted are read.
#ifndef RELEASE_TOOLS_H
#define RELEASE_TOOLS_H

#include "layer/layer.h"
#include "release/image.h"
#include "release/installer.h"
#include "release/payload.h"
#include "util/say.h"

struct tool {
	const char *command;
	const char *os, *architecture; // ARCHITECTURE NULL: the payload's own
	const char *component, *path;
	const char *archive; // "openshift-client-linux-%s.tar.gz"
	unsigned markers;
	bool optional; // only by its name, not among all tools
	bool recent;   // older releases do not have it: left out when it is not there
	bool macho;    // its signature is made anew
};

enum { TOOLS_MAX = 32 };

// In the order in which they are extracted; a plain value, the tools are constants.
struct tool_list {
	const struct tool *v[TOOLS_MAX];
	size_t n;
};

// What COMMAND (NULL: all tools) and PLATFORM ("": this one, "mac", "linux/arm64", "*") mean for a
// payload of ARCHITECTURE. IMAGE is for errors.
int tool_list_select(struct tool_list *ret, const char *command, const char *platform,
		     const char *architecture, const char *image, struct err *e) must_check;
unsigned tool_list_markers(const struct tool_list *l); // of all of them together

struct tools_request {
	const struct release_sources *sources;
	const struct payload *payload;
	const struct platform_filter *filter; // of lists
	struct installer_values values;
	const char *to;       // folder; made when missing
	bool archives;        // with sha256sum.txt and release.txt
	struct str facts;     // of release.txt, behind what it says of itself
	bool allow_unpatched; // missing markers are a warning
	struct layer_limits limits;
	struct say say;
	// A detached, armored signature over TEXT; NULL: sha256sum.txt is not signed.
	int (*sign)(void *arg, struct str text, struct buf *ret, struct err *e);
	void *sign_arg;
};

int tools_extract(const struct tools_request *req, const struct tool_list *tools, struct err *e)
	must_check;

#endif
