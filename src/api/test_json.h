/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of this folder: JSON with ' for ", so that it can be read in C. */
#ifndef API_TEST_JSON_H
#define API_TEST_JSON_H

#include "base/memory.h"
#include "test.h"
#include "wire/json.h"

static inline struct json *test_json(const char *quoted)
{
    struct error err = {0};
    AUTO_FREE(char) text = memory_string(bytes_of_string(quoted));
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    struct json *value = json_parse(bytes_of_string(text), 0, &err);
    if (!value)
        test_fail(__FILE__, __LINE__, "%s in %s", err.message, text);
    return value;
}

static inline void test_json_same_at(const char *file, int line, const struct json *got, const char *want_text)
{
    AUTO_JSON *want = test_json(want_text);
    AUTO_BUF text;
    buf_init(&text, 1 << 22);
    json_print(got, &text);
    if (!json_same(got, want))
        test_fail(file, line, "got  %s\nwant %s", buf_string(&text), want_text);
}
#define test_json_same(got, want) test_json_same_at(__FILE__, __LINE__, got, want)

#endif
