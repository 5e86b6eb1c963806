/* SPDX-License-Identifier: Apache-2.0 */
#include "node/runtime.h"
struct runtime *runtime_oci_open(struct io *io, const struct runtime_options *options, struct error *err)
{
    (void)io;
    (void)options;
    error_set(err, ERROR_UNSUPPORTED, "containers");
    return NULL;
}
