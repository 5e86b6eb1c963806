/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/coordinator_folds.h"

#include "coordinator/group_priv.h"
#include "coordinator/transaction_priv.h"

const struct log_fold *const coordinator_folds[] = {&groups_fold, &transactions_fold, NULL};
