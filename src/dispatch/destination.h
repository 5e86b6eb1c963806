/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where events are sent: a Destination of a manifest (ref, uri, or both), understood.
 *   ref to a v1 Service                   that Service, through mesh; port 80 if it has one, else its first
 *   ref to a Broker                       appended to that Broker's topic, without HTTP, in the frame of the commit
 *   uri http://NAME.NAMESPACE.svc[...]    as a ref to that Service, with the port of the URI
 *   any other http or https uri           its host, by the system's resolver
 * A uri beside a ref is a path at the object.
 */
#ifndef DISPATCH_DESTINATION_H
#define DISPATCH_DESTINATION_H

#include "api/api.h"
#include "io/address.h"

enum destination_kind { DESTINATION_NONE, DESTINATION_SERVICE, DESTINATION_BROKER, DESTINATION_URI };

struct destination {
    enum destination_kind kind;
    char *url;              /* as status shows it, and dead letters name it */
    char *namespace, *name; /* of the Service or Broker */
    char port_text[8];      /* of the Service; "": its first */
    char *host;             /* URI: the name or address; for the Host field see `authority` */
    char *authority;
    char *target;  /* path and query */
    uint16_t port; /* URI */
    bool tls;
};

/* `events_url` is that of the events door, for the url of a Broker; may be NULL. ERROR_NOT_FOUND: the object does not
 * exist (yet); ERROR_INVALID; ERROR_UNSUPPORTED: an object of a kind that takes no events here. */
MUST_CHECK bool destination_read(struct api *api, const struct json *json, struct bytes namespace,
                                 const char *events_url, struct destination *out, struct error *err);
void destination_deinit(struct destination *destination); /* also zeroed memory */
bool destination_equal(const struct destination *a, const struct destination *b);

#endif
