/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where events come in by HTTP: POST /<namespace>/<broker> with one CloudEvent, in binary mode (ce-* fields), in
 * structured mode (application/cloudevents+json) or several in batch mode (application/cloudevents-batch+json). They
 * are appended to the Broker's topic <namespace>.<broker> in the binary mode of the Kafka binding; the key is the
 * partitionkey extension. A batch is one frame per partition: all of it or nothing.
 *
 *   202  durable                                  400  not a valid CloudEvent: the body says why
 *   404  no such Broker                           405  another method (Allow: POST, OPTIONS)
 *   413  larger than LIMIT_EVENT_SIZE             415  a content mode that we do not know
 *   503  not now (Retry-After)                    507  the journal is full (Retry-After)
 *   OPTIONS: the handshake of CloudEvents' HTTP webhook (WebHook-Allowed-Origin, WebHook-Allowed-Rate)
 */
#ifndef DOOR_EVENTS_DOOR_H
#define DOOR_EVENTS_DOOR_H

#include "api/api.h"
#include "base/error.h"
#include "http/http_server.h"
#include "io/address.h"

struct events_door;

struct events_door *events_door_open(struct api *api, const struct io_address *address, struct error *err);
void events_door_close(struct events_door *door); /* NULL is allowed */
struct io_address events_door_address(const struct events_door *door);

struct events_door_metrics {
    uint64_t accepted, invalid, not_found, too_large, unsupported, unavailable;
    uint64_t bytes;
    struct http_server_metrics http;
};
void events_door_metrics(const struct events_door *door, struct events_door_metrics *out);

#endif
