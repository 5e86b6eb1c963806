/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libfyaml's events become JSON values on a stack of open containers. Its own document tree is not used: it has no
 * bound for aliases, and we need the lines.
 */
#include "wire/yaml.h"

#include <libfyaml.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "wire/yaml_feed.h"
#include "wire/yaml_scalar.h"

enum { PATH_SIZE_MAX = 16 << 10 };

struct frame {
    struct json *container; /* owned */
    struct json *key;       /* of a mapping, between the key and its value; owned */
    struct json *merged;    /* array of what stands at "<<"; owned */
    char *anchor;           /* owned */
    size_t path_size;       /* of builder.path at this container */
    size_t index;           /* of the next element of a sequence */
    size_t values_before, text_before;
    size_t height; /* containers within it */
};

struct anchor {
    struct json *value;
    size_t values, text_size, height;
};

struct builder {
    struct yaml *yaml;
    struct yaml_document document;
    struct frame frames[LIMIT_JSON_DEPTH];
    size_t depth;
    struct buf path; /* of the value that comes next */
    struct map anchors;
    size_t values, text_size; /* so far, aliases included */
    size_t lines_size;        /* of document.lines, of all documents */
    int line;                 /* of the event at hand */
};

/* yaml_parse() puts the name in front. */
static bool fail(struct error *err, enum error_kind kind, int line, const char *what)
{
    return error_set(err, kind, "%d: %s", line, what);
}

static struct bytes token_text(struct fy_token *token)
{
    size_t size = 0;
    const char *text = token ? fy_token_get_text(token, &size) : NULL;
    return text ? bytes_of(text, size) : BYTES_LITERAL("");
}

static struct bytes tag_of(struct fy_token *token)
{
    struct bytes tag = token_text(token);
    struct bytes core = BYTES_LITERAL("tag:yaml.org,2002:");
    return bytes_starts_with(tag, core) ? bytes_slice(tag, core.size, tag.size) : tag;
}

/* A tag of the core schema whose value is written as a plain scalar's. */
static bool is_typed(struct bytes tag)
{
    return bytes_equal_string(tag, "int") || bytes_equal_string(tag, "float") || bytes_equal_string(tag, "bool") ||
           bytes_equal_string(tag, "null");
}

static struct json *scalar_value(const struct fy_event_scalar_data *scalar, int line, struct error *err)
{
    struct bytes text = token_text(scalar->value);
    bool plain = fy_token_scalar_style(scalar->value) == FYSS_PLAIN;
    if (scalar->tag) {
        struct bytes tag = tag_of(scalar->tag);
        plain = is_typed(tag);
        if (!plain && !bytes_equal_string(tag, "str") && !bytes_equal_string(tag, "!")) {
            fail(err, ERROR_INVALID, line, "a tag that is not of the core schema");
            return NULL;
        }
    }
    const char *why = "a text that is not UTF-8";
    struct json *value = plain ? yaml_scalar(text, &why) : json_new_string(text);
    if (!value)
        fail(err, ERROR_INVALID, line, why);
    return value;
}

/* --- Building --- */

static struct frame *top(struct builder *builder)
{
    return builder->depth ? &builder->frames[builder->depth - 1] : NULL;
}

static bool count_values(struct builder *builder, size_t count, struct error *err)
{
    builder->values += count;
    if (builder->values > LIMIT_JSON_VALUES)
        return fail(err, ERROR_LIMIT, builder->line, "too many values, counting what aliases stand for");
    return true;
}

/* An alias for a long text is a few bytes. */
static bool count_text(struct builder *builder, size_t size, struct error *err)
{
    builder->text_size += size;
    if (builder->text_size > YAML_SIZE_MAX)
        return fail(err, ERROR_LIMIT, builder->line, "too much text, counting what aliases stand for");
    return true;
}

static void note_line(struct builder *builder)
{
    if (builder->path.overflowed || builder->lines_size > YAML_LINES_SIZE_MAX ||
        map_find(&builder->document.lines, buf_bytes(&builder->path)))
        return;
    builder->lines_size += builder->path.size;
    map_put(&builder->document.lines, buf_bytes(&builder->path), (void *)(uintptr_t)builder->line);
}

/* Sets builder->path to the value that comes next in the container on top. */
static void enter_path(struct builder *builder, struct bytes name)
{
    struct frame *frame = top(builder);
    builder->path.size = frame->path_size;
    if (frame->path_size > 0)
        buf_append_byte(&builder->path, '.');
    buf_append(&builder->path, name);
}

