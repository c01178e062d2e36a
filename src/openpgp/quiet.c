// SPDX-License-Identifier: Apache-2.0
// The C library's `stderr` is an ordinary variable in glibc, and the library reads it each time.
#include "openpgp/quiet.h"

#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#ifdef __GLIBC__
static FILE *nowhere, *kept; // guarded by lock
#endif

void quiet_begin(void)
{
	pthread_mutex_lock(&lock);
#ifdef __GLIBC__
	if (!nowhere)
		nowhere = fopencookie(NULL, "w", (cookie_io_functions_t){0}); // drops everything
	kept = stderr;
	if (nowhere)
		stderr = nowhere;
#endif
}

void quiet_end(void)
{
#ifdef __GLIBC__
	stderr = kept;
#endif
	pthread_mutex_unlock(&lock);
}
