/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kind's table does with an object: decode it (JSON, protobuf), fill in its defaults, validate it, merge a
 * strategic patch into it. Everything is driven by the rows of src/api/kinds/ (schema_table.h); what a row cannot say
 * is in a small function per kind (defaults_*.c, validate_*.c).
 *
 * The way of a write, in the order in which task and tests call it:
 *
 *     body --json_parse/yaml/schema_decode_protobuf--> json --schema_decode_json--> normal form
 *          --schema_prepare_create | schema_prepare_update--> --schema_default--> --schema_validate--> stored
 *
 * Normal form is what Kubernetes would print of the same object: fields in the order of the table, absent where the
 * value is the zero value of a field that is omitted when empty, quantities canonical ("1000m" is "1"), nulls dropped.
 * So two objects that mean the same are json_same(), and an update that changes nothing is seen to change nothing.
 *
 * All input is hostile: sizes are bounded by LIMIT_API_BODY_SIZE, depth by LIMIT_JSON_DEPTH, messages by the limits
 * below.
 */
#ifndef API_SCHEMA_H
#define API_SCHEMA_H

#include "api/kind.h"
#include "base/bytes.h"
#include "base/error.h"
#include "wire/json.h"

enum {
    LIMIT_WARNINGS = 20,    /* per request; what comes after is dropped */
    LIMIT_FIELD_ERRORS = 50 /* per object; what comes after is dropped */
};

/* --- What a request says on the side: texts of the HTTP Warning header (RFC 7234 5.5), without `299 - "..."` --- */
struct warnings {
    char *texts[LIMIT_WARNINGS];
    size_t count;
};
void warnings_add(struct warnings *warnings, const char *format, ...) PRINTF_LIKE(2, 3);
void warnings_deinit(struct warnings *warnings);
#define AUTO_WARNINGS __attribute__((cleanup(warnings_deinit), unused)) struct warnings

/* --- Decoding --- */
enum schema_mode { SCHEMA_IGNORE, SCHEMA_WARN, SCHEMA_STRICT }; /* the query parameter fieldValidation */

/*
 * `in` (any JSON) as an object of the kind in normal form, a new value in *out. Types are checked in every mode;
 * unknown fields are dropped silently, dropped with a warning, or refused. Also warns of fields that are set and that
 * evoke stores without acting on them. `warnings` may be NULL, for who does not want to hear them. apiVersion and kind
 * may be missing; if they are there they must be the kind's. Fails with ERROR_INVALID (400), whose message is complete
 * for a Status: `Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field
 * "spec.bogus"`.
 */
MUST_CHECK bool schema_decode_json(const struct kind *kind, const struct json *in, enum schema_mode mode,
                                   struct json **out, struct warnings *warnings, struct error *err);

/*
 * Keys that appear twice in one object of a JSON text (a parsed value no longer knows): warnings, or ERROR_INVALID with
 * `strict decoding error: duplicate field "spec.replicas"`. The text need not be valid JSON; what is not is not
 * reported here.
 */
MUST_CHECK bool schema_check_duplicates(const struct kind *kind, struct bytes text, enum schema_mode mode,
                                        struct warnings *warnings, struct error *err);

/*
 * A body of content type application/vnd.kubernetes.protobuf: "k8s\0" and a runtime.Unknown. *kind is what the
 * envelope names (a stored kind or a request kind); *out its JSON, which then goes through schema_decode_json().
 * `expected` is for what names itself with the group of the URL (DeleteOptions, Scale); NULL: none.
 * Fails with ERROR_INVALID (not decodable), ERROR_UNSUPPORTED (a kind that has no protobuf form or is not known).
 */
MUST_CHECK bool schema_decode_protobuf(struct bytes body, const struct kind *expected, const struct kind **kind,
                                       struct json **out, struct error *err);

/*
 * What arrives as a body but is not stored: DeleteOptions, Scale, Eviction, Binding, TokenRequest, the reviews of
 * authentication and authorization. They are kinds without a plural. DeleteOptions is found in every version.
 */
const struct kind *schema_request_kind(struct bytes api_version, struct bytes kind);

/* --- Filling in --- */
/* What the server decides when an object is created or updated, whatever the client said: a new object's status is the
 * kind's initial one (Pod: phase Pending and qosClass; Namespace: phase Active ...), a namespace gets its finalizer and
 * its label. metadata is the store's business. */
void schema_prepare_create(const struct kind *kind, struct json *object);
void schema_prepare_update(const struct kind *kind, struct json *object, const struct json *old);
/* Defaults as Kubernetes prints them. Idempotent; `object` is in normal form. */
void schema_default(const struct kind *kind, struct json *object);

/* --- Validating --- */
enum field_error_type {
    FIELD_REQUIRED,
    FIELD_INVALID,
    FIELD_NOT_SUPPORTED,
    FIELD_DUPLICATE,
    FIELD_FORBIDDEN,
    FIELD_NOT_FOUND,
    FIELD_TOO_LONG,
    FIELD_TOO_MANY
};

struct field_error {
    enum field_error_type type;
    char *field;   /* "spec.containers[0].ports[1].name" */
    char *message; /* "Invalid value: -3: must be greater than or equal to 0" */
};

struct field_errors {
    struct field_error errors[LIMIT_FIELD_ERRORS];
    size_t count;
};
void field_errors_deinit(struct field_errors *errors);
#define AUTO_FIELD_ERRORS __attribute__((cleanup(field_errors_deinit), unused)) struct field_errors
void field_errors_add(struct field_errors *errors, enum field_error_type type, const char *field, const char *format,
                      ...) PRINTF_LIKE(4, 5);
/* The `reason` of a Status cause: "FieldValueInvalid" ... */
const char *field_error_reason(enum field_error_type type);
/* `Deployment.apps "web" is invalid: spec.replicas: Invalid value: ...`; several in brackets. */
void field_errors_message(const struct field_errors *errors, const struct kind *kind, struct bytes name, char out[500]);

/* Adds what is wrong with `object` (in normal form, with defaults); `old` is NULL for a create. True when nothing is.
 */
bool schema_validate(const struct kind *kind, const struct json *object, const struct json *old,
                     struct field_errors *errors);

/* --- Patching --- */
/*
 * Strategic merge patch: objects merge; lists merge by the table's merge key or are replaced; `$patch: delete, replace,
 * merge`, `$deleteFromPrimitiveList/f`, `$setElementOrder/f`, `$retainKeys`. A null removes. *out is a new value (to be
 * decoded, defaulted and validated like any other). ERROR_INVALID: the patch cannot be applied (400 or 422 alike);
 * ERROR_UNSUPPORTED: a kind without merge keys (a custom resource: 415).
 */
MUST_CHECK bool strategic_merge(const struct kind *kind, const struct json *original, const struct json *patch,
                                struct json **out, struct error *err);

#endif
