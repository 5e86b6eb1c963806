/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles src/api/kinds/ *.kind to the tables of src/api/schema_table.h.
 *
 * usage: kind_gen OUTPUT.c INPUT.kind ...
 *
 * The notation is described in src/api/kinds/README.md. A mistake in it ends the build with file and line. Messages may
 * refer to each other across files and in any order, so there are two passes: read everything, then resolve and write.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 40, FIELDS_MAX = 64, LINE_MAX_SIZE = 2000 };

struct source_field {
    char *name, *type, *words;
    char *attributes[WORDS_MAX];
    int attribute_count, tag;
    bool acted;
    const char *file;
    int line;
};

struct source_message {
    char *name, *package, *words;
    bool acted; /* all its fields are */
    struct source_field fields[FIELDS_MAX];
    int field_count, row_count;
};

struct source_column {
    char *name, *type, *source, *words;
    bool wide;
};

struct source_kind {
    char *name, *package, *group_version, *plural;
    char *attributes[WORDS_MAX];
    int attribute_count;
    bool request;
    int column, column_count;
    const char *file;
    int line;
};

static struct source_message *messages;
static struct source_kind *kinds;
static struct source_column *columns;
static int message_count, kind_count, column_count;
static const char *current_file;
static int current_line;
static uint64_t hash = 14695981039346656037u; /* FNV-1a over all input */

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", current_file, current_line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

/* One more element at the end of an array that grows by doubling. */
static void *grown(void *array, int count, size_t size)
{
    if (count & (count - 1))
        return array;
    void *memory = realloc(array, (size_t)(count ? 2 * count : 1) * size);
    if (!memory)
        die("out of memory");
    return memory;
}

/* Texts live as long as the program; the list keeps leak checkers content. */
static struct kept {
    struct kept *next;
    char text[];
} * all_kept;

static char *copy(const char *text)
{
    size_t size = strlen(text) + 1;
    struct kept *kept = malloc(sizeof *kept + size);
    if (!kept)
        die("out of memory");
    memcpy(kept->text, text, size);
    kept->next = all_kept;
    all_kept = kept;
    return kept->text;
}

/* --- String pools: equal texts are stored once, offset 0 is the empty text --- */
struct pool {
    char *data;
    size_t size, capacity;
};

static struct pool names, words;

static size_t pool_add(struct pool *pool, const char *text)
{
    size_t size = strlen(text) + 1;
    for (size_t at = 0; at < pool->size; at += strlen(pool->data + at) + 1)
        if (strcmp(pool->data + at, text) == 0)
            return at;
    if (pool->size + size > pool->capacity) {
        pool->capacity = 2 * (pool->size + size);
        pool->data = realloc(pool->data, pool->capacity);
        if (!pool->data)
            die("out of memory");
    }
    memcpy(pool->data + pool->size, text, size);
    pool->size += size;
    return pool->size - size;
}

static size_t name_of(const char *text)
{
    size_t at = pool_add(&names, text);
    if (at > UINT16_MAX)
        die("more names than 64 KiB");
    return at;
}

static void pool_write(const struct pool *pool, const char *name, FILE *out)
{
    fprintf(out, "const char %s[] =", name);
    for (size_t at = 0; at < pool->size; at += strlen(pool->data + at) + 1) {
        fputs("\n    \"", out);
        for (const char *c = pool->data + at; *c; c++)
            fprintf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
        fputs("\\0\"", out);
    }
    fputs(";\n\n", out);
}

/* --- Reading --- */

static int split(char *line, char *cells[WORDS_MAX])
{
    int count = 0;
    for (char *cell = strtok(line, " \t"); cell; cell = strtok(NULL, " \t")) {
        if (count == WORDS_MAX)
            die("more than %d words", WORDS_MAX);
        cells[count++] = copy(cell);
    }
    return count;
}

static struct source_message *read_message(char **cells, int count, const char *package, const char *text)
{
    if (count < 2 || count > 3 || (count == 3 && strcmp(cells[2], "acted") != 0))
        die("message NAME [acted] | words");
    messages = grown(messages, message_count, sizeof *messages);
    struct source_message *message = &messages[message_count++];
    *message =
        (struct source_message){.name = cells[1], .package = copy(package), .words = copy(text), .acted = count == 3};
    return message;
}

