/* SPDX-License-Identifier: Apache-2.0 */
#include "base/histogram.h"

const double histogram_seconds[HISTOGRAM_BOUNDS] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                    0.05,   0.1,     0.25,   0.5,   1,      2.5,   10};

/* Powers of two, spaced most closely where batches and requests are. */
const double histogram_bytes[HISTOGRAM_BOUNDS] = {64,        256,       1024,       4096,     16384,
                                                  65536,     131072,    262144,     524288,   1048576,
                                                  2097152.0, 4194304.0, 16777216.0, 67108864, 134217728};
