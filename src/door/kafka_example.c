/* SPDX-License-Identifier: Apache-2.0 */
#include "door/kafka_example.h"

static void fill(struct kafka_fixture *f, const struct kafka_struct *type, void *at, struct bytes batch);

static void fill_element(struct kafka_fixture *f, const struct kafka_field *field, void *at, struct bytes batch)
{
    switch ((enum kafka_type)field->kind) {
    case KAFKA_BOOL:
        *(bool *)at = true;
        return;
    case KAFKA_I8:
        *(int8_t *)at = 2; /* a topic, of the types of resources */
        return;
    case KAFKA_I16:
    case KAFKA_U16:
        *(int16_t *)at = 1;
        return;
    case KAFKA_I32:
        *(int32_t *)at = 0;
        return;
    case KAFKA_I64:
        *(int64_t *)at = 0;
        return;
    case KAFKA_F64:
        *(double *)at = 1;
        return;
    case KAFKA_UUID:
        memcpy(at, topic_id(topic_find(f->log, BYTES_LITERAL("orders"))), 16);
        return;
    case KAFKA_STR:
    case KAFKA_BYTES:
        *(struct bytes *)at = BYTES_LITERAL("orders");
        return;
    case KAFKA_RECORDS:
        *(struct kafka_record_set *)at = (struct kafka_record_set){ARENA_NEW(&f->arena, struct bytes), 1, batch.size};
        *(struct bytes *)(uintptr_t)((struct kafka_record_set *)at)->parts = batch;
        return;
    case KAFKA_STRUCT:
        fill(f, field->type, at, batch);
        return;
    }
}

static size_t element_size(const struct kafka_field *field)
{
    static const size_t sizes[] = {[KAFKA_BOOL] = sizeof(bool),
                                   [KAFKA_I8] = 1,
                                   [KAFKA_I16] = 2,
                                   [KAFKA_U16] = 2,
                                   [KAFKA_I32] = 4,
                                   [KAFKA_I64] = 8,
                                   [KAFKA_F64] = 8,
                                   [KAFKA_UUID] = 16,
                                   [KAFKA_STR] = sizeof(struct bytes),
                                   [KAFKA_BYTES] = sizeof(struct bytes)};
    return field->kind == KAFKA_STRUCT ? field->type->size : sizes[field->kind];
}

static void fill(struct kafka_fixture *f, const struct kafka_struct *type, void *at, struct bytes batch)
{
    for (size_t i = 0; i < type->field_count; i++) {
        const struct kafka_field *field = &type->fields[i];
        char *place = (char *)at + field->offset;
        if (field->array) {
            void *element = field->kind == KAFKA_STRUCT ? kafka_new_array(&f->arena, field->type, 1)
                                                        : arena_alloc(&f->arena, element_size(field));
            size_t one = 1;
            fill_element(f, field, element, batch);
            memcpy(place, &element, sizeof element);
            memcpy(place + sizeof element, &one, sizeof one);
        } else if (field->kind == KAFKA_STRUCT && field->nullable_min != KAFKA_VERSION_OPEN && field->tag < 0) {
            void *element = kafka_new_array(&f->arena, field->type, 1);
            fill(f, field->type, element, batch);
            memcpy(place, &element, sizeof element);
        } else {
            fill_element(f, field, place, batch);
        }
    }
}

struct bytes kafka_example_frame(struct kafka_fixture *f, const struct kafka_api *api, int16_t version)
{
    struct buf out;
    struct error err;
    struct bytes batch = arena_copy(&f->arena, kafka_fixture_batch(f, 1, 1000));
    void *request = kafka_new_array(&f->arena, api->request, 1);
    fill(f, api->request, request, batch);
    buf_init(&out, 1 << 20);
    CHECK_OK(kafka_encode_request(api, version, 7, BYTES_LITERAL("test"), request, &out, &err), &err);
    struct bytes frame = arena_copy(&f->arena, buf_bytes(&out));
    buf_deinit(&out);
    return frame;
}