static void read_kind(char **cells, int count, const char *package, const char *group_version)
{
    bool request = strcmp(cells[0], "request") == 0;
    int first = request ? 2 : 3;
    if (count < first)
        die("kind NAME PLURAL attributes, or request NAME");
    kinds = grown(kinds, kind_count, sizeof *kinds);
    struct source_kind *kind = &kinds[kind_count++];
    *kind = (struct source_kind){.name = cells[1],
                                 .package = copy(package),
                                 .group_version = copy(group_version),
                                 .request = request,
                                 .column = column_count,
                                 .file = current_file,
                                 .line = current_line,
                                 .plural = request ? NULL : cells[2]};
    for (int i = first; i < count; i++)
        kind->attributes[kind->attribute_count++] = cells[i];
}

static void read_column(char **cells, int count, const char *text)
{
    if (count < 4 || count > 5 || (count == 5 && strcmp(cells[4], "wide") != 0) || kind_count == 0)
        die("column NAME TYPE SOURCE [wide] | words, below a kind");
    for (char *c = cells[1]; *c; c++)
        if (*c == '_')
            *c = ' ';
    columns = grown(columns, column_count, sizeof *columns);
    columns[column_count++] = (struct source_column){
        .name = cells[1], .type = cells[2], .source = cells[3], .words = copy(text), .wide = count == 5};
    kinds[kind_count - 1].column_count++;
}

static void read_field(struct source_message *message, char **cells, int count, const char *text)
{
    bool acted = strcmp(cells[0], "*") == 0;
    cells += acted;
    count -= acted;
    if (count < 3)
        die("NAME TAG TYPE attributes | words");
    if (message->field_count == FIELDS_MAX)
        die("more than %d fields", FIELDS_MAX);
    struct source_field *field = &message->fields[message->field_count++];
    *field = (struct source_field){.name = cells[0],
                                   .tag = atoi(cells[1]),
                                   .type = cells[2],
                                   .words = copy(text),
                                   .acted = acted || message->acted,
                                   .file = current_file,
                                   .line = current_line};
    for (int i = 3; i < count; i++)
        field->attributes[field->attribute_count++] = cells[i];
}

static void read_file(const char *path)
{
    FILE *in = fopen(path, "r");
    current_file = path;
    current_line = 0;
    if (!in)
        die("cannot be read");
    char line[LINE_MAX_SIZE], package[200] = "", group_version[100] = "";
    struct source_message *message = NULL;
    while (fgets(line, sizeof line, in)) {
        current_line++;
        if (!strchr(line, '\n'))
            die("the line is too long, or the last one has no end");
        for (char *c = line; *c; c++)
            hash = (hash ^ (uint8_t)*c) * 1099511628211u;
        line[strcspn(line, "\n")] = 0;
        char *bar = strstr(line, " | "), *text = bar ? bar + 3 : line + strlen(line);
        if (bar)
            *bar = 0;
        bool indented = line[0] == ' ' || line[0] == '*';
        char *cells[WORDS_MAX];
        if (line[0] == '#')
            continue;
        int count = split(line, cells);
        if (count == 0)
            continue;
        if (indented && message)
            read_field(message, cells, count, text);
        else if (strcmp(cells[0], "package") == 0 && count == 3)
            snprintf(package, sizeof package, "%s", cells[1]),
                snprintf(group_version, sizeof group_version, "%s", cells[2]);
        else if (strcmp(cells[0], "message") == 0)
            message = read_message(cells, count, package, text);
        else if (strcmp(cells[0], "kind") == 0 || strcmp(cells[0], "request") == 0)
            read_kind(cells, count, package, group_version);
        else if (strcmp(cells[0], "column") == 0)
            read_column(cells, count, text);
        else
            die("neither package, kind, request, column, message nor a field of one: %s", cells[0]);
    }
    fclose(in);
}

/* --- Resolving --- */

/* By full name; in the same package; or the only one of that name. */
static int find_message(const char *name, const char *package)
{
    int found = -1, same_name = 0;
    for (int i = 0; i < message_count; i++) {
        size_t size = strlen(messages[i].package);
        if (strncmp(name, messages[i].package, size) == 0 && name[size] == '.' &&
            strcmp(name + size + 1, messages[i].name) == 0)
            return i;
        if (strcmp(name, messages[i].name) != 0)
            continue;
        if (strcmp(package, messages[i].package) == 0)
            return i;
        found = i;
        same_name++;
    }
    if (same_name != 1)
        die(same_name ? "%s is in more than one package: write the package before it" : "no such type: %s", name);
    return found;
}

static const char *const scalar_names[] = {"string",   "bool",     "int32",        "int64",    "double",
                                           "bytes",    "Quantity", "IntOrString",  "Time",     "MicroTime",
                                           "Duration", "Any",      "RawExtension", "FieldsV1", "StringList"};
