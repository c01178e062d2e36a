// SPDX-License-Identifier: Apache-2.0
// Which proxy a request goes through. The rules are Go's (golang.org/x/net/http/httpproxy), since
// users have set HTTP_PROXY, HTTPS_PROXY and NO_PROXY for programs that follow them.
//
// NO_PROXY is a comma list of: "*"; an address or CIDR block; a host name, which also stands for
// its subdomains; ".domain" or "*.domain", which stands for the subdomains only. All but CIDR may
// carry ":port". localhost and loopback addresses are never proxied.
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "net/http.h"
#include "net/url.h"

// *ret: the proxy's URL, owned by the caller, or NULL for a direct connection.
// ERR_INPUT for a proxy that is no URL or of an unknown scheme.
int proxy_for(char **ret, const struct http_config *cfg, const struct url *u, struct err *e)
	must_check;
// Does NO_PROXY (or being loopback) exempt HOST (an IPv6 literal with or without brackets)?
bool proxy_exempt(const char *no_proxy, const char *host, const char *port);

#endif
