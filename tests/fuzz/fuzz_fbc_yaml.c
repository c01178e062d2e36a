// SPDX-License-Identifier: Apache-2.0
// A catalog in YAML. It does not matter where pieces end; documents stand in the file as they are;
// each error names its document; what is collected is sorted. The first byte is the size of the
// pieces.
#include "fuzz_fbc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct str file = {(const char *)data + 1, size - 1};

	if (!fbc_is_json(file))
		fbc_fuzz(file, (size_t)data[0] + 1);
	return 0;
}
