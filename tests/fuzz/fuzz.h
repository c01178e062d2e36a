// SPDX-License-Identifier: Apache-2.0
// A fuzz target is one function over bytes. It asserts what must hold for any input; libFuzzer
// (-Dfuzz=true) makes inputs, replay.c runs those that are kept in corpus/.
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
