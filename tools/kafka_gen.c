/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles the notation of Kafka's messages (src/wire/api/README.md) to C structs and tables, at build time.
 * usage: kafka_gen OUT.h OUT.c FILE.api ...
 *
 * It reads everything into one list of apis and one of structs, then prints. Nothing is freed: the process ends.
 */
#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPEN = 127, FIELDS_MAX = 64, STRUCTS_MAX = 1000, APIS_MAX = 128, DEPTH_MAX = 16, INDENT = 4 };

struct type {
    const char *word, *kind, *c;
};

static const struct type TYPES[] = {
    {"bool", "KAFKA_BOOL", "bool"},
    {"i8", "KAFKA_I8", "int8_t"},
    {"i16", "KAFKA_I16", "int16_t"},
    {"u16", "KAFKA_U16", "uint16_t"},
    {"i32", "KAFKA_I32", "int32_t"},
    {"i64", "KAFKA_I64", "int64_t"},
    {"f64", "KAFKA_F64", "double"},
    {"uuid", "KAFKA_UUID", "uint8_t"},
    {"str", "KAFKA_STR", "struct bytes"},
    {"bytes", "KAFKA_BYTES", "struct bytes"},
    {"records", "KAFKA_RECORDS", "struct kafka_record_set"},
};

struct field {
    char *name;
    const struct type *type; /* NULL: a struct */
    struct message *of;      /* then this one */
    bool array;
    int version_min, version_max, nullable_min, tag;
    long long otherwise;
};

/* A message, or a struct within one. */
struct message {
    char *name;   /* in the notation */
    char *c_name; /* kafka_fetch_request_topic */
    struct message *root;
    struct field fields[FIELDS_MAX];
    int field_count;
    bool printed;
};

struct api {
    int key, version_min, version_max, flexible_min;
    char *name;
    struct message *request, *response;
};

static struct message *messages[STRUCTS_MAX];
static int message_count;
static struct api apis[APIS_MAX];
static int api_count;

/* Where the reader is. */
static const char *file;
static int line_number;
static struct message *open_messages[DEPTH_MAX]; /* by depth */
static int depth_open;                           /* lines may be indented so deep */

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", file, line_number);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

__attribute__((format(printf, 1, 2))) static char *text(const char *format, ...)
{
    char *out = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&out, format, args) < 0)
        abort();
    va_end(args);
    return out;
}

static struct message *message_new(struct message *root, const char *name, char *c_name)
{
    if (message_count == STRUCTS_MAX)
        fail("more than %d structs", STRUCTS_MAX);
    struct message *message = calloc(1, sizeof *message);
    *message = (struct message){.name = text("%s", name), .c_name = c_name, .root = root ? root : message};
    return messages[message_count++] = message;
}

static struct message *message_find(const struct message *root, const char *name)
{
    for (int i = 0; i < message_count; i++)
        if (messages[i]->root == root && messages[i] != root && strcmp(messages[i]->name, name) == 0)
            return messages[i];
    return NULL;
}

/* Reads a number off the front of *at; `otherwise` when there is none. */
static int read_version(const char **at, int otherwise)
{
    if (!isdigit((unsigned char)**at))
        return otherwise;
    char *end;
    long value = strtol(*at, &end, 10);
    *at = end;
    return value >= OPEN ? OPEN : (int)value;
}

/* "7+", "..12", "8..10" and "0" */
static bool parse_range(const char *word, int *min, int *max)
{
    const char *at = word;
    *min = read_version(&at, 0);
    if (strcmp(at, "+") == 0 && at != word)
        *max = OPEN;
    else if (strncmp(at, "..", 2) == 0 && isdigit((unsigned char)at[2])) {
        at += 2;
        *max = read_version(&at, OPEN);
        return *at == 0;
    } else if (*at == 0 && at != word)
        *max = *min;
    else
        return false;
    return true;
}

static void parse_api(char *words[], int count)
{
    struct api *api = &apis[api_count++];
    if (api_count == APIS_MAX)
        fail("more than %d apis", APIS_MAX);
    *api = (struct api){.flexible_min = OPEN};
    if (count != 4 && !(count == 6 && strcmp(words[4], "flex") == 0))
        fail("want: api KEY NAME MIN..MAX [flex VERSION]");
    api->key = atoi(words[1]);
    api->name = text("%s", words[2]);
    if (!parse_range(words[3], &api->version_min, &api->version_max) || api->version_max == OPEN)
        fail("%s is not a range of versions", words[3]);
    if (count == 6)
        api->flexible_min = atoi(words[5]);
    depth_open = 0;
}