static bool is_mapping(const struct frame *frame)
{
    return frame && json_is_object(frame->container);
}

/* Before any value but a mapping's key. */
static bool begin_value(struct builder *builder, struct error *err)
{
    struct frame *frame = top(builder);
    if (!frame) {
        builder->document.line = builder->line;
    } else if (!is_mapping(frame)) {
        char index[24];
        int size = snprintf(index, sizeof index, "%zu", frame->index++);
        enter_path(builder, bytes_of(index, (size_t)size));
    } else if (!frame->key) {
        return fail(err, ERROR_INVALID, builder->line, "a key must be a plain or quoted text");
    }
    note_line(builder);
    return count_values(builder, 1, err);
}

static bool take_key(struct builder *builder, const struct fy_event_scalar_data *scalar, struct error *err)
{
    struct frame *frame = top(builder);
    struct bytes text = token_text(scalar->value);
    if (json_get_bytes(frame->container, text)) {
        char what[200];
        snprintf(what, sizeof what, "the key \"%.*s\" is given twice", text.size > 100 ? 100 : (int)text.size,
                 (const char *)text.data);
        return fail(err, ERROR_INVALID, builder->line, what);
    }
    if (!count_text(builder, text.size, err))
        return false;
    frame->key = json_new_string(text);
    if (!frame->key)
        return fail(err, ERROR_INVALID, builder->line, "a key that is not UTF-8");
    enter_path(builder, text);
    note_line(builder);
    return true;
}

/* Keys of what stands at "<<" that the mapping does not have itself; the first one that has a key gives it. */
static void merge(struct json *into, const struct json *merged)
{
    json_array_each (i, from, merged) {
        json_object_each (member, from) {
            if (!json_get(into, member.key))
                json_set(into, member.key, json_clone(member.value));
        }
    }
}

static bool take_merge(struct builder *builder, struct frame *frame, struct json *value, struct error *err)
{
    if (!frame->merged)
        frame->merged = json_new_array();
    if (json_is_object(value))
        return json_append(frame->merged, value);
    bool mappings = json_is_array(value);
    json_array_each (i, element, value)
        mappings = mappings && json_is_object(element);
    if (mappings)
        json_array_each (i, element, value)
            json_append(frame->merged, json_ref(element));
    json_unref(value);
    return mappings || fail(err, ERROR_INVALID, builder->line, "<< needs a mapping or a list of mappings");
}

/* A complete value goes to where it belongs. Takes it over. */
static bool place(struct builder *builder, struct json *value, struct error *err)
{
    struct frame *frame = top(builder);
    if (!frame) {
        json_unref(builder->document.value);
        builder->document.value = value;
        return true;
    }
    if (!is_mapping(frame))
        return json_append(frame->container, value);
    AUTO_JSON *key = TAKE(frame->key);
    if (bytes_equal_string(json_bytes(key), "<<"))
        return take_merge(builder, frame, value, err);
    return json_set_bytes(frame->container, json_bytes(key), value) ||
           fail(err, ERROR_INVALID, builder->line, "a key with a NUL");
}

static void anchor_free(void *value)
{
    struct anchor *anchor = value;
    json_unref(anchor->value);
    free(anchor);
}

static void define_anchor(struct builder *builder, struct bytes name, const struct anchor *what)
{
    struct anchor *anchor = NEW(struct anchor);
    *anchor = *what;
    json_ref(anchor->value);
    struct anchor *before = map_put(&builder->anchors, name, anchor);
    if (before)
        anchor_free(before);
}

static void raise_height(struct builder *builder, size_t height)
{
    struct frame *frame = top(builder);
    if (frame && frame->height < height + 1)
        frame->height = height + 1;
}

static bool on_scalar(struct builder *builder, const struct fy_event_scalar_data *scalar, struct error *err)
{
    struct frame *frame = top(builder);
    if (is_mapping(frame) && !frame->key)
        return take_key(builder, scalar, err);
    size_t size = token_text(scalar->value).size;
    if (!begin_value(builder, err) || !count_text(builder, size, err))
        return false;
    struct json *value = scalar_value(scalar, builder->line, err);
    if (!value)
        return false;
    if (scalar->anchor)
        define_anchor(builder, token_text(scalar->anchor),
                      &(struct anchor){.value = value, .values = 1, .text_size = size});
    return place(builder, value, err);
}

