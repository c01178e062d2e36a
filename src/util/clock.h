// SPDX-License-Identifier: Apache-2.0
// Time that only goes forward, for measuring and waiting. What day it is comes from cmd/.
#ifndef UTIL_CLOCK_H
#define UTIL_CLOCK_H

#include <stdint.h>

uint64_t clock_us(void); // microseconds of CLOCK_MONOTONIC

#endif
