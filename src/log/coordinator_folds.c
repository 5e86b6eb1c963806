/* SPDX-License-Identifier: Apache-2.0 */
#include "log/coordinator_folds.h"

#include "log/group_priv.h"
#include "log/transaction_priv.h"

const struct log_fold *const coordinator_folds[] = {&groups_fold, &transactions_fold, NULL};