static bool on_alias(struct builder *builder, struct fy_token *token, struct error *err)
{
    const struct anchor *anchor = map_get(&builder->anchors, token_text(token));
    if (!begin_value(builder, err))
        return false;
    if (!anchor)
        return fail(err, ERROR_INVALID, builder->line, "an alias for an anchor that is not there");
    if (builder->depth + anchor->height > LIMIT_JSON_DEPTH)
        return fail(err, ERROR_LIMIT, builder->line, "too many containers within each other");
    if (!count_values(builder, anchor->values, err) || !count_text(builder, anchor->text_size, err))
        return false;
    raise_height(builder, anchor->height);
    return place(builder, json_clone(anchor->value), err);
}

static bool on_start(struct builder *builder, struct json *container, struct fy_token *anchor, struct fy_token *tag,
                     struct error *err)
{
    AUTO_JSON *owned = container;
    struct bytes tag_text = tag ? tag_of(tag) : BYTES_NULL;
    if (tag && !bytes_equal_string(tag_text, json_is_object(container) ? "map" : "seq"))
        return fail(err, ERROR_INVALID, builder->line, "a tag that is not of the core schema");
    if (!begin_value(builder, err) || !count_values(builder, LIMIT_JSON_CONTAINER - 1, err))
        return false;
    if (builder->depth == LIMIT_JSON_DEPTH)
        return fail(err, ERROR_LIMIT, builder->line, "too many containers within each other");
    builder->frames[builder->depth++] = (struct frame){
        .container = TAKE(owned),
        .anchor = anchor ? memory_string(token_text(anchor)) : NULL,
        .path_size = builder->path.size,
        .values_before = builder->values - LIMIT_JSON_CONTAINER,
        .text_before = builder->text_size,
        .height = 1,
    };
    return true;
}

static bool on_stop(struct builder *builder, struct error *err)
{
    struct frame frame = *top(builder);
    builder->depth--;
    if (frame.merged) {
        merge(frame.container, frame.merged);
        json_unref(frame.merged);
    }
    if (frame.anchor)
        define_anchor(builder, bytes_of_string(frame.anchor),
                      &(struct anchor){.value = frame.container,
                                       .values = builder->values - frame.values_before,
                                       .text_size = builder->text_size - frame.text_before,
                                       .height = frame.height});
    free(frame.anchor);
    raise_height(builder, frame.height);
    builder->path.size = frame.path_size;
    return place(builder, frame.container, err);
}

static void document_deinit(struct yaml_document *document)
{
    json_unref(document->value);
    map_deinit(&document->lines, NULL);
    *document = (struct yaml_document){0};
}

static void on_document_end(struct builder *builder)
{
    struct yaml *yaml = builder->yaml;
    map_deinit(&builder->anchors, anchor_free);
    map_init(&builder->anchors);
    builder->path.size = 0;
    if (json_is_null(builder->document.value)) {
        document_deinit(&builder->document);
        return;
    }
    yaml->documents = memory_resize_array(yaml->documents, yaml->count + 1, sizeof yaml->documents[0]);
    yaml->documents[yaml->count++] = builder->document;
    builder->document = (struct yaml_document){0};
}

static struct fy_token *token_of(const struct fy_event *event)
{
    switch (event->type) {
    case FYET_MAPPING_START:
        return event->mapping_start.mapping_start;
    case FYET_SEQUENCE_START:
        return event->sequence_start.sequence_start;
    case FYET_SCALAR:
        return event->scalar.value;
    case FYET_ALIAS:
        return event->alias.anchor;
    default:
        return NULL;
    }
}

static bool on_event(struct builder *builder, struct fy_event *event, struct error *err)
{
    struct fy_token *token = token_of(event);
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (mark)
        builder->line = mark->line + 1;
    switch (event->type) {
    case FYET_MAPPING_START:
        return on_start(builder, json_new_object(), event->mapping_start.anchor, event->mapping_start.tag, err);
    case FYET_SEQUENCE_START:
        return on_start(builder, json_new_array(), event->sequence_start.anchor, event->sequence_start.tag, err);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        return on_stop(builder, err);
    case FYET_SCALAR:
        return on_scalar(builder, &event->scalar, err);
    case FYET_ALIAS:
        return on_alias(builder, event->alias.anchor, err);
    case FYET_DOCUMENT_END:
        on_document_end(builder);
        return true;
    default:
        return true;
    }
}

static void builder_deinit(struct builder *builder)
{
    while (builder->depth > 0) {
        struct frame *frame = &builder->frames[--builder->depth];
        json_unref(frame->container);
        json_unref(frame->key);
        json_unref(frame->merged);
        free(frame->anchor);
    }
    map_deinit(&builder->anchors, anchor_free);
    document_deinit(&builder->document);
    buf_deinit(&builder->path);
}

