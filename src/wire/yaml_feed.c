/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/yaml_feed.h"

#include <string.h>

static bool is_indicator(uint8_t byte)
{
    return byte == '[' || byte == ']' || byte == '{' || byte == '}' || byte == ',' || byte == ':';
}

static size_t skip_until(struct bytes text, size_t at, const char *ends)
{
    while (at < text.size && !strchr(ends, text.data[at]))
        at++;
    return at;
}

/* Whether what comes after the last event is a scalar of its own style: behind anchor, tag and comment, if there are
 * any. */
static bool scalar_ahead(const struct yaml_feed *feed)
{
    struct bytes text = bytes_slice(feed->text, 0, feed->given);
    size_t at = feed->settled;
    while (at < text.size) {
        uint8_t first = text.data[at];
        if (strchr("|>\"'", first))
            return true;
        if (strchr(" \t\r\n:-?,", first))
            at++;
        else if (first == '&' || first == '!')
            at = skip_until(text, at, " \t\r\n");
        else if (first == '#')
            at = skip_until(text, at, "\n");
        else
            return false;
    }
    return false;
}

ssize_t yaml_feed_give(void *ctx, void *out, size_t size)
{
    struct yaml_feed *feed = ctx;
    struct bytes piece = bytes_slice(feed->text, feed->given, size);
    if (feed->too_far)
        return 0;
    for (size_t i = 0; i < piece.size; i++)
        feed->indicators += is_indicator(piece.data[i]);
    feed->given += piece.size;
    feed->too_far = feed->indicators > YAML_INDICATORS_AHEAD_MAX && !scalar_ahead(feed);
    if (feed->too_far)
        return 0;
    memcpy(out, piece.data, piece.size);
    return (ssize_t)piece.size;
}

void yaml_feed_settle(struct yaml_feed *feed, size_t end)
{
    if (end <= feed->given)
        feed->settled = end;
    feed->indicators = 0;
}
