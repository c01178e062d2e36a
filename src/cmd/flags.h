// SPDX-License-Identifier: Apache-2.0
// The flag parser: tables in, members of options structs out. It behaves as pflag does, in what it
// accepts and in how it words what it refuses.
#ifndef CMD_FLAGS_H
#define CMD_FLAGS_H

#include "cmd/cmd.h"

enum { FLAG_SETS_MAX = 12 };

// Tables with the struct that their offsets are relative to. A set that comes first hides flags of
// the same name or letter in later ones.
struct flag_set {
	const struct flag *flags;
	void *base;
};

struct flag_sets {
	struct flag_set v[FLAG_SETS_MAX];
	size_t n;
};

void flag_sets_add(struct flag_sets *s, const struct flag *flags, void *base);
// Every group of CMD, for OPTIONS.
void flag_sets_add_cmd(struct flag_sets *s, const struct cmd *cmd, void *options);

// Takes the flags out of ARGV: the arguments that are left stand in front, in order, and *ret_argc
// counts them. Strings are borrowed from ARGV. `--help` or `-h` sets *ret_help and stops.
// ERR_USAGE in pflag's words: "unknown flag: --x", "flag needs an argument: 'a' in -a", …
int flags_parse(const struct flag_sets *s, int argc, char **argv, int *ret_argc, bool *ret_help,
		struct err *e) must_check;
// Frees what list flags own.
void flags_release(const struct flag_sets *s);

// By name or by letter; NULL when there is none. *ret_base is the struct it belongs to.
const struct flag *flag_find(const struct flag_sets *s, struct str name, void **ret_base);
const struct flag *flag_find_letter(const struct flag_sets *s, char letter, void **ret_base);
// The word of LINE's first argument that is not a flag nor the value of one, and its place in ARGV;
// -1 when there is none. For walking down to a subcommand.
int flags_first_argument(const struct flag_sets *s, int argc, char **argv);

// Splits one record of comma-separated values (RFC 4180 with Go's messages) and appends its fields.
int csv_split(struct strlist *ret, const char *text, struct err *e) must_check;
// Go's strconv.ParseBool and ParseInt(base 0, clamped to int). False: *ret_why is the reason.
bool parse_bool(const char *text, bool *ret);
bool parse_int(const char *text, int *ret, const char **ret_why);

// How far two words are apart (insertions, deletions, changes, neighbours swapped); at most 64
// letters of each count. For "did you mean".
unsigned edit_distance(const char *a, const char *b);

#endif