/* --- libfyaml --- */

static void settle(struct yaml_feed *feed, const struct fy_event *event)
{
    struct fy_token *token = token_of(event);
    const struct fy_mark *end = token ? fy_token_end_mark(token) : NULL;
    yaml_feed_settle(feed, end ? end->input_pos : feed->settled);
}

static bool fail_as_parser(struct fy_diag *diag, struct error *err)
{
    void *at = NULL;
    struct fy_diag_error *first = fy_diag_errors_iterate(diag, &at);
    if (!first)
        return fail(err, ERROR_INVALID, 1, "not YAML");
    return fail(err, ERROR_INVALID, first->line > 0 ? first->line : 1, first->msg);
}

static bool build(struct builder *builder, struct fy_parser *parser, struct yaml_feed *feed, struct fy_diag *diag,
                  struct error *err)
{
    for (;;) {
        struct fy_event *event = fy_parser_parse(parser);
        if (feed->too_far) {
            fy_parser_event_free(parser, event);
            return fail(err, ERROR_LIMIT, builder->line, "a list or mapping in brackets that is too large to be read");
        }
        if (!event)
            return fy_parser_get_stream_error(parser) ? fail_as_parser(diag, err) : true;
        settle(feed, event);
        bool ok = on_event(builder, event, err);
        fy_parser_event_free(parser, event);
        if (!ok)
            return false;
    }
}

/* YAML 1.2.2, section 5.1, of the ASCII part; libfyaml does not stand up to all of these. */
static bool check_characters(struct bytes text, struct error *err)
{
    AUTO_JSON *utf8 = json_new_string(text);
    if (!utf8)
        return fail(err, ERROR_INVALID, 1, "the text is not UTF-8");
    int line = 1;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        line += byte == '\n';
        if ((byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7f)
            return fail(err, ERROR_INVALID, line, "a control character");
        /* A directive. Nobody needs one, and libfyaml does not return from a broken one. */
        if (byte == '%' && (i == 0 || text.data[i - 1] == '\n' || text.data[i - 1] == '\r'))
            return fail(err, ERROR_INVALID, line, "a line that begins with %");
    }
    return true;
}

bool yaml_parse(struct bytes text, const char *name, struct yaml *out, struct error *err)
{
    if (text.size > YAML_SIZE_MAX)
        return error_set(err, ERROR_LIMIT, "%s: larger than %d bytes", name, (int)YAML_SIZE_MAX);
    struct yaml yaml = {0};
    struct builder *builder = NEW(struct builder);
    builder->yaml = &yaml;
    builder->line = 1;
    buf_init(&builder->path, PATH_SIZE_MAX);
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg cfg = {.search_path = "", .flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2, .diag = diag};
    struct fy_parser *parser = fy_parser_create(&cfg);
    if (!parser)
        abort(); /* no memory */
    /* An empty text is no document, but libfyaml takes its null for "to the NUL". */
    struct yaml_feed feed = {.text = text};
    bool ok = text.size == 0 ||
              (check_characters(text, err) && fy_parser_set_input_callback(parser, &feed, yaml_feed_give) == 0 &&
               build(builder, parser, &feed, diag, err));
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    builder_deinit(builder);
    free(builder);
    if (!ok) {
        yaml_deinit(&yaml);
        char message[sizeof err->message];
        memcpy(message, err->message, sizeof message);
        return error_set(err, err->kind, "%s:%s", name, message);
    }
    *out = yaml;
    return true;
}

void yaml_deinit(struct yaml *yaml)
{
    for (size_t i = 0; i < yaml->count; i++)
        document_deinit(&yaml->documents[i]);
    free(yaml->documents);
    *yaml = (struct yaml){0};
}

/* "a[0].b" and "a[x/y]" to the form of the table: "a.0.b", "a.x/y". */
static void normalize(const char *path, struct buf *out)
{
    for (const char *at = path; *at; at++) {
        if (*at == '[')
            buf_append_byte(out, '.');
        else if (*at != ']')
            buf_append_byte(out, (uint8_t)*at);
    }
}

int yaml_line(const struct yaml_document *document, const char *path)
{
    AUTO_BUF key;
    buf_init(&key, PATH_SIZE_MAX);
    normalize(path, &key);
    for (;;) {
        const struct map_entry *entry = map_find(&document->lines, buf_bytes(&key));
        if (entry)
            return (int)(uintptr_t)entry->value;
        while (key.size > 0 && key.data[--key.size] != '.')
            ;
        if (key.size == 0)
            return document->line;
    }
}
