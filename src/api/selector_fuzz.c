/* SPDX-License-Identifier: Apache-2.0 */
/* Label and field selectors from a query. */
#include "api/field_selector.h"
#include "api/label_selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    struct label_selector *labels;
    struct field_selector *fields;
    AUTO_JSON *object = json_parse(BYTES_LITERAL("{\"a\":\"1\",\"metadata\":{\"name\":\"a\"}}"), 0, &err);
    if (label_selector_parse(bytes_of(data, size), &labels, &err)) {
        label_selector_matches(labels, object);
        label_selector_free(labels);
    }
    if (field_selector_parse(kind_by_name("Pod"), bytes_of(data, size), &fields, &err)) {
        field_selector_matches(fields, object);
        field_selector_free(fields);
    }
    return 0;
}