static void parse_message(const char *word)
{
    if (api_count == 0)
        fail("%s before the first api", word);
    struct api *api = &apis[api_count - 1];
    bool request = strcmp(word, "request") == 0;
    struct message **slot = request ? &api->request : &api->response;
    if (*slot)
        fail("%s has a %s already", api->name, word);
    *slot = message_new(NULL, word, text("kafka_%s_%s", api->name, word));
    open_messages[1] = *slot;
    depth_open = 1;
}

/* A struct on its own, that no request carries. */
static void parse_data(char *words[], int count)
{
    if (count != 2)
        fail("want: data NAME");
    open_messages[1] = message_new(NULL, words[1], text("kafka_%s", words[1]));
    depth_open = 1;
}

/* "[]topic?7+" */
static void parse_type(struct field *field, char *word, int depth)
{
    bool braces = strncmp(word, "{}", 2) == 0;
    field->array = strncmp(word, "[]", 2) == 0;
    char *name = word + (braces || field->array ? 2 : 0);
    char *mark = strchr(name, '?');
    field->nullable_min = OPEN;
    if (mark) {
        int max;
        *mark++ = 0;
        if (*mark == 0)
            field->nullable_min = 0;
        else if (!parse_range(mark, &field->nullable_min, &max) || max != OPEN)
            fail("?%s: want ? or ?VERSION+", mark);
    }
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0] && !braces; i++)
        if (strcmp(TYPES[i].word, name) == 0)
            field->type = &TYPES[i];
    if (field->type)
        return;
    if (!braces && !field->array)
        fail("%s is not a type (structs are {}name or []name)", name);
    struct message *root = open_messages[depth]->root;
    field->of = message_find(root, name);
    if (!field->of)
        field->of = message_new(root, name, text("%s_%s", root->c_name, name));
    if (depth + 1 == DEPTH_MAX)
        fail("nested deeper than %d", DEPTH_MAX);
    open_messages[depth + 1] = field->of;
    depth_open = depth + 1;
}

static void parse_field(char *words[], int count, int depth)
{
    if (depth < 1 || depth > depth_open)
        fail("%s is indented deeper than what is around it", words[0]);
    depth_open = depth;
    struct message *message = open_messages[depth];
    if (count < 2 || message->field_count == FIELDS_MAX)
        fail("%s: %s", words[0], count < 2 ? "has no type" : "too many fields");
    for (int i = 0; i < message->field_count; i++)
        if (strcmp(message->fields[i].name, words[0]) == 0)
            fail("%s is there twice", words[0]);
    struct field *field = &message->fields[message->field_count++];
    *field = (struct field){.name = text("%s", words[0]), .version_max = OPEN, .tag = -1};
    parse_type(field, words[1], depth);
    for (int i = 2; i < count; i++) {
        if (words[i][0] == '=')
            field->otherwise = strtoll(words[i] + 1, NULL, 0);
        else if (words[i][0] == '@')
            field->tag = atoi(words[i] + 1);
        else if (!parse_range(words[i], &field->version_min, &field->version_max))
            fail("%s: %s is neither a range of versions nor =DEFAULT nor @TAG", words[0], words[i]);
    }
}

static void parse_line(char *line)
{
    char *words[8];
    int count = 0, indent = (int)strspn(line, " ");
    line[strcspn(line, "#\n")] = 0;
    for (char *at = strtok(line, " "); at; at = strtok(NULL, " ")) {
        if (count == 8)
            fail("too many words");
        words[count++] = at;
    }
    if (count == 0)
        return;
    if (indent % INDENT)
        fail("indented by %d, which is not a multiple of %d", indent, INDENT);
    if (indent > 0)
        parse_field(words, count, indent / INDENT);
    else if (strcmp(words[0], "api") == 0)
        parse_api(words, count);
    else if (strcmp(words[0], "data") == 0)
        parse_data(words, count);
    else if (count == 1 && (strcmp(words[0], "request") == 0 || strcmp(words[0], "response") == 0))
        parse_message(words[0]);
    else
        fail("want api, request, response, data or an indented field, not %s", words[0]);
}

static void parse_file(const char *path)
{
    char line[512];
    FILE *in = fopen(path, "r");
    file = path;
    line_number = 0;
    if (!in) {
        perror(path);
        exit(1);
    }
    while (fgets(line, sizeof line, in)) {
        line_number++;
        parse_line(line);
    }
    fclose(in);
}

static void print_member(FILE *out, const struct field *field)
{
    bool uuid = field->type && strcmp(field->type->word, "uuid") == 0;
    const char *c = field->type ? field->type->c : text("struct %s", field->of->c_name);
    if (field->array)
        fprintf(out, uuid ? "    %s (*%s)[16];\n" : "    %s *%s;\n", c, field->name);
    else
        fprintf(out, "    %s %s%s%s;\n", c, field->of && field->nullable_min < OPEN ? "*" : "", field->name,
                uuid ? "[16]" : "");
    if (field->array)
        fprintf(out, "    size_t %s_count;\n", field->name);
}

