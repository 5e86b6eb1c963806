/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plain scalar is: null, a boolean, a number or a text, by the core schema of YAML 1.2.2 (section 10.3.2), with
 * the octal numbers of YAML 1.1 beside its own, as kubectl reads them (decision 0504).
 */
#ifndef WIRE_YAML_SCALAR_H
#define WIRE_YAML_SCALAR_H

#include "wire/json.h"

/* NULL: *why says what is wrong with the text. */
struct json *yaml_scalar(struct bytes text, const char **why);

#endif
