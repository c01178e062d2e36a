// SPDX-License-Identifier: Apache-2.0
// Choosing and writing the manifests of a payload.
#include "release/manifests.h"

#include <string.h>

#include "data/yaml_in.h"
#include "util/cleanup.h"
#include "util/mem.h"

#define MANIFEST_FILE_MAX  ((size_t)16 << 20)
#define INSTALL_CONFIG_MAX ((size_t)4 << 20)
#define PROFILE            "include.release.openshift.io/self-managed-high-availability"
#define FEATURE_SET        "release.openshift.io/feature-set"
#define CAPABILITY         "capability.openshift.io/name"

static const struct {
	const char *cloud, *kind;
} providers[] = {
	{"alibabacloud", "AlibabaCloudProviderSpec"},
	{"aws", "AWSProviderSpec"},
	{"azure", "AzureProviderSpec"},
	{"gcp", "GCPProviderSpec"},
	{"ibmcloud", "IBMCloudProviderSpec"},
	{"nutanix", "NutanixProviderSpec"},
	{"openstack", "OpenStackProviderSpec"},
	{"ovirt", "OvirtProviderSpec"},
	{"powervs", "IBMCloudPowerVSProviderSpec"},
	{"vsphere", "VSphereProviderSpec"},
};

// Each set has what the ones before it have.
static const struct {
	const char *set, *capabilities;
} baselines[] = {
	{"None", ""},
	{"v4.11", "baremetal+marketplace+openshift-samples+MachineAPI"},
	{"v4.12", "Console+Insights+Storage+CSISnapshot"},
	{"v4.13", "NodeTuning"},
	{"v4.14", "Build+DeploymentConfig+ImageRegistry"},
	{"v4.15", "OperatorLifecycleManager+CloudCredential"},
	{"v4.16", "CloudControllerManager+Ingress"},
	{"v4.17", ""},
	{"v4.18", "OperatorLifecycleManagerV1"},
};

bool manifest_is_file(const char *name)
{
	return !strchr(name, '/') &&
	       (ends_with(name, ".yaml") || ends_with(name, ".yml") || ends_with(name, ".json"));
}

static const char *kind_of(const char *cloud)
{
	for (size_t i = 0; i < ARRAY_SIZE(providers); i++)
		if (strcmp(providers[i].cloud, cloud) == 0)
			return providers[i].kind;
	return NULL;
}

int manifest_check_cloud(const char *cloud, struct err *e)
{
	auto_buf struct buf known = BUF_INIT(BUF_TEXT_MAX);

	if (kind_of(cloud))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(providers); i++)
		buf_printf(&known, "%s%s", i ? ", " : "", providers[i].cloud);
	return err_set(e, ERR_USAGE, "--cloud must be one of %s", known.p);
}

// ---- install-config.yaml

void manifest_inclusion_release(struct manifest_inclusion *in)
{
	strlist_release(&in->capabilities);
	free(in->feature_set);
	free(in->platform);
	*in = (struct manifest_inclusion){0};
}

static void add_each(struct strlist *l, const char *names)
{
	struct str rest = str_of(names);

	while (rest.p) {
		struct str name = str_cut(&rest, '+');

		if (name.n > 0)
			strlist_take(l, xstrndup(name.p, name.n));
	}
}

static int add_baseline(struct manifest_inclusion *in, const char *set, struct err *e)
{
	if (strcmp(set, "vCurrent") == 0) {
		in->all_capabilities = true;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(baselines); i++) {
		add_each(&in->capabilities, baselines[i].capabilities);
		if (strcmp(baselines[i].set, set) == 0)
			return 0;
	}
	return err_set(e, ERR_INPUT, "capabilities.baselineCapabilitySet: unknown set '%.64s'",
		       set);
}