static const char *const scalar_types[] = {"STRING",   "BOOL",     "INT32",         "INT64",     "DOUBLE",
                                           "BYTES",    "QUANTITY", "INT_OR_STRING", "TIME",      "MICRO_TIME",
                                           "DURATION", "ANY",      "RAW_EXTENSION", "FIELDS_V1", "STRING_LIST"};
enum { SCALAR_COUNT = sizeof scalar_names / sizeof *scalar_names };

static const char *const format_names[] = {"dns_label", "dns_subdomain", "dns1035_label", "label_key",
                                           "port_name", "env_name",      "path_segment",  "config_key",
                                           "ip",        "duration",      "relative_path", "header_name"};

/* --- Writing --- */
static int rule_count, row_count;
static FILE *rules_out; /* rules are found while fields are written: a second stream */
static char *rules_text;
static size_t rules_size;

static void write_rule(const char *kind, size_t text, const char *number)
{
    fprintf(rules_out, "    {RULE_%s, %zu, %s},\n", kind, text, number);
    rule_count++;
}

/* True when `attribute` is a rule, which is then written. */
static bool is_rule(const char *attribute)
{
    if (strncmp(attribute, "min=", 4) == 0)
        return write_rule("MIN", 0, attribute + 4), true;
    if (strncmp(attribute, "max=", 4) == 0)
        return write_rule("MAX", 0, attribute + 4), true;
    if (strncmp(attribute, "enum=", 5) == 0)
        return write_rule("ENUM", name_of(attribute + 5), "0"), true;
    if (strcmp(attribute, "nonempty") == 0)
        return write_rule("NONEMPTY", 0, "0"), true;
    if (strcmp(attribute, "may_be_empty") == 0)
        return write_rule("MAY_BE_EMPTY", 0, "0"), true;
    if (strncmp(attribute, "acted=", 6) == 0)
        return write_rule("ACTED", name_of(attribute + 6), "0"), true;
    for (size_t i = 0; i < sizeof format_names / sizeof *format_names; i++) {
        if (strcmp(attribute, format_names[i]) != 0)
            continue;
        char number[40] = "FORMAT_";
        for (size_t at = 0; attribute[at]; at++)
            number[7 + at] = (char)toupper((unsigned char)attribute[at]);
        return write_rule("FORMAT", 0, number), true;
    }
    return false;
}

/* A default is JSON: numbers, true and {} as they stand, everything else is a text. */
static size_t default_of(const char *text)
{
    char quoted[LINE_MAX_SIZE];
    bool number = *text && text[strspn(text, "-0123456789")] == 0;
    bool plain = number || *text == '{' || *text == '[' || *text == '"' || strcmp(text, "true") == 0 ||
                 strcmp(text, "false") == 0;
    snprintf(quoted, sizeof quoted, plain ? "%s" : "\"%s\"", text);
    return name_of(quoted);
}

struct attributes {
    char flags[400];
    size_t merge_key, list_keys, otherwise, stored;
    int rule, rule_count;
};

static void add_flag(struct attributes *attributes, const char *flag)
{
    size_t size = strlen(attributes->flags);
    snprintf(attributes->flags + size, sizeof attributes->flags - size, " | FIELD_%s", flag);
}

static void read_attribute(struct attributes *attributes, const char *attribute)
{
    if (strcmp(attribute, "required") == 0)
        add_flag(attributes, "IS_REQUIRED");
    else if (strcmp(attribute, "merge") == 0)
        add_flag(attributes, "MERGE");
    else if (strncmp(attribute, "merge=", 6) == 0)
        add_flag(attributes, "MERGE"), attributes->merge_key = name_of(attribute + 6);
    else if (strcmp(attribute, "retainKeys") == 0)
        add_flag(attributes, "RETAIN_KEYS");
    else if (strcmp(attribute, "atomic") == 0)
        add_flag(attributes, "ATOMIC");
    else if (strcmp(attribute, "set") == 0)
        add_flag(attributes, "SET");
    else if (strcmp(attribute, "preserve") == 0)
        add_flag(attributes, "PRESERVE");
    else if (strncmp(attribute, "keys=", 5) == 0)
        attributes->list_keys = name_of(attribute + 5);
    else if (strncmp(attribute, "default=", 8) == 0)
        add_flag(attributes, "HAS_DEFAULT"), attributes->otherwise = default_of(attribute + 8);
    else if (strncmp(attribute, "neutral=", 8) == 0)
        attributes->otherwise = default_of(attribute + 8);
    else if (strncmp(attribute, "stored=", 7) == 0)
        attributes->stored = name_of(attribute + 7);
    else if (is_rule(attribute))
        attributes->rule_count++;
    else
        die("no such attribute: %s", attribute);
}

