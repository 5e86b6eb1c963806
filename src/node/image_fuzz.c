/* SPDX-License-Identifier: Apache-2.0 */
/* Archives as a stranger may make them, unpacked into a directory that is removed again. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "node/image_priv.h"
#include "node/volumes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char directory[] = "/tmp/evoke-image-fuzz-XXXXXX";
    struct image_budget budget = {.bytes = 1 << 20, .entries = 100};
    struct error err;
    int source = memfd_create("archive", MFD_CLOEXEC);
    if (source < 0 || !mkdtemp(directory))
        abort();
    if (write(source, data, size) != (ssize_t)size || lseek(source, 0, SEEK_SET) != 0)
        abort();
    int target = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool taken = image_archive_unpack(source, target, &budget, &err);
    (void)taken;
    close(target);
    close(source);
    if (!volumes_remove_tree(directory, &err))
        abort();
    return 0;
}
