// SPDX-License-Identifier: Apache-2.0
// The table of tools, and choosing from it.
#include <assert.h>
#include <string.h>

#include "release/tools.h"

#define CLIENT    MARKER_VERSION
#define INSTALLER (MARKER_IMAGE | MARKER_VERSION | MARKER_ARCHITECTURE)
#define SHARE     "usr/share/openshift/"

static const struct tool table[] = {
	{"oc", "linux", NULL, "cli", "usr/bin/oc", "openshift-client-linux-%s.tar.gz", CLIENT,
	 false, false, false},
	{"oc", "linux", "amd64", "cli-artifacts", SHARE "linux_amd64/oc",
	 "openshift-client-linux-amd64-%s.tar.gz", CLIENT, false, false, false},
	{"oc", "linux", "arm64", "cli-artifacts", SHARE "linux_arm64/oc",
	 "openshift-client-linux-arm64-%s.tar.gz", CLIENT, false, true, false},
	{"oc", "linux", "ppc64le", "cli-artifacts", SHARE "linux_ppc64le/oc",
	 "openshift-client-linux-ppc64le-%s.tar.gz", CLIENT, false, true, false},
	{"oc.rhel8", "linux", "amd64", "cli-artifacts", SHARE "linux_amd64/oc.rhel8",
	 "openshift-client-linux-amd64-rhel8-%s.tar.gz", CLIENT, false, true, false},
	{"oc.rhel8", "linux", "arm64", "cli-artifacts", SHARE "linux_arm64/oc.rhel8",
	 "openshift-client-linux-arm64-rhel8-%s.tar.gz", CLIENT, false, true, false},
	{"oc.rhel8", "linux", "ppc64le", "cli-artifacts", SHARE "linux_ppc64le/oc.rhel8",
	 "openshift-client-linux-ppc64le-rhel8-%s.tar.gz", CLIENT, false, true, false},
	{"oc.rhel8", "linux", "s390x", "cli-artifacts", SHARE "linux_s390x/oc.rhel8",
	 "openshift-client-linux-s390x-rhel8-%s.tar.gz", CLIENT, false, true, false},
	{"oc.rhel9", "linux", "amd64", "cli-artifacts", SHARE "linux_amd64/oc.rhel9",
	 "openshift-client-linux-amd64-rhel9-%s.tar.gz", CLIENT, false, true, false},
	{"oc.rhel9", "linux", "arm64", "cli-artifacts", SHARE "linux_arm64/oc.rhel9",
	 "openshift-client-linux-arm64-rhel9-%s.tar.gz", CLIENT, false, true, false},
	{"oc.rhel9", "linux", "ppc64le", "cli-artifacts", SHARE "linux_ppc64le/oc.rhel9",
	 "openshift-client-linux-ppc64le-rhel9-%s.tar.gz", CLIENT, false, true, false},
	{"oc.rhel9", "linux", "s390x", "cli-artifacts", SHARE "linux_s390x/oc.rhel9",
	 "openshift-client-linux-s390x-rhel9-%s.tar.gz", CLIENT, false, true, false},
	{"oc", "darwin", "amd64", "cli-artifacts", SHARE "mac/oc", "openshift-client-mac-%s.tar.gz",
	 CLIENT, false, false, false},
	{"oc", "darwin", "arm64", "cli-artifacts", SHARE "mac_arm64/oc",
	 "openshift-client-mac-arm64-%s.tar.gz", CLIENT, false, true, true},
	{"oc", "windows", "amd64", "cli-artifacts", SHARE "windows/oc.exe",
	 "openshift-client-windows-%s.zip", CLIENT, false, false, false},
	{"openshift-install", "linux", NULL, "installer", "usr/bin/openshift-install",
	 "openshift-install-linux-%s.tar.gz", INSTALLER, false, false, false},
	{"openshift-install", "linux", "amd64", "installer-artifacts",
	 SHARE "linux_amd64/openshift-install", "openshift-install-linux-amd64-%s.tar.gz",
	 INSTALLER, false, true, false},
	{"openshift-install", "linux", "arm64", "installer-artifacts",
	 SHARE "linux_arm64/openshift-install", "openshift-install-linux-arm64-%s.tar.gz",
	 INSTALLER, false, true, false},
	{"openshift-install", "darwin", "amd64", "installer-artifacts",
	 SHARE "mac/openshift-install", "openshift-install-mac-%s.tar.gz", INSTALLER, false, false,
	 false},
	{"openshift-install", "darwin", "arm64", "installer-artifacts",
	 SHARE "mac_arm64/openshift-install", "openshift-install-mac-arm64-%s.tar.gz", INSTALLER,
	 false, true, true},
	{"openshift-baremetal-install", "linux", NULL, "baremetal-installer",
	 "usr/bin/openshift-install", "openshift-baremetal-install-linux-%s.tar.gz", INSTALLER,
	 true, false, false},
	{"openshift-install-fips", "linux", NULL, "baremetal-installer",
	 "usr/bin/openshift-install", "openshift-install-rhel-%s.tar.gz", INSTALLER, true, false,
	 false},
	{"ccoctl", "linux", NULL, "cloud-credential-operator", "usr/bin/ccoctl",
	 "ccoctl-linux-%s.tar.gz", 0, false, true, false},
	{"ccoctl.rhel8", "linux", NULL, "cloud-credential-operator", "usr/bin/ccoctl.rhel8",
	 "ccoctl-linux-rhel8-%s.tar.gz", 0, false, true, false},
	{"ccoctl.rhel9", "linux", NULL, "cloud-credential-operator", "usr/bin/ccoctl.rhel9",
	 "ccoctl-linux-rhel9-%s.tar.gz", 0, false, true, false},
};

