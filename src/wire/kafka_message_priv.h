/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoder and the encoder of Kafka's messages share: how a field lies in its C struct. */
#ifndef WIRE_KAFKA_MESSAGE_PRIV_H
#define WIRE_KAFKA_MESSAGE_PRIV_H

#include "wire/kafka_message.h"
#include "wire/kafka_messages.h"

static inline bool kafka_field_present(const struct kafka_field *field, int version)
{
    return version >= field->version_min && version <= field->version_max;
}

static inline bool kafka_field_nullable(const struct kafka_field *field, int version)
{
    return version >= field->nullable_min && field->nullable_min < KAFKA_VERSION_OPEN;
}

/* The response header of ApiVersions is never flexible, so that every client can read it (KIP-511). */
static inline bool kafka_response_header_has_tags(const struct kafka_api *api, int16_t version)
{
    return version >= api->flexible_min && api->key != KAFKA_API_VERSIONS;
}

size_t kafka_field_size(const struct kafka_field *field); /* of one element, in memory */
/* kind is KAFKA_BOOL .. KAFKA_F64, the latter as its bits. */
void kafka_store_number(enum kafka_type kind, void *at, int64_t value);
int64_t kafka_load_number(enum kafka_type kind, const void *at);
/* Where the field is zero still. */
void kafka_set_default(const struct kafka_field *field, void *at);

#endif
