/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libarchive, loaded when an image is imported and not before: with what it brings (libxml2, ICU, libstdc++ ...) it
 * would be a fifth of an idle evoke's memory, and a daemon never reads an archive (docs/decisions/0808). Each function
 * is here under its own name with "sym_" in front; call libarchive_load() once before any of them.
 */
#ifndef NODE_LIBARCHIVE_H
#define NODE_LIBARCHIVE_H

#include <archive.h>
#include <archive_entry.h>

#include "base/error.h"

#define LIBARCHIVE_FUNCTIONS(WITH)                                                                                     \
    WITH(archive_entry_filetype)                                                                                       \
    WITH(archive_entry_gid)                                                                                            \
    WITH(archive_entry_hardlink)                                                                                       \
    WITH(archive_entry_hardlink_utf8)                                                                                  \
    WITH(archive_entry_mtime)                                                                                          \
    WITH(archive_entry_pathname)                                                                                       \
    WITH(archive_entry_pathname_utf8)                                                                                  \
    WITH(archive_entry_perm)                                                                                           \
    WITH(archive_entry_size)                                                                                           \
    WITH(archive_entry_symlink)                                                                                        \
    WITH(archive_entry_symlink_utf8)                                                                                   \
    WITH(archive_entry_uid)                                                                                            \
    WITH(archive_entry_xattr_next)                                                                                     \
    WITH(archive_entry_xattr_reset)                                                                                    \
    WITH(archive_errno)                                                                                                \
    WITH(archive_error_string)                                                                                         \
    WITH(archive_read_data)                                                                                            \
    WITH(archive_read_data_block)                                                                                      \
    WITH(archive_read_free)                                                                                            \
    WITH(archive_read_new)                                                                                             \
    WITH(archive_read_next_header)                                                                                     \
    WITH(archive_read_open)                                                                                            \
    WITH(archive_read_support_filter_all)                                                                              \
    WITH(archive_read_support_format_empty)                                                                            \
    WITH(archive_read_support_format_raw)                                                                              \
    WITH(archive_read_support_format_tar)                                                                              \
    WITH(archive_set_error)

#define LIBARCHIVE_DECLARE(name) extern __typeof__(name) *sym_##name;
LIBARCHIVE_FUNCTIONS(LIBARCHIVE_DECLARE)
#undef LIBARCHIVE_DECLARE

/* Stays for as long as the process. ERROR_UNSUPPORTED: the library is not on this machine, and what to install. */
MUST_CHECK bool libarchive_load(struct error *err);

#endif
