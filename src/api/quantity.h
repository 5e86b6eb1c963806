/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amounts of processor time, memory and the like, as manifests write them: "500m", "0.5", "64Mi", "1e3". A quantity is
 * a decimal number with a suffix of powers of ten (n u m k M G T P E), of 1024 (Ki Mi Gi Ti Pi Ei) or an exponent.
 * Values are kept in billionths within 127 bits, which holds everything up to the largest that Kubernetes has.
 */
#ifndef API_QUANTITY_H
#define API_QUANTITY_H

#include "base/bytes.h"

enum quantity_form { QUANTITY_DECIMAL, QUANTITY_BINARY, QUANTITY_EXPONENT };

__extension__ typedef __int128 quantity_nanos; /* ISO C has no name for it */

struct quantity {
    quantity_nanos nanos;
    enum quantity_form form;
};

enum { QUANTITY_TEXT_SIZE = 64 };

/* False when it is not a quantity. Below a billionth is rounded away from zero; above 2^63-1 units is cut to that. */
bool quantity_parse(struct bytes text, struct quantity *quantity);
/* The canonical text: no fraction, the largest suffix that needs none: "1000m" is "1", "0.5Gi" is "512Mi". */
void quantity_format(struct quantity quantity, char out[QUANTITY_TEXT_SIZE]);
/* In whole units, rounded up: what memory limits and counts use. In thousandths, rounded up: processor time. */
int64_t quantity_units(struct quantity quantity);
int64_t quantity_millis(struct quantity quantity);
/* Below, equal, above zero as a to b. */
int quantity_compare(struct quantity a, struct quantity b);

#endif
