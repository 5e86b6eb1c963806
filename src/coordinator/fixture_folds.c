/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/coordinator_folds.h"
#include "log/fixture.h"

const struct log_fold *const *const fixture_folds = coordinator_folds;
