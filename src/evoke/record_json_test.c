/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "evoke/record_json.h"

TEST(a_record_comes_back_as_it_was_printed)
{
    AUTO_BUF buf, line;
    struct error err;
    struct bytes batch_bytes;
    struct kafka_batch_builder builder;
    const struct kafka_record_header headers[] = {{BYTES_LITERAL("a"), BYTES_LITERAL("1")},
                                                  {BYTES_LITERAL("none"), BYTES_NULL}};
    buf_init(&buf, 1 << 20);
    buf_init(&line, 1 << 20);
    kafka_batch_begin(&builder, &buf, 0);
    kafka_batch_add(&builder, 7, BYTES_LITERAL("\xff\x00k"), BYTES_LITERAL("gr\xc3\xbc\xc3\x9f"), headers, 2);
    CHECK_OK(kafka_batch_end(&builder, &batch_bytes, &err), &err);
    struct kafka_batch batch;
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    CHECK_OK(kafka_batch_parse(&batch_bytes, &batch, &err), &err);
    CHECK_OK(kafka_records_open(&records, &batch, 1000, &err), &err);
    CHECK(kafka_records_next(&records, &record));
    record_json_append("t", 3, &record, &line);
    AUTO_RECORD_JSON back = {0};
    CHECK_OK(record_json_parse(bytes_trim(buf_bytes(&line)), &back, &err), &err);
    CHECK_BYTES(back.key, BYTES_LITERAL("\xff\x00k"));
    CHECK_BYTES(back.value, BYTES_LITERAL("gr\xc3\xbc\xc3\x9f"));
    CHECK_INT(back.header_count, 2);
    CHECK_BYTES(back.headers[0].value, BYTES_LITERAL("1"));
    CHECK(!back.headers[1].value.data);
}

TEST(a_record_that_is_wrong_names_its_member)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"[1]", "a record must be a JSON object with key, headers and value"},
        {"{\"key\": 1}", "key: must be a string, null, or {\"base64\": \"...\"}"},
        {"{\"value\": {\"base64\": \"*\"}}", "value: must be a string, null, or {\"base64\": \"...\"}"},
        {"{\"headers\": [1]}", "headers: must be an object"},
        {"{\"headers\": {\"a\": 1}}", "headers: must be a string, null, or {\"base64\": \"...\"}"},
    };
    struct error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        AUTO_RECORD_JSON record = {0};
        CHECK(!record_json_parse(bytes_of_string(cases[i].line), &record, &err));
        CHECK_STR(err.message, cases[i].message);
    }
    AUTO_RECORD_JSON none = {0};
    CHECK_OK(record_json_parse(BYTES_LITERAL("{}"), &none, &err), &err);
    CHECK(!none.key.data && !none.value.data);
}
