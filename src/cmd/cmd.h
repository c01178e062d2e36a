// SPDX-License-Identifier: Apache-2.0
// Commands and their flags.
//
// A command file declares one `const struct cmd`; cmd.c holds the tree. Usage text, "unknown flag"
// wording, suggestions and the test that every flag of the reference exists are all made from here.
// Flags behave as pflag: `--x=false`, `--x v`, `--x=v`, no abbreviations, interleaved with
// arguments, `--` ends them; list flags repeat and split at commas by CSV rules.
// A flag names a member of an options struct that is made per run: no process state.
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "util/cancel.h"
#include "util/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum flag_type { FLAG_END, FLAG_BOOL, FLAG_INT, FLAG_STRING, FLAG_LIST };

enum flag_bits {
	FLAG_HIDDEN = 1 << 0,  // not in --help
	FLAG_IGNORED = 1 << 1, // accepted because scripts pass it; the value is dropped
};

struct flag {
	enum flag_type type;
	char letter; // 0 if there is no short form
	const char *name;
	size_t offset; // of a bool, int, const char *, struct strlist in the options
	const char *value;
	const char *help; // VALUE: what --help calls the value, NULL for the type's word
	unsigned bits;
	size_t given; // offset of a bool that is set when the flag was written; 0: none
};

// Flags that come together, for members of a struct at BASE in the options. FLAG_END ends them.
struct flag_group {
	const struct flag *flags;
	size_t base;
};

// What a command may touch of the outside world; tests pass their own.
struct cmd_io {
	FILE *out, *err;
	int in;
	const char *(*env)(const char *name);
	const char *self; // the name the program was called by: "ferry" or "oc"
	int64_t now;      // unix time
	struct cancel *cancel;
	bool terminal; // err is a terminal that can move its cursor
};

struct cmd {
	const char *name;                // "mirror"
	const char *synopsis;            // "SRC DST [DST ...]"
	const char *summary;             // one line, no full stop
	const char *details;             // paragraphs for --help, or NULL
	const char *examples;            // lines: "# what it does" or the arguments; or NULL
	const struct cmd *const *subs;   // NULL-terminated, or NULL for a leaf
	const struct flag_group *groups; // ended by one whose flags are NULL; or NULL
	size_t options_size;             // of the options struct that flags point into
	void (*defaults)(void *options); // or NULL: all zero
	int (*run)(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e);
};

extern const struct cmd cmd_root;
extern const struct cmd cmd_adm_release_extract, cmd_image_extract;
extern const struct cmd cmd_image_mirror, cmd_adm_release_mirror, cmd_store_copy, cmd_version;
extern const struct cmd cmd_adm_release_info, cmd_image_info, cmd_image_serve, cmd_registry_serve;
extern const struct cmd cmd_adm_catalog_mirror, cmd_adm_samples_mirror, cmd_verify;

// The whole program behind main(): returns the exit status (0 complete, 1 failed, 3 incomplete, 130
// interrupted).
int cmd_main(const struct cmd_io *io, int argc, char **argv);

#endif