struct resolved {
    const char *type, *shape, *presence;
    int message;
};

static struct resolved resolve_type(const struct source_field *field, const char *package)
{
    struct resolved resolved = {"MESSAGE", "ONE", NULL, -1};
    char name[LINE_MAX_SIZE];
    snprintf(name, sizeof name, "%s", field->type);
    size_t size = strlen(name);
    if (name[size - 1] == '?' || name[size - 1] == '!') {
        resolved.presence = name[size - 1] == '?' ? "POINTER" : "ALWAYS";
        name[size - 1] = 0;
    }
    const char *inner = name;
    if (strncmp(inner, "[]", 2) == 0)
        resolved.shape = "LIST", inner += 2;
    else if (strncmp(inner, "map[string]", 11) == 0)
        resolved.shape = "MAP", inner += 11;
    for (int i = 0; i < SCALAR_COUNT; i++)
        if (strcmp(inner, scalar_names[i]) == 0)
            resolved.type = scalar_types[i];
    if (strcmp(resolved.type, "MESSAGE") == 0)
        resolved.message = find_message(inner, package);
    return resolved;
}

static void write_row(const struct source_field *field, const char *package, const char *extra_flag)
{
    current_file = field->file;
    current_line = field->line;
    struct resolved type = resolve_type(field, package);
    struct attributes attributes = {.flags = "0", .rule = rule_count};
    if (type.presence)
        add_flag(&attributes, type.presence);
    if (field->acted)
        add_flag(&attributes, "ACTED");
    if (extra_flag)
        add_flag(&attributes, extra_flag);
    for (int i = 0; i < field->attribute_count; i++)
        read_attribute(&attributes, field->attributes[i]);
    bool inlined = extra_flag && strcmp(extra_flag, "INLINED") == 0;
    printf("    {%zu, %d, %d, %s, TYPE_%s, SHAPE_%s, %d, %d, %zu, %zu, %zu, %zu, %zu}, /* %s */\n",
           name_of(field->name), inlined ? 0 : field->tag, type.message < 0 ? 0 : type.message, attributes.flags,
           type.type, type.shape, attributes.rule_count, attributes.rule, attributes.merge_key, attributes.list_keys,
           attributes.otherwise, attributes.stored, pool_add(&words, field->words), field->name);
    row_count++;
}

static int write_rows(const struct source_message *message)
{
    int before = row_count;
    for (int i = 0; i < message->field_count; i++) {
        const struct source_field *field = &message->fields[i];
        bool inline_ = strcmp(field->name, "inline") == 0;
        write_row(field, message->package, inline_ ? "INLINE" : NULL);
        if (!inline_)
            continue;
        const struct source_message *inner = &messages[find_message(field->type, message->package)];
        for (int j = 0; j < inner->field_count; j++) {
            if (strcmp(inner->fields[j].name, "inline") == 0)
                die("%s: inline within inline", inner->name);
            write_row(&inner->fields[j], inner->package, "INLINED");
        }
    }
    if (row_count - before > FIELDS_MAX)
        die("%s: more than %d fields with the inlined ones", message->name, FIELDS_MAX);
    return row_count - before;
}

static void write_messages(void)
{
    int first = 0;
    printf("const struct field schema_fields[] = {\n");
    for (int i = 0; i < message_count; i++) {
        printf("    /* %s.%s */\n", messages[i].package, messages[i].name);
        messages[i].row_count = write_rows(&messages[i]);
    }
    printf("};\n\nconst struct message schema_messages[] = {\n");
    for (int i = 0; i < message_count; i++) {
        printf("    {%zu, %zu, %d, %d, %zu}, /* %d: %s */\n", name_of(messages[i].name), name_of(messages[i].package),
               first, messages[i].row_count, pool_add(&words, messages[i].words), i, messages[i].name);
        first += messages[i].row_count;
    }
    printf("};\nconst size_t schema_message_count = %d;\n\n", message_count);
}

static void write_columns(void)
{
    printf("const struct column schema_columns[] = {\n");
    for (int i = 0; i < column_count; i++)
        printf("    {%zu, %zu, %zu, %d, %zu}, /* %s */\n", name_of(columns[i].name), name_of(columns[i].type),
               name_of(columns[i].source), columns[i].wide, pool_add(&words, columns[i].words), columns[i].name);
    printf("};\n\n");
}

/* A NULL-terminated list of texts, from "po,pods". */
static void write_list(const char *member, const char *values)
{
    printf(", .%s = (const char *const[]){", member);
    char *list = copy(values);
    for (char *value = strtok(list, ","); value; value = strtok(NULL, ","))
        printf("\"%s\", ", value);
    printf("NULL}");
}

