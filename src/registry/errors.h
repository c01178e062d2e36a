// SPDX-License-Identifier: Apache-2.0
// What a registry's refusal becomes: its words as the reference prints them, and a kind to act on.
//
// Spec: OCI distribution-spec v1.1, "Error Codes". Pure functions. Text from the server is cut to
// ERROR_MESSAGE_MAX bytes a message and its control bytes are replaced.
#ifndef REGISTRY_ERRORS_H
#define REGISTRY_ERRORS_H

#include "util/str.h"

#include <stdbool.h>

enum { ERROR_BODY_MAX = 64 * 1024, ERROR_MESSAGE_MAX = 300, ERROR_LIST_MAX = 8 };

// Sets *e from an answer's status and body; returns -1. *ret_name_unknown (may be NULL): the
// registry does not know the repository.
int error_from_body(int status, struct str body, bool *ret_name_unknown, struct err *e);
enum err_kind error_kind(int status);
const char *http_reason(int status); // "Not Found"; "" when unknown

#endif
