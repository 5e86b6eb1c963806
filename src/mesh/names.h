/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of Services, as Kubernetes' DNS specification (schema version 1.1.0) has them, below cluster.local:
 *     <service>.<namespace>.svc               A: its address; headless: the addresses of its ready endpoints;
 *                                             ExternalName: CNAME
 *     <host>.<service>.<namespace>.svc        A: one endpoint of a headless service, by hostname or dashed address
 *     _<port>._<protocol>.<service>. ... svc  SRV
 *     <a-b-c-d>.<namespace>.pod               A: that address
 * Answers come from the objects of the api, at the moment of the question.
 */
#ifndef MESH_NAMES_H
#define MESH_NAMES_H

#include "api/api.h"
#include "wire/dns.h"

#define NAMES_DOMAIN "cluster.local"
enum { NAMES_TTL_S = 5, NAMES_RECORDS_MAX = 1000 };

/* Appends the reply, of at most size_max bytes. False: the name is not below cluster.local, and nothing is written. */
bool names_reply(struct api *api, const struct dns_query *query, size_t size_max, struct buf *out);

#endif
