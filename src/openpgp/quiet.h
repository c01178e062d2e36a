// SPDX-License-Identifier: Apache-2.0
// Keeps librnp from writing on standard error: built without NDEBUG, as Debian does it, it reports
// every bad packet there, and has no switch for that.
#ifndef OPENPGP_QUIET_H
#define OPENPGP_QUIET_H

// Between the two only one thread is inside, and what is written through the C library's `stderr`
// goes nowhere; the descriptor and streams that were opened on it before are not touched.
void quiet_begin(void);
void quiet_end(void);

#endif
