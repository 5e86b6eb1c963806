/* SPDX-License-Identifier: Apache-2.0 */
/* The message tables: look-up, sizes and defaults. Reading is in kafka_decode.c, writing in kafka_encode.c. */
#include "wire/kafka_message.h"

#include <stdlib.h>

#include "wire/kafka_message_priv.h"

const struct kafka_api *kafka_api_find(int16_t key)
{
    for (size_t i = 0; i < kafka_apis_count; i++)
        if (kafka_apis[i].key == key)
            return &kafka_apis[i];
    return NULL;
}

size_t kafka_field_size(const struct kafka_field *field)
{
    switch ((enum kafka_type)field->kind) {
    case KAFKA_BOOL:
        return sizeof(bool);
    case KAFKA_I8:
        return 1;
    case KAFKA_I16:
    case KAFKA_U16:
        return 2;
    case KAFKA_I32:
        return 4;
    case KAFKA_I64:
    case KAFKA_F64:
        return 8;
    case KAFKA_UUID:
        return 16;
    case KAFKA_STR:
    case KAFKA_BYTES:
        return sizeof(struct bytes);
    case KAFKA_RECORDS:
        return sizeof(struct kafka_record_set);
    case KAFKA_STRUCT:
        return field->type->size;
    }
    abort();
}

/* --- Numbers in C structs --- */

void kafka_store_number(enum kafka_type kind, void *at, int64_t value)
{
    switch (kind) {
    case KAFKA_BOOL:
        *(bool *)at = value != 0;
        break;
    case KAFKA_I8:
        *(int8_t *)at = (int8_t)value;
        break;
    case KAFKA_I16:
        *(int16_t *)at = (int16_t)value;
        break;
    case KAFKA_U16:
        *(uint16_t *)at = (uint16_t)value;
        break;
    case KAFKA_I32:
        *(int32_t *)at = (int32_t)value;
        break;
    default:
        memcpy(at, &value, sizeof value); /* KAFKA_I64, and the bits of KAFKA_F64 */
    }
}

int64_t kafka_load_number(enum kafka_type kind, const void *at)
{
    int64_t value;
    switch (kind) {
    case KAFKA_BOOL:
        return *(const bool *)at;
    case KAFKA_I8:
        return *(const int8_t *)at;
    case KAFKA_I16:
        return *(const int16_t *)at;
    case KAFKA_U16:
        return *(const uint16_t *)at;
    case KAFKA_I32:
        return *(const int32_t *)at;
    default:
        memcpy(&value, at, sizeof value);
        return value;
    }
}

/* --- Defaults --- */

static void set_defaults(const struct kafka_struct *type, void *out);

void kafka_set_default(const struct kafka_field *field, void *at)
{
    if (field->array || field->kind >= KAFKA_UUID) {
        if (field->kind == KAFKA_STRUCT && !field->array && field->nullable_min == KAFKA_VERSION_OPEN)
            set_defaults(field->type, at);
    } else if (field->otherwise)
        kafka_store_number(field->kind, at, field->otherwise);
}

static void set_defaults(const struct kafka_struct *type, void *out)
{
    for (size_t i = 0; i < type->field_count; i++)
        kafka_set_default(&type->fields[i], (uint8_t *)out + type->fields[i].offset);
}

void *kafka_new_array(struct arena *arena, const struct kafka_struct *type, size_t count)
{
    uint8_t *array = arena_alloc_array(arena, count, type->size);
    for (size_t i = 0; array && i < count; i++)
        set_defaults(type, array + i * type->size);
    return array;
}