/* Those within it first: C wants them complete. */
static void print_struct(FILE *out, struct message *message)
{
    if (message->printed)
        return;
    message->printed = true;
    for (int i = 0; i < message->field_count; i++)
        if (message->fields[i].of)
            print_struct(out, message->fields[i].of);
    fprintf(out, "\nstruct %s {\n", message->c_name);
    for (int i = 0; i < message->field_count; i++)
        print_member(out, &message->fields[i]);
    fprintf(out, "};\nextern const struct kafka_struct %s_type;\n", message->c_name);
}

static void print_header(FILE *out)
{
    fprintf(out, "/* Made by tools/kafka_gen.c from src/wire/api. */\n"
                 "#ifndef WIRE_KAFKA_MESSAGES_H\n#define WIRE_KAFKA_MESSAGES_H\n\n#include \"wire/kafka_message.h\"\n\n"
                 "enum kafka_api_key {\n");
    for (int i = 0; i < api_count; i++) {
        fprintf(out, "    KAFKA_");
        for (const char *at = apis[i].name; *at; at++)
            fputc(toupper((unsigned char)*at), out);
        fprintf(out, " = %d,\n", apis[i].key);
    }
    fprintf(out, "};\n");
    for (int i = 0; i < message_count; i++)
        print_struct(out, messages[i]);
    fprintf(out, "\n#endif\n");
}

static void print_table(FILE *out, const struct message *message)
{
    fprintf(out, "\nstatic const struct kafka_field %s_fields[] = {\n", message->c_name);
    for (int i = 0; i < message->field_count; i++) {
        const struct field *field = &message->fields[i];
        fprintf(out, "    {\"%s\", %s%s%s, %lldLL%s, offsetof(struct %s, %s), %s, %s, %d, %d, %d, %d},\n", field->name,
                field->of ? "&" : "", field->of ? field->of->c_name : "NULL", field->of ? "_type" : "",
                field->otherwise == LLONG_MIN ? LLONG_MIN + 1 : field->otherwise,
                field->otherwise == LLONG_MIN ? " - 1" : "", message->c_name, field->name,
                field->of ? "KAFKA_STRUCT" : field->type->kind, field->array ? "true" : "false", field->version_min,
                field->version_max, field->nullable_min, field->tag);
    }
    fprintf(out, "};\nconst struct kafka_struct %s_type = {\"%s\", %s_fields, %d, sizeof(struct %s)};\n",
            message->c_name, message->name, message->c_name, message->field_count, message->c_name);
}

/* find_coordinator -> FindCoordinator */
static void print_camel(FILE *out, const char *name)
{
    for (bool up = true; *name; up = *name++ == '_')
        if (*name != '_')
            fputc(up ? toupper((unsigned char)*name) : *name, out);
}

static void print_source(FILE *out)
{
    fprintf(out, "/* Made by tools/kafka_gen.c from src/wire/api. */\n#include \"wire/kafka_messages.h\"\n");
    for (int i = 0; i < message_count; i++)
        print_table(out, messages[i]);
    fprintf(out, "\nconst struct kafka_api kafka_apis[] = {\n");
    for (int i = 0; i < api_count; i++) {
        fprintf(out, "    {%d, %d, %d, %d, \"", apis[i].key, apis[i].version_min, apis[i].version_max,
                apis[i].flexible_min);
        print_camel(out, apis[i].name);
        fprintf(out, "\", &%s_type, &%s_type},\n", apis[i].request->c_name, apis[i].response->c_name);
    }
    fprintf(out, "};\nconst size_t kafka_apis_count = %d;\n", api_count);
}

static int by_key(const void *a, const void *b)
{
    return ((const struct api *)a)->key - ((const struct api *)b)->key;
}

static void check(void)
{
    qsort(apis, (size_t)api_count, sizeof apis[0], by_key);
    for (int i = 0; i < api_count; i++) {
        if (!apis[i].request || !apis[i].response)
            fail("%s has no %s", apis[i].name, apis[i].request ? "response" : "request");
        if (i > 0 && apis[i - 1].key == apis[i].key)
            fail("%s and %s have the same key", apis[i - 1].name, apis[i].name);
    }
    for (int i = 0; i < message_count; i++)
        if (messages[i]->field_count == 0)
            fail("%s has no fields", messages[i]->c_name);
}

static void write_file(const char *path, void (*print)(FILE *out))
{
    FILE *out = fopen(path, "w");
    if (out)
        print(out);
    if (!out || ferror(out) || fclose(out) != 0) {
        perror(path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: kafka_gen OUT.h OUT.c FILE.api ...\n");
        return 2;
    }
    for (int i = 3; i < argc; i++)
        parse_file(argv[i]);
    check();
    write_file(argv[1], print_header);
    write_file(argv[2], print_source);
    return 0;
}
