/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/kafka_message.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "test.h"
#include "wire/kafka_messages.h"

/* --- Any message, filled by its table --- */

struct filler {
    struct arena *arena;
    uint64_t state;
};

static uint64_t draw(struct filler *filler, uint64_t limit)
{
    filler->state = filler->state * 6364136223846793005u + 1442695040888963407u;
    return (filler->state >> 33) % limit;
}

static struct bytes draw_bytes(struct filler *filler, uint64_t limit)
{
    size_t size = draw(filler, limit);
    uint8_t *data = arena_alloc(filler->arena, size + 1);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)draw(filler, 256);
    return bytes_of(data, size);
}

static void fill_struct(struct filler *filler, const struct kafka_struct *type, uint8_t *out);

/* One that may be null is behind a pointer. */
static uint8_t *fill_pointer(struct filler *filler, const struct kafka_field *field, uint8_t *at)
{
    uint8_t *memory = arena_alloc(filler->arena, field->type->size);
    bool null = field->nullable_min == 0 && draw(filler, 2);
    memcpy(at, null ? &(uint8_t *){NULL} : &memory, sizeof memory);
    return memory;
}

static void fill_one(struct filler *filler, const struct kafka_field *field, uint8_t *at)
{
    struct bytes *part;
    static const size_t sizes[] = {[KAFKA_BOOL] = 0, [KAFKA_I8] = 1,  [KAFKA_I16] = 2, [KAFKA_U16] = 2,
                                   [KAFKA_I32] = 4,  [KAFKA_I64] = 8, [KAFKA_F64] = 8, [KAFKA_UUID] = 16};
    switch ((enum kafka_type)field->kind) {
    case KAFKA_BOOL:
        *(bool *)at = draw(filler, 2);
        break;
    case KAFKA_STR:
    case KAFKA_BYTES:
        *(struct bytes *)(void *)at = draw_bytes(filler, field->kind == KAFKA_STR ? 20 : 200);
        break;
    case KAFKA_RECORDS:
        part = ARENA_NEW(filler->arena, struct bytes);
        *part = draw_bytes(filler, 300);
        *(struct kafka_record_set *)(void *)at = (struct kafka_record_set){part, part->size > 0, part->size};
        break;
    case KAFKA_STRUCT:
        fill_struct(filler, field->type,
                    field->nullable_min < KAFKA_VERSION_OPEN ? fill_pointer(filler, field, at) : at);
        break;
    default:
        for (size_t i = 0; i < sizes[field->kind]; i++)
            at[i] = (uint8_t)draw(filler, 256);
    }
}

