// SPDX-License-Identifier: Apache-2.0
// Which manifests refer to another one.
#include "store/internal.h"
#include "util/cleanup.h"

bool manifest_subject(struct str bytes, struct digest *ret)
{
	auto_manifest struct manifest m = {0};
	struct err ignored;

	if (manifest_parse(&m, bytes, NULL, "manifest", &ignored) < 0 || !m.has_subject)
		return false;
	*ret = m.subject.digest;
	return true;
}
