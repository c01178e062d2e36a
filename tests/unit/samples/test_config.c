// SPDX-License-Identifier: Apache-2.0
// The operator's Config and its patch, byte for byte.
#include "samples/config.h"

#include "tap.h"

TEST(a_config_names_the_mirror_and_what_to_skip)
{
	auto_strlist struct strlist skipped = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	strlist_add(&skipped, "fuse7-eap-openshift");
	strlist_add(&skipped, "ruby");
	samples_config_print(&text, "mirror.example.com:5000/samples", &skipped);
	CHECK_STR(text.p, "apiVersion: samples.operator.openshift.io/v1\n"
			  "kind: Config\n"
			  "metadata:\n"
			  "  name: cluster\n"
			  "spec:\n"
			  "  managementState: Managed\n"
			  "  samplesRegistry: mirror.example.com:5000/samples\n"
			  "  skippedImagestreams:\n"
			  "  - fuse7-eap-openshift\n"
			  "  - ruby\n");
	buf_clear(&text);
	samples_patch_print(&text, "m:5000", &skipped);
	CHECK_STR(text.p,
		  "{\"spec\":{\"managementState\":\"Managed\",\"samplesRegistry\":\"m:5000\","
		  "\"skippedImagestreams\":[\"fuse7-eap-openshift\",\"ruby\"]}}\n");
}

TEST(an_empty_skip_list_replaces_one_that_a_cluster_has)
{
	struct strlist none = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	samples_patch_print(&text, "m:5000", &none);
	CHECK(strstr(text.p, "\"skippedImagestreams\":[]"));
	buf_clear(&text);
	samples_config_print(&text, "m:5000", &none);
	CHECK(strstr(text.p, "  skippedImagestreams: []\n"));
}

int main(void)
{
	return tap_main();
}
