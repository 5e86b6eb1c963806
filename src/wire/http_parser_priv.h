/* SPDX-License-Identifier: Apache-2.0 */
/* Between http_parser.c, which goes from byte to byte, and http_head.c, which takes a whole head apart. */
#ifndef WIRE_HTTP_PARSER_PRIV_H
#define WIRE_HTTP_PARSER_PRIV_H

#include "wire/http.h"

/* Sets error_status, and `err` to ERROR_INVALID or, for 414 and 431, ERROR_LIMIT. Returns false. */
bool http_parser_refuse(struct http_parser *parser, int status, struct error *err, const char *why);
/* Makes parser->head of head_bytes, which ends with the empty line. False: error_status says how to answer. */
MUST_CHECK bool http_parser_read_head(struct http_parser *parser, struct error *err);
bool http_is_token_byte(uint8_t byte); /* RFC 9110 section 5.6.2: what names of methods and fields consist of */

#endif