static size_t element_size(const struct kafka_field *field)
{
    static const size_t sizes[] = {[KAFKA_BOOL] = 1,
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

static void fill_struct(struct filler *filler, const struct kafka_struct *type, uint8_t *out)
{
    for (size_t i = 0; i < type->field_count; i++) {
        const struct kafka_field *field = &type->fields[i];
        uint8_t *at = out + field->offset;
        if (!field->array) {
            fill_one(filler, field, at);
            continue;
        }
        size_t count = draw(filler, 4);
        uint8_t *items = arena_alloc_array(filler->arena, count + 1, element_size(field));
        for (size_t n = 0; n < count; n++)
            fill_one(filler, field, items + n * element_size(field));
        memcpy(at, &items, sizeof items);
        memcpy(at + sizeof items, &count, sizeof count);
    }
}

static void check_request(const struct kafka_api *api, int16_t version, struct arena *arena, const void *request)
{
    struct error err;
    AUTO_BUF first;
    AUTO_BUF second;
    struct kafka_request_header header;
    void *decoded;
    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    CHECK_OK(kafka_encode_request(api, version, 77, BYTES_LITERAL("me"), request, &first, &err), &err);
    struct bytes frame = bytes_slice(buf_bytes(&first), 4, SIZE_MAX);
    CHECK_OK(kafka_decode_request_header(&frame, &header, &err), &err);
    CHECK(header.supported && header.api == api && header.api_version == version && header.correlation_id == 77);
    CHECK_BYTES(header.client_id, BYTES_LITERAL("me"));
    CHECK_OK(kafka_decode_request(&header, frame, arena, &decoded, &err), &err);
    CHECK_OK(kafka_encode_request(api, version, 77, BYTES_LITERAL("me"), decoded, &second, &err), &err);
    CHECK_BYTES(buf_bytes(&second), buf_bytes(&first));
    for (size_t cut = 0; cut < frame.size; cut++) { /* no part of it passes for the whole */
        struct bytes part = bytes_slice(frame, 0, cut);
        CHECK(!kafka_decode_request(&header, part, arena, &decoded, &err));
        CHECK_INT(err.kind, ERROR_INVALID);
    }
}

static void check_response(const struct kafka_api *api, int16_t version, struct arena *arena, const void *response)
{
    struct error err;
    AUTO_BUF first;
    AUTO_BUF second;
    void *decoded;
    int32_t correlation_id;
    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    CHECK_OK(kafka_encode_response(api, version, 78, response, arena, &first, NULL, &err), &err);
    struct bytes frame = bytes_slice(buf_bytes(&first), 4, SIZE_MAX);
    CHECK_OK(kafka_decode_response(api, version, frame, arena, &correlation_id, &decoded, &err), &err);
    CHECK_INT(correlation_id, 78);
    CHECK_OK(kafka_encode_response(api, version, 78, decoded, arena, &second, NULL, &err), &err);
    CHECK_BYTES(buf_bytes(&second), buf_bytes(&first));
}

TEST(every_message_in_every_version_survives_encoding_and_decoding)
{
    for (size_t i = 0; i < kafka_apis_count; i++) {
        const struct kafka_api *api = &kafka_apis[i];
        for (int16_t version = api->version_min; version <= api->version_max; version++) {
            AUTO_ARENA arena;
            arena_init(&arena, 0);
            struct filler filler = {.arena = &arena, .state = (uint64_t)api->key * 100 + (uint64_t)version};
            for (int round = 0; round < 3; round++) {
                void *request = arena_alloc(&arena, api->request->size);
                void *response = arena_alloc(&arena, api->response->size);
                fill_struct(&filler, api->request, request);
                fill_struct(&filler, api->response, response);
                check_request(api, version, &arena, request);
                check_response(api, version, &arena, response);
            }
        }
    }
}

TEST(the_apis_are_in_order_of_their_keys)
{
    CHECK_INT(kafka_apis_count, 47);
    for (size_t i = 1; i < kafka_apis_count; i++)
        CHECK(kafka_apis[i - 1].key < kafka_apis[i].key);
    CHECK_STR(kafka_api_find(KAFKA_FIND_COORDINATOR)->name, "FindCoordinator");
    CHECK(!kafka_api_find(999));
}

/* --- Bytes as real clients send them --- */

static struct kafka_request_header decode_header(struct bytes *frame)
{
    struct error err;
    struct kafka_request_header header;
    CHECK_OK(kafka_decode_request_header(frame, &header, &err), &err);
    return header;
}

TEST(a_flexible_header_has_tags_but_an_old_client_id)
{
    /* ApiVersions v3, correlation 1, client "rdkafka", no tags; name "librdkafka", version "2.0.2", no tags */
    struct bytes frame = BYTES_LITERAL("\x00\x12\x00\x03\x00\x00\x00\x01\x00\x07rdkafka\x00\x0blibrdkafka\x06"
                                       "2.0.2\x00");
    AUTO_ARENA arena;
    arena_init(&arena, 1 << 16);
    struct error err;
    struct kafka_request_header header = decode_header(&frame);
    struct kafka_api_versions_request *request;
    CHECK(header.supported);
    CHECK_BYTES(header.client_id, BYTES_LITERAL("rdkafka"));
    CHECK_OK(kafka_decode_request(&header, frame, &arena, (void **)&request, &err), &err);
    CHECK_BYTES(request->client_software_name, BYTES_LITERAL("librdkafka"));
    CHECK_BYTES(request->client_software_version, BYTES_LITERAL("2.0.2"));
}

TEST(the_header_of_an_unknown_version_can_still_be_read)
{
    struct bytes frame = BYTES_LITERAL("\x00\x12\x00\x63\x00\x00\x00\x05\xff\xff\x00");
    struct kafka_request_header header = decode_header(&frame);
    CHECK_INT(header.correlation_id, 5);
    CHECK(header.api && !header.supported && !header.client_id.data);
}

TEST(the_response_header_of_api_versions_is_never_flexible)
{
    AUTO_ARENA arena;
    AUTO_BUF out;
    struct error err;
    arena_init(&arena, 0);
    buf_init(&out, 1000);
    struct kafka_api_versions_response *response = KAFKA_NEW(&arena, kafka_api_versions_response);
    CHECK_INT(response->finalized_features_epoch, -1);
    CHECK_OK(kafka_encode_response(kafka_api_find(KAFKA_API_VERSIONS), 3, 9, response, &arena, &out, NULL, &err), &err);
    /* length, correlation, error, no keys, throttle, no tags */
    CHECK_BYTES(buf_bytes(&out), BYTES_LITERAL("\0\0\0\x0c\0\0\0\x09\0\0\x01\0\0\0\0\0"));
    buf_reset(&out);
    struct kafka_heartbeat_response *heartbeat = KAFKA_NEW(&arena, kafka_heartbeat_response);
    CHECK_OK(kafka_encode_response(kafka_api_find(KAFKA_HEARTBEAT), 4, 9, heartbeat, &arena, &out, NULL, &err), &err);
    CHECK_BYTES(buf_bytes(&out), BYTES_LITERAL("\0\0\0\x0c\0\0\0\x09\0\0\0\0\0\0\0\0"));
}

TEST(unknown_tags_are_skipped_and_known_ones_taken)
{
    /* Fetch v12 with tag 0 (cluster_id "x") and an unknown tag 9 */
    struct bytes frame = BYTES_LITERAL("\x00\x01\x00\x0c\x00\x00\x00\x01\xff\xff\x00"
                                       "\xff\xff\xff\xff\x00\x00\x01\xf4\x00\x00\x00\x01\x00\x10\x00\x00\x00"
                                       "\x00\x00\x00\x00\xff\xff\xff\xff\x01\x01\x01\x02\x00\x02\x02x\x09\x03zzz");
    AUTO_ARENA arena;
    arena_init(&arena, 1 << 16);
    struct error err;
    struct kafka_request_header header = decode_header(&frame);
    struct kafka_fetch_request *request;
    CHECK_OK(kafka_decode_request(&header, frame, &arena, (void **)&request, &err), &err);
    CHECK_BYTES(request->cluster_id, BYTES_LITERAL("x"));
    CHECK_INT(request->max_wait_ms, 500);
    CHECK_INT(request->replica_state.replica_id, -1); /* the default of a version that does not have it */
    CHECK(request->topics && request->topics_count == 0);
}

TEST(null_and_empty_arrays_are_told_apart)
{
    struct bytes none = BYTES_LITERAL("\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff\x00\x00\x00\x00");
    struct bytes all = BYTES_LITERAL("\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff");
    struct bytes old = BYTES_LITERAL("\x00\x03\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff");
    AUTO_ARENA arena;
    arena_init(&arena, 1 << 16);
    struct error err;
    struct kafka_metadata_request *request;
    struct kafka_request_header header = decode_header(&none);
    CHECK_OK(kafka_decode_request(&header, none, &arena, (void **)&request, &err), &err);
    CHECK(request->topics && request->topics_count == 0 && request->allow_auto_topic_creation);
    header = decode_header(&all);
    CHECK_OK(kafka_decode_request(&header, all, &arena, (void **)&request, &err), &err);
    CHECK(!request->topics);
    header = decode_header(&old);
    CHECK(!kafka_decode_request(&header, old, &arena, (void **)&request, &err)); /* nullable only since v1 */
}

/* --- Hostile ones --- */

TEST(a_count_beyond_the_bytes_that_are_left_is_refused)
{
    struct bytes frame = BYTES_LITERAL("\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff\x7f\xff\xff\xff\x00\x01"
                                       "a");
    AUTO_ARENA arena;
    arena_init(&arena, LIMIT_KAFKA_DECODED_SIZE);
    struct error err;
    void *request;
    struct kafka_request_header header = decode_header(&frame);
    CHECK(!kafka_decode_request(&header, frame, &arena, &request, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
    CHECK_STR(err.message, "Metadata v1 request: cut short or malformed at topics");
    CHECK(arena.used < 4096);
}

TEST(a_frame_that_expands_beyond_the_arena_is_refused)
{
    AUTO_BUF frame;
    buf_init(&frame, 1 << 22);
    buf_append(&frame, BYTES_LITERAL("\x00\x03\x00\x00\x00\x00\x00\x01\xff\xff\x00\x20\x00\x00"));
    for (int i = 0; i < 1 << 21; i++)
        buf_append_be16(&frame, 0);
    AUTO_ARENA arena;
    arena_init(&arena, 1 << 20);
    struct error err;
    void *request;
    struct bytes body = buf_bytes(&frame);
    struct kafka_request_header header = decode_header(&body);
    CHECK(!kafka_decode_request(&header, body, &arena, &request, &err));
    CHECK_INT(err.kind, ERROR_LIMIT);
}

TEST(a_varint_that_does_not_end_is_refused)
{
    struct bytes frame = BYTES_LITERAL("\x00\x12\x00\x03\x00\x00\x00\x01\xff\xff\x00\xff\xff\xff\xff\xff\xff");
    AUTO_ARENA arena;
    arena_init(&arena, 1 << 16);
    struct error err;
    void *request;
    struct kafka_request_header header = decode_header(&frame);
    CHECK(!kafka_decode_request(&header, frame, &arena, &request, &err));
}

/* --- Records that are not copied --- */

TEST(records_leave_holes_that_the_length_counts)
{
    AUTO_ARENA arena;
    AUTO_BUF out;
    AUTO_BUF whole;
    struct error err;
    arena_init(&arena, 0);
    buf_init(&out, 10000);
    buf_init(&whole, 10000);
    const struct kafka_api *api = kafka_api_find(KAFKA_FETCH);
    struct bytes parts[] = {BYTES_LITERAL("batch one"), BYTES_LITERAL("batch two")};
    struct kafka_fetch_response *response = KAFKA_NEW(&arena, kafka_fetch_response);
    response->topics = KAFKA_NEW_ARRAY(&arena, kafka_fetch_response_topic, 1);
    response->topics_count = 1;
    struct kafka_fetch_response_topic *topic = response->topics;
    topic->topic = BYTES_LITERAL("orders");
    topic->partitions = KAFKA_NEW_ARRAY(&arena, kafka_fetch_response_partition, 2);
    topic->partitions_count = 2;
    topic->partitions[0].records = (struct kafka_record_set){parts, 2, 18};
    topic->partitions[1].records = (struct kafka_record_set){parts, 1, 9};
    for (int16_t version = 11; version <= 12; version++) {
        struct kafka_hole *holes;
        buf_reset(&out);
        buf_reset(&whole);
        CHECK_OK(kafka_encode_response(api, version, 3, response, &arena, &whole, NULL, &err), &err);
        CHECK_OK(kafka_encode_response(api, version, 3, response, &arena, &out, &holes, &err), &err);
        AUTO_BUF joined;
        buf_init(&joined, 10000);
        size_t from = 0;
        for (struct kafka_hole *hole = holes; hole; hole = hole->next) {
            buf_append(&joined, bytes_slice(buf_bytes(&out), from, hole->at - from));
            for (size_t i = 0; i < hole->records->count; i++)
                buf_append(&joined, hole->records->parts[i]);
            from = hole->at;
        }
        buf_append(&joined, bytes_slice(buf_bytes(&out), from, SIZE_MAX));
        CHECK_BYTES(buf_bytes(&joined), buf_bytes(&whole));
    }
}

TEST(a_response_that_does_not_fit_is_an_error)
{
    AUTO_ARENA arena;
    AUTO_BUF out;
    struct error err;
    arena_init(&arena, 0);
    buf_init(&out, 30);
    struct kafka_metadata_response *response = KAFKA_NEW(&arena, kafka_metadata_response);
    response->cluster_id = BYTES_LITERAL("a long name of a cluster, too long");
    CHECK(!kafka_encode_response(kafka_api_find(KAFKA_METADATA), 5, 1, response, &arena, &out, NULL, &err));
    CHECK_INT(err.kind, ERROR_LIMIT);
}

TEST(a_member_of_a_group_is_written_as_kafka_writes_it)
{
    /* What Kafka 4.1's own ConsumerGroupMemberMetadataValue gives, for a member of the new protocol and of the classic.
     */
    static const uint8_t want[] = {0, 0, 2, 'c', 2, 'h', 2, 2, 't', 0, 0, 0, 0, 5, 0, 1, 0, 1, 0};
    static const uint8_t classic[] = {0, 0, 2, 'c', 2, 'h', 2, 2, 't', 0, 0, 0, 0, 5, 0, 1, 0, 7, 1, 0, 0, 0, 7, 1, 0};
    const struct kafka_struct *type = &kafka_consumer_group_member_metadata_type;
    struct bytes topic = BYTES_LITERAL("t");
    struct kafka_consumer_group_member_metadata value = {.client_id = BYTES_LITERAL("c"),
                                                         .client_host = BYTES_LITERAL("h"),
                                                         .subscribed_topic_names = &topic,
                                                         .subscribed_topic_names_count = 1,
                                                         .rebalance_timeout_ms = 5};
    struct error err;
    AUTO_BUF out;
    AUTO_ARENA arena;
    void *decoded;
    arena_init(&arena, 0);
    buf_init(&out, 1000);
    CHECK_OK(kafka_encode_data(type, 0, true, &value, &out, &err), &err);
    CHECK_BYTES(buf_bytes(&out), bytes_of(want, sizeof want));
    CHECK_OK(kafka_decode_data(type, 0, true, bytes_of(classic, sizeof classic), &arena, &decoded, &err), &err);
    const struct kafka_consumer_group_member_metadata *got = decoded;
    CHECK(got->classic_member_metadata && got->classic_member_metadata->session_timeout_ms == 7);
    CHECK_OK(kafka_decode_data(type, 0, true, buf_bytes(&out), &arena, &decoded, &err), &err);
    got = decoded;
    CHECK(!got->classic_member_metadata);
    CHECK_INT(got->rebalance_timeout_ms, 5);
    CHECK(!kafka_decode_data(type, 0, true, bytes_of(want, sizeof want - 1), &arena, &decoded, &err));
}