static int read_capabilities(struct manifest_inclusion *in, const struct json *root, struct err *e)
{
	struct json at = json_member(root, "capabilities");
	struct json set_at = json_member(&at, "baselineCapabilitySet");
	struct json more = json_member(&at, "additionalEnabledCapabilities");
	const char *set, *name;
	size_t n;

	if (json_text_or(&set_at, "vCurrent", &set, e) < 0 || add_baseline(in, set, e) < 0 ||
	    json_items(&more, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(&more, i);

		if (json_text(&item, &name, e) < 0)
			return -1;
		strlist_add(&in->capabilities, name);
	}
	return 0;
}

static int read_install_config(void *arg, const struct json *root, struct err *e)
{
	struct manifest_inclusion *in = arg;
	struct json features = json_member(root, "featureSet"),
		    platform = json_member(root, "platform");
	const char *set;
	size_t n;

	if (in->feature_set)
		return err_set(e, ERR_INPUT, "more than one document");
	if (json_need_object(root, e) < 0 || json_text_or(&features, "", &set, e) < 0 ||
	    json_need_object(&platform, e) < 0)
		return -1;
	auto_free const char **names = json_sorted_names(&platform, &n);

	if (n != 1)
		return json_fail(&platform, e, "not exactly one platform");
	in->feature_set = xstrdup(*set ? set : "Default");
	in->platform = xstrdup(names[0]);
	return read_capabilities(in, root, e);
}

int manifest_inclusion_read(struct manifest_inclusion *ret, struct str install_config,
			    struct err *e)
{
	struct manifest_inclusion in = {0};
	int failed = yaml_parse(install_config, YAML_LIMITS(INSTALL_CONFIG_MAX), 0,
				read_install_config, &in, e);

	if (!failed && !in.feature_set)
		failed = err_set(e, ERR_INPUT, "no document");
	if (failed) {
		manifest_inclusion_release(&in);
		return -1;
	}
	*ret = in;
	return 0;
}

// ---- choosing

static bool has_feature_set(const char *list, const char *set)
{
	struct str rest = str_of(list);

	while (rest.p)
		if (str_eqz(str_trim(str_cut(&rest, ',')), set))
			return true;
	return false;
}

static bool has_capabilities(const struct manifest_inclusion *in, const char *list)
{
	struct str rest = str_of(list);

	while (rest.p && !in->all_capabilities) {
		struct str part = str_cut(&rest, '+');
		auto_free char *name = xstrndup(part.p, part.n);

		if (!strlist_has(&in->capabilities, name))
			return false;
	}
	return true;
}

static int is_included(const struct manifest_inclusion *in, const struct json *root, bool *ret,
		       struct err *e)
{
	struct json metadata = json_member(root, "metadata");
	struct json annotations = json_member(&metadata, "annotations");
	struct json profile_at = json_member(&annotations, PROFILE);
	struct json set_at = json_member(&annotations, FEATURE_SET);
	struct json capability_at = json_member(&annotations, CAPABILITY);
	const char *profile, *set, *capability;

	if (json_text_or(&profile_at, "", &profile, e) < 0 ||
	    json_text_or(&set_at, in->feature_set, &set, e) < 0 ||
	    json_text_or(&capability_at, NULL, &capability, e) < 0)
		return -1;
	*ret = strcmp(profile, "true") == 0 && has_feature_set(set, in->feature_set) &&
	       (!capability || has_capabilities(in, capability));
	return 0;
}

static int is_request(const struct manifest_choice *c, const struct json *root, const char *kind,
		      bool *ret, struct err *e)
{
	struct json api_at = json_member(root, "apiVersion"), spec = json_member(root, "spec");
	struct json provider = json_member(&spec, "providerSpec");
	struct json provider_at = json_member(&provider, "kind");
	const char *cloud = c->cloud && *c->cloud ? c->cloud
			    : c->inclusion        ? c->inclusion->platform
						  : NULL;
	const char *api, *have, *want = cloud ? kind_of(cloud) : NULL;

	if (json_text_or(&api_at, "", &api, e) < 0 || json_text_or(&provider_at, "", &have, e) < 0)
		return -1;
	*ret = strcmp(kind, "CredentialsRequest") == 0 &&
	       strcmp(api, "cloudcredential.openshift.io/v1") == 0 &&
	       (!cloud || (want && strcmp(have, want) == 0));
	return 0;
}

struct writer {
	struct buf *out;
	const struct manifest_choice *choice;
};

static int check_document(const struct json *root, const char **ret_kind, struct err *e)
{
	struct json kind_at = json_member(root, "kind"), metadata = json_member(root, "metadata");
	struct json name_at = json_member(&metadata, "name");
	const char *name;

	if (json_need_object(root, e) < 0 || json_text_or(&kind_at, "", ret_kind, e) < 0 ||
	    json_text_or(&name_at, "", &name, e) < 0)
		return -1;
	if (**ret_kind == '\0' || *name == '\0')
		return err_set(e, ERR_INPUT,
			       "Resource with fields Kind: \"%.64s\" Name: \"%.64s\" must contain "
			       "kubernetes required fields kind and name",
			       *ret_kind, name);
	return 0;
}

static int write_document(void *arg, const struct json *root, struct err *e)
{
	struct writer *w = arg;
	struct yaml_out y = {.out = w->out};
	bool chosen = true;
	const char *kind;

	if (check_document(root, &kind, e) < 0)
		return -1;
	if (w->choice->credentials_requests && is_request(w->choice, root, kind, &chosen, e) < 0)
		return -1;
	if (chosen && w->choice->inclusion &&
	    is_included(w->choice->inclusion, root, &chosen, e) < 0)
		return -1;
	if (!chosen)
		return 0;
	if (w->out->n > w->out->max / 2)
		return err_set(e, ERR_INPUT, "too large when it is written");
	buf_puts(w->out, "---\n");
	yaml_out_json(&y, root);
	return 0;
}

int manifest_write(struct buf *ret, struct str bytes, const struct manifest_choice *c,
		   struct err *e)
{
	struct writer w = {ret, c};

	return yaml_parse(bytes, YAML_LIMITS(MANIFEST_FILE_MAX), 0, write_document, &w, e);
}
