/* SPDX-License-Identifier: Apache-2.0 */
/* Formats of names and other texts, each with the words that say what would be right. */
#ifndef API_TEXT_FORMAT_H
#define API_TEXT_FORMAT_H

#include "api/schema_table.h"
#include "base/bytes.h"

bool text_has_format(struct bytes text, enum text_format format);
/* "must be a DNS label: ..." */
const char *text_format_words(enum text_format format);
/* The words for label_value_valid(). */
extern const char text_label_value_words[];

#endif
