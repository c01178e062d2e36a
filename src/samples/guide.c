// SPDX-License-Identifier: Apache-2.0
// What is to be done after a run.
#include "samples/guide.h"

// As a key of a config map, which has no ':'.
static void put_key(struct buf *ret, struct str host)
{
	for (size_t i = 0; i < host.n; i++)
		if (host.p[i] == ':')
			buf_puts(ret, "..");
		else
			buf_putc(ret, host.p[i]);
}

void samples_guide_cluster(struct buf *ret, const char *registry, const char *dir)
{
	struct str path = str_of(registry), host = str_cut(&path, '/');
	auto_buf struct buf key = BUF_INIT(BUF_TEXT_MAX);

	put_key(&key, host);
	buf_printf(
		ret,
		"\nThe mirror is filled. What remains to be done on the cluster, in this order:\n"
		"\n"
		"1. The cluster's pull secret needs the credentials of %.*s:\n"
		"\n"
		"    oc set data secret/pull-secret -n openshift-config --from-file=.dockerconfigjson=PULL-SECRET.json\n"
		"\n"
		"2. Imports must trust its certificate, and image.config.openshift.io/cluster must allow it\n"
		"   (allowedRegistriesForImport, registrySources):\n"
		"\n"
		"    oc create configmap registry-config -n openshift-config --from-file=%s=CA.crt\n"
		"    oc patch image.config.openshift.io/cluster --type=merge -p '{\"spec\":{\"additionalTrustedCA\":{\"name\":\"registry-config\"}}}'\n"
		"\n"
		"3. Then the operator, which a disconnected installation leaves Removed, becomes Managed, together\n"
		"   with its skip list and registry:\n"
		"\n"
		"    oc patch configs.samples.operator.openshift.io/cluster --type=merge --patch-file=%s/patch.json\n"
		"\n"
		"   %s/config.yaml is the whole object, for a cluster that has none yet.\n",
		STR_FMT(host), key.p, dir, dir);
}

void samples_guide_media(struct buf *ret, const char *self, const char *dir, const char *folder)
{
	buf_printf(
		ret,
		"\nTo upload the images to a registry on the other side, which needs nothing but "
		"these media, run:\n"
		"\n"
		"    %s adm samples mirror --from-dir=%s file://%s REGISTRY[/PATH]\n",
		self, dir, folder);
}
