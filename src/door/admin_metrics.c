/* SPDX-License-Identifier: Apache-2.0 */
#include "door/admin_metrics.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"

/* Whole numbers without an exponent, up to where a double counts exactly. */
static void append_value(struct buf *out, double value)
{
    if (value > -9e15 && value < 9e15 && value == (double)(int64_t)value)
        buf_printf(out, "%lld", (long long)value);
    else
        buf_printf(out, "%.9g", value);
}

static void append_escaped(struct buf *out, const char *text, bool quotes)
{
    for (; *text; text++) {
        if (*text == '\n')
            buf_append_string(out, "\\n");
        else if (*text == '\\' || (*text == '"' && quotes))
            buf_printf(out, "\\%c", *text);
        else
            buf_append_byte(out, (uint8_t)*text);
    }
}

static void begin_family(struct metrics *metrics, const char *name, const char *type, const char *help)
{
    metrics->family = name;
    buf_printf(metrics->out, "# HELP %s ", name);
    append_escaped(metrics->out, help, false);
    buf_printf(metrics->out, "\n# TYPE %s %s\n", name, type);
}

void metrics_family(struct metrics *metrics, const char *name, enum metrics_type type, const char *help)
{
    begin_family(metrics, name, type == METRICS_COUNTER ? "counter" : "gauge", help);
}

void metrics_sample(struct metrics *metrics, double value, ...)
{
    struct buf *out = metrics->out;
    va_list labels;
    bool any = false;
    buf_append_string(out, metrics->family);
    va_start(labels, value);
    for (const char *name; (name = va_arg(labels, const char *)); any = true) {
        buf_printf(out, "%s%s=\"", any ? "," : "{", name);
        append_escaped(out, va_arg(labels, const char *), true);
        buf_append_byte(out, '"');
    }
    va_end(labels);
    buf_append_string(out, any ? "} " : " ");
    append_value(out, value);
    buf_append_byte(out, '\n');
}

void metrics_one(struct metrics *metrics, const char *name, enum metrics_type type, const char *help, double value)
{
    metrics_family(metrics, name, type, help);
    metrics_sample(metrics, value, NULL);
}

void metrics_histogram_family(struct metrics *metrics, const char *name, const char *help)
{
    begin_family(metrics, name, "histogram", help);
}

/* "{api=\"Fetch\"", or nothing; what follows it separates itself. */
static void append_label(struct buf *out, const char *label, const char *value)
{
    if (!label)
        return;
    buf_printf(out, "%s=\"", label);
    append_escaped(out, value, true);
    buf_append_byte(out, '"');
}

static void append_bucket(struct metrics *metrics, const char *label, const char *value, const char *bound,
                          uint64_t count)
{
    buf_printf(metrics->out, "%s_bucket{", metrics->family);
    append_label(metrics->out, label, value);
    buf_printf(metrics->out, "%sle=\"%s\"} %llu\n", label ? "," : "", bound, (unsigned long long)count);
}

static void begin_total(struct metrics *metrics, const char *which, const char *label, const char *value)
{
    buf_printf(metrics->out, "%s_%s%s", metrics->family, which, label ? "{" : "");
    append_label(metrics->out, label, value);
    buf_append_string(metrics->out, label ? "} " : " ");
}

void metrics_histogram_sample(struct metrics *metrics, const struct metrics_histogram *histogram, const char *label,
                              const char *value)
{
    uint64_t count = 0;
    for (size_t i = 0; i < histogram->bound_count; i++) {
        char bound[32];
        snprintf(bound, sizeof bound, "%.9g", histogram->bounds[i]);
        append_bucket(metrics, label, value, bound, count += histogram->counts[i]);
    }
    append_bucket(metrics, label, value, "+Inf", count += histogram->counts[histogram->bound_count]);
    begin_total(metrics, "sum", label, value);
    append_value(metrics->out, histogram->sum);
    buf_append_byte(metrics->out, '\n');
    begin_total(metrics, "count", label, value);
    buf_printf(metrics->out, "%llu\n", (unsigned long long)count);
}

void metrics_histogram(struct metrics *metrics, const char *name, const char *help,
                       const struct metrics_histogram *histogram)
{
    metrics_histogram_family(metrics, name, help);
    metrics_histogram_sample(metrics, histogram, NULL, NULL);
}