/* That of "apps/v1/Deployment" among those that are written; the kinds are in their order. */
static int kind_index(const char *full_name)
{
    int index = 0;
    for (int i = 0; i < kind_count; i++) {
        size_t size = strlen(kinds[i].group_version);
        if (kinds[i].request)
            continue;
        if (strncmp(full_name, kinds[i].group_version, size) == 0 && full_name[size] == '/' &&
            strcmp(full_name + size + 1, kinds[i].name) == 0)
            return index;
        index++;
    }
    die("no such kind: %s", full_name);
}

static void write_kind(const struct source_kind *kind)
{
    current_file = kind->file;
    current_line = kind->line;
    const char *slash = strchr(kind->group_version, '/'), *shorts = "", *categories = "";
    char singular[100];
    size_t size = 0;
    for (; kind->name[size] && size + 1 < sizeof singular; size++)
        singular[size] = (char)tolower((unsigned char)kind->name[size]);
    singular[size] = 0;
    printf("    {.group = \"%.*s\", .version = \"%s\", .api_version = \"%s\", .kind = \"%s\"",
           slash ? (int)(slash - kind->group_version) : 0, kind->group_version, slash ? slash + 1 : kind->group_version,
           kind->group_version, kind->name);
    if (kind->plural)
        printf(", .plural = \"%s\"", kind->plural);
    for (int i = 0; i < kind->attribute_count; i++) {
        const char *attribute = kind->attributes[i];
        if (strncmp(attribute, "short=", 6) == 0)
            shorts = attribute + 6;
        else if (strncmp(attribute, "categories=", 11) == 0)
            categories = attribute + 11;
        else if (strcmp(attribute, "namespaced") == 0)
            printf(", .namespaced = true");
        else if (strcmp(attribute, "status") == 0)
            printf(", .has_status = true");
        else if (strcmp(attribute, "scale") == 0)
            printf(", .has_scale = true");
        else if (strcmp(attribute, "custom") == 0)
            printf(", .custom = true");
        else if (strncmp(attribute, "view=", 5) == 0)
            printf(", .stored = &schema_kinds[%d]", kind_index(attribute + 5));
        else
            die("no such attribute of a kind: %s", attribute);
    }
    printf(", .singular = \"%s\"", singular);
    write_list("short_names", shorts);
    write_list("categories", categories);
    printf(",\n     .message = &schema_messages[%d], .columns = schema_columns + %d, .column_count = %d},\n",
           find_message(kind->name, kind->package), kind->column, kind->column_count);
}

/* In the order of group, version, kind. */
static int compare_kinds(const void *a, const void *b)
{
    const struct source_kind *left = a, *right = b;
    bool left_core = !strchr(left->group_version, '/'), right_core = !strchr(right->group_version, '/');
    if (left_core != right_core)
        return left_core ? -1 : 1;
    int order = strcmp(left->group_version, right->group_version);
    return order ? order : strcmp(left->name, right->name);
}

static void write_kinds(bool requests, const char *array, const char *count_name)
{
    int count = 0;
    printf("const struct kind %s[] = {\n", array);
    for (int i = 0; i < kind_count; i++)
        if (kinds[i].request == requests)
            write_kind(&kinds[i]), count++;
    printf("};\nconst size_t %s = %d;\n\n", count_name, count);
}

int main(int argc, char **argv)
{
    if (argc < 3 || !freopen(argv[1], "w", stdout)) {
        fprintf(stderr, "usage: kind_gen OUTPUT.c INPUT.kind ...\n");
        return 1;
    }
    pool_add(&names, "");
    pool_add(&words, "");
    for (int i = 2; i < argc; i++)
        read_file(argv[i]);
    qsort(kinds, (size_t)kind_count, sizeof *kinds, compare_kinds);
    rules_out = open_memstream(&rules_text, &rules_size);
    if (!rules_out)
        return 1;
    printf("/* Made by tools/kind_gen.c from src/api/kinds/. */\n#include \"api/schema_table.h\"\n\n");
    write_messages();
    fclose(rules_out);
    printf("const struct rule schema_rules[] = {\n%s    {0, 0, 0}};\n\n", rules_text);
    write_columns();
    write_kinds(false, "schema_kinds", "schema_kind_count");
    write_kinds(true, "schema_requests", "schema_request_count");
    pool_write(&names, "schema_names", stdout);
    pool_write(&words, "schema_words", stdout);
    printf("const char schema_hash[] = \"%016" PRIX64 "\" EVOKE_VERSION;\n", hash);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