static_assert(ARRAY_SIZE(table) <= TOOLS_MAX, "room for all tools");

// "*" in both: everything.
struct wanted {
	char *os, *architecture;
};

static struct wanted parse_platform(const char *platform)
{
	struct str rest = str_of(*platform ? platform : platform_local());
	struct str os = str_cut(&rest, '/');
	bool all = str_eqz(os, "*") && !rest.p;

	return (struct wanted){
		.os = str_eqz(os, "mac") ? xstrdup("darwin") : xstrndup(os.p, os.n),
		.architecture = rest.p ? xstrndup(rest.p, rest.n) : xstrdup(all ? "*" : "amd64"),
	};
}

static bool has_command(const struct tool *t, const char *command)
{
	return command ? strcmp(t->command, command) == 0 : !t->optional;
}

static bool matches(const char *have, const char *want)
{
	return strcmp(want, "*") == 0 || strcmp(have, want) == 0;
}

// Is there the tool of the payload's own architecture, too?
static bool is_twin(const struct tool_list *l, const struct tool *t, const char *architecture)
{
	if (!t->architecture || strcmp(t->os, "linux") != 0 ||
	    strcmp(t->architecture, architecture) != 0)
		return false;
	for (size_t i = 0; i < l->n; i++)
		if (!l->v[i]->architecture && strcmp(l->v[i]->command, t->command) == 0)
			return true;
	return false;
}

static void collect(struct tool_list *l, const char *command, const struct wanted *want,
		    const char *architecture)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct tool *t = &table[i];

		// The tools of the payload's own architecture stand in front of their twins.
		if (has_command(t, command) && matches(t->os, want->os) &&
		    matches(t->architecture ? t->architecture : architecture, want->architecture) &&
		    !is_twin(l, t, architecture)) {
			l->v[l->n++] = t;
		}
	}
}

static bool is_known(const char *command, const char *os)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (has_command(&table[i], command) && matches(table[i].os, os))
			return true;
	return false;
}

static int none(const char *command, const struct wanted *want, const char *image, struct err *e)
{
	if (!command)
		return err_set(e, ERR_USAGE, "no tools are available for %s/%s on %s", want->os,
			       want->architecture, image);
	if (!is_known(command, want->os))
		return err_set(e, ERR_USAGE,
			       "command \"%s\" does not exist in targets or does not support the "
			       "operating system \"%s\"",
			       command, want->os);
	return err_set(e, ERR_USAGE, "the command '%s' is not available for %s/%s on %s", command,
		       want->os, want->architecture, image);
}

int tool_list_select(struct tool_list *ret, const char *command, const char *platform,
		     const char *architecture, const char *image, struct err *e)
{
	struct wanted want = parse_platform(platform);
	struct tool_list l = {0};
	int failed = 0;

	collect(&l, command, &want, architecture);
	if (l.n == 0)
		failed = none(command, &want, image, e);
	free(want.os);
	free(want.architecture);
	if (!failed)
		*ret = l;
	return failed;
}

unsigned tool_list_markers(const struct tool_list *l)
{
	unsigned all = 0;

	for (size_t i = 0; i < l->n; i++)
		all |= l->v[i]->markers;
	return all;
}
