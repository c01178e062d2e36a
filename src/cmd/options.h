// SPDX-License-Identifier: Apache-2.0
// Groups of flags that several commands share, each with the struct that it fills.
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include "cmd/cmd.h"
#include "mirror/mirror.h"
#include "store/store.h"

// How registries are reached.
struct security_options {
	const char *registry_config; // NULL: the search order
	const char *certificate_authority;
	bool insecure, skip_verification;
};
extern const struct flag security_flags[];

// Which platforms of a list are wanted (F).
struct filter_options {
	const char *filter_by_os; // NULL: not given; "": everything
};
extern const struct flag filter_flags[];

// Where else images may be read (L): files with mirror policies.
struct lookup_options {
	const char *icsp_file, *idms_file; // NULL: not given
};
extern const struct flag lookup_flags[];
// The file that was named, or NULL. ERR_USAGE when both were.
int lookup_file(const struct lookup_options *o, const char **ret, struct err *e) must_check;
// The same, and --icsp-file is deprecated here.
int lookup_check(const struct lookup_options *o, const struct cmd_io *io, struct err *e) must_check;

// Where file:// references are.
struct folder_options {
	const char *dir, *from_dir; // NULL: not given
};
extern const struct flag folder_flags[];

// How much at a time (P). max_per_registry counts only when given.
struct parallel_options {
	int max_per_registry;
	bool given;
};
extern const struct flag parallel_flags[];
// 0: adaptive; the flag's value otherwise, where the reference takes everything below 1 for 1.
int parallel_limit(const struct parallel_options *p);

// On which layout folders are written.
struct layout_options {
	const char *layout; // NULL: not given
};
extern const struct flag layout_flags[];
int layout_parse(const struct layout_options *o, enum store_layout *ret, struct err *e) must_check;

// Which signatures and the like are mirrored with the images.
struct attached_options {
	bool include_signatures, no_signatures;
};
extern const struct flag attached_flags[];
// ERR_USAGE when both were given.
int attached_choice(const struct attached_options *o, enum mirror_attached *ret, struct err *e)
	must_check;

// On every command: verbosity, and the Kubernetes connection flags, which are ignored.
struct global_options {
	int v, loglevel;
};
extern const struct flag global_flags[];

#endif
