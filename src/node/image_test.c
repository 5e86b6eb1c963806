/* SPDX-License-Identifier: Apache-2.0 */
/* Images are made here byte by byte, so that they can be as hostile as someone would make them. */
#include "node/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/image_priv.h"
#include "test.h"

/* One entry of a tar (POSIX ustar). */
static void tar_add(struct buf *tar, const char *name, char type, const char *link, struct bytes content)
{
    char header[512] = {0};
    snprintf(header, 100, "%s", name);
    snprintf(header + 100, 8, "%07o", type == '5' ? 0755 : 0644);
    snprintf(header + 108, 8, "%07o", 7);
    snprintf(header + 116, 8, "%07o", 8);
    snprintf(header + 124, 12, "%011zo", content.size);
    snprintf(header + 136, 12, "%011o", 1);
    memset(header + 148, ' ', 8);
    header[156] = type;
    snprintf(header + 157, 100, "%s", link);
    snprintf(header + 257, 6, "ustar");
    header[263] = header[264] = '0';
    snprintf(header + 329, 8, "%07o", 1);
    snprintf(header + 337, 8, "%07o", 3);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof header; i++)
        sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum);
    buf_append(tar, bytes_of(header, sizeof header));
    buf_append(tar, content);
    static const uint8_t zeros[512] = {0};
    buf_append(tar, bytes_of(zeros, (512 - content.size % 512) % 512));
}

static void tar_end(struct buf *tar)
{
    static const uint8_t zeros[1024] = {0};
    buf_append(tar, bytes_of(zeros, sizeof zeros));
}

static const char *in_dir(const char *name)
{
    static char paths[4][4096];
    static int at;
    at = (at + 1) % 4;
    snprintf(paths[at], sizeof paths[at], "%s/%s", test_dir(), name);
    return paths[at];
}

static void write_whole(const char *path, struct bytes content)
{
    FILE *file = fopen(path, "we");
    CHECK(file && fwrite(content.data, 1, content.size, file) == content.size && fclose(file) == 0);
}

static bool skip_without_root(void)
{
    if (geteuid() == 0)
        return false;
    fprintf(stderr, "skipped: needs root\n");
    return true;
}

/* A docker archive of these layers at DIR/image.tar. `diff_ids` overrides what is said of them. */
static const char *make_archive(const struct buf *layers, size_t count, const char *wrong_diff_id)
{
    AUTO_BUF config;
    AUTO_BUF manifest;
    AUTO_BUF tar;
    buf_init(&config, 1 << 20);
    buf_init(&manifest, 1 << 20);
    buf_init(&tar, 1 << 24);
    buf_append_string(
        &config,
        "{\"config\":{\"Env\":[\"A=b\"],\"Cmd\":[\"/bin/run\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[");
    buf_append_string(
        &manifest, "[{\"Config\":\"config.json\",\"RepoTags\":[\"shop:1\",\"example.org/team/shop:1\"],\"Layers\":[");
    for (size_t i = 0; i < count; i++) {
        char digest[IMAGE_DIGEST_SIZE];
        image_digest(buf_bytes(&layers[i]), digest);
        buf_printf(&config, "%s\"%s\"", i ? "," : "", wrong_diff_id ? wrong_diff_id : digest);
        buf_printf(&manifest, "%s\"%zu/layer.tar\"", i ? "," : "", i);
        char name[32];
        snprintf(name, sizeof name, "%zu/layer.tar", i);
        tar_add(&tar, name, '0', "", buf_bytes(&layers[i]));
    }
    buf_append_string(&config, "]}}");
    buf_append_string(&manifest, "]}]");
    tar_add(&tar, "config.json", '0', "", buf_bytes(&config));
    tar_add(&tar, "manifest.json", '0', "", buf_bytes(&manifest));
    tar_end(&tar);
    write_whole(in_dir("image.tar"), buf_bytes(&tar));
    return in_dir("image.tar");
}

static void count_images(void *ctx, const struct image *image)
{
    (void)image;
    ++*(int *)ctx;
}

TEST(an_image_is_imported_found_and_listed)
{
    struct buf layers[2];
    struct image image;
    struct error err;
    struct stat stat;
    char path[4096];
    int count = 0;
    if (skip_without_root())
        return;
    for (size_t i = 0; i < 2; i++)
        buf_init(&layers[i], 1 << 20);
    tar_add(&layers[0], "bin/", '5', "", BYTES_NULL);
    tar_add(&layers[0], "bin/run", '0', "", BYTES_LITERAL("program"));
    tar_add(&layers[0], "bin/link", '2', "/bin/run", BYTES_NULL);
    tar_add(&layers[0], "bin/hard", '1', "bin/run", BYTES_NULL);
    tar_add(&layers[0], "sbin", '2', "bin", BYTES_NULL);
    tar_add(&layers[0], "sbin/through", '0', "", BYTES_LITERAL("x"));
    tar_add(&layers[0], "dev/null", '3', "", BYTES_NULL);
    tar_end(&layers[0]);
    tar_add(&layers[1], "bin/.wh.run", '0', "", BYTES_NULL);
    tar_add(&layers[1], "etc/.wh..wh..opq", '0', "", BYTES_NULL);
    tar_end(&layers[1]);
    CHECK_OK(image_import(test_dir(), make_archive(layers, 2, NULL), NULL, count_images, &count, &err), &err);
    CHECK_INT(count, 2);
    CHECK_OK(image_find(test_dir(), BYTES_LITERAL("shop:1"), &image, &err), &err);
    CHECK_INT(image.layer_count, 2);
    CHECK_INT(image.size, strlen("program") + 1);
    CHECK_STR(json_text_at(image.config, "config.Cmd.0", ""), "/bin/run");
    snprintf(path, sizeof path, "%s/bin/run", image.layers[0]);
    CHECK(lstat(path, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_uid == 7 && stat.st_gid == 8 &&
          stat.st_nlink == 2);
    snprintf(path, sizeof path, "%s/bin/through", image.layers[0]);
    CHECK(lstat(path, &stat) == 0);
    snprintf(path, sizeof path, "%s/dev/null", image.layers[0]);
    CHECK(lstat(path, &stat) != 0);
    snprintf(path, sizeof path, "%s/bin/run", image.layers[1]);
    CHECK(lstat(path, &stat) == 0 && S_ISCHR(stat.st_mode) && stat.st_rdev == makedev(0, 0));
    snprintf(path, sizeof path, "%s/etc", image.layers[1]);
    char value[4] = "";
    CHECK(getxattr(path, "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y');
    image_deinit(&image);
    /* A second import of the same finds its layers there. */
    CHECK_OK(image_import(test_dir(), in_dir("image.tar"), NULL, NULL, NULL, &err), &err);
    CHECK(access(in_dir("images/l/2"), F_OK) == 0 && access(in_dir("images/l/3"), F_OK) != 0);
    count = 0;
    CHECK_OK(image_list(test_dir(), count_images, &count, &err), &err);
    CHECK_INT(count, 2);
    CHECK_OK(image_find(test_dir(), BYTES_LITERAL("shop:1"), &image, &err), &err);
    CHECK_INT(image.size, strlen("program") + 1);
    image_deinit(&image);
    for (size_t i = 0; i < 2; i++)
        buf_deinit(&layers[i]);
}

TEST(a_name_without_a_registry_finds_an_image_that_was_stored_with_one)
{
    struct buf layer;
    struct image image;
    struct error err;
    if (skip_without_root())
        return;
    buf_init(&layer, 1 << 20);
    tar_end(&layer);
    CHECK_OK(image_import(test_dir(), make_archive(&layer, 1, NULL),
                          &(struct image_import_options){.name = "reg.example:5000/library/tool"}, NULL, NULL, &err),
             &err);
    CHECK_OK(image_find(test_dir(), BYTES_LITERAL("tool"), &image, &err), &err);
    CHECK_STR(image.name, "reg.example:5000/library/tool:latest");
    image_deinit(&image);
    CHECK(!image_find(test_dir(), BYTES_LITERAL("other.example/tool"), &image, &err));
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    CHECK(!image_find(test_dir(), BYTES_LITERAL("Not A Name"), &image, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
    buf_deinit(&layer);
}

TEST(names_get_a_tag)
{
    char out[512];
    struct error err;
    CHECK_OK(image_normalize(BYTES_LITERAL("shop"), out, &err), &err);
    CHECK_STR(out, "shop:latest");
    CHECK_OK(image_normalize(BYTES_LITERAL("h:5000/a/b"), out, &err), &err);
    CHECK_STR(out, "h:5000/a/b:latest");
    CHECK_OK(image_normalize(BYTES_LITERAL("a/b:v1.2"), out, &err), &err);
    CHECK_STR(out, "a/b:v1.2");
    CHECK(!image_normalize(BYTES_LITERAL(""), out, &err));
    CHECK(!image_normalize(BYTES_LITERAL("a//b"), out, &err));
    CHECK(!image_normalize(BYTES_LITERAL("../../etc"), out, &err) || strstr(out, "..") != NULL);
    CHECK(!image_normalize(BYTES_LITERAL("a@sha256:12"), out, &err));
}

static void check_refused(const char *name, char type, const char *link, enum error_kind kind)
{
    struct buf layer;
    struct error err = {0};
    struct stat stat;
    buf_init(&layer, 1 << 20);
    tar_add(&layer, "out", '2', in_dir("secret"), BYTES_NULL);
    tar_add(&layer, name, type, link, type == '0' ? BYTES_LITERAL("evil") : BYTES_NULL);
    tar_end(&layer);
    bool taken = image_import(test_dir(), make_archive(&layer, 1, NULL), NULL, NULL, NULL, &err);
    if (taken || err.kind != kind)
        test_fail(__FILE__, __LINE__, "%s: %s %s", name, taken ? "taken" : "refused", err.message);
    CHECK(lstat(in_dir("secret/evil"), &stat) != 0);
    CHECK(lstat(in_dir("images/tmp"), &stat) == 0);
    buf_deinit(&layer);
}

TEST(hostile_layers_are_refused)
{
    if (skip_without_root())
        return;
    CHECK(mkdir(in_dir("secret"), 0700) == 0);
    check_refused("../../evil", '0', "", ERROR_DENIED);
    check_refused("a/../../evil", '0', "", ERROR_DENIED);
    check_refused("disk", '4', "", ERROR_DENIED);
    check_refused("hard", '1', "../../secret", ERROR_DENIED);
    check_refused("hard", '1', "no/such", ERROR_DENIED);
    check_refused(".wh...", '0', "", ERROR_DENIED);
    check_refused(".wh.", '0', "", ERROR_DENIED);
}

TEST(a_link_of_the_archive_leads_nowhere_else)
{
    struct buf layer;
    struct error err;
    struct stat stat;
    char link[4096];
    if (skip_without_root())
        return;
    CHECK(mkdir(in_dir("secret"), 0700) == 0);
    snprintf(link, sizeof link, "%s", in_dir("secret"));
    buf_init(&layer, 1 << 20);
    tar_add(&layer, "out", '2', strlen(link) < 100 ? link : "/tmp", BYTES_NULL);
    tar_add(&layer, "out/evil", '0', "", BYTES_LITERAL("evil"));
    tar_end(&layer);
    bool taken = image_import(test_dir(), make_archive(&layer, 1, NULL), NULL, NULL, NULL, &err);
    CHECK(lstat(in_dir("secret/evil"), &stat) != 0);
    (void)taken; /* refused, or put below the layer's own root */
    buf_deinit(&layer);
}

TEST(content_that_does_not_fit_its_digest_is_refused)
{
    struct buf layer;
    struct error err;
    if (skip_without_root())
        return;
    buf_init(&layer, 1 << 20);
    tar_add(&layer, "file", '0', "", BYTES_LITERAL("x"));
    tar_end(&layer);
    CHECK(!image_import(
        test_dir(), make_archive(&layer, 1, "sha256:0000000000000000000000000000000000000000000000000000000000000000"),
        NULL, NULL, NULL, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    CHECK(access(in_dir("images/l/1"), F_OK) != 0);
    buf_deinit(&layer);
}

TEST(what_is_not_an_image_is_refused)
{
    struct error err;
    if (skip_without_root())
        return;
    write_whole(in_dir("text"), BYTES_LITERAL("this is no archive"));
    CHECK(!image_import(test_dir(), in_dir("text"), NULL, NULL, NULL, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    CHECK(!image_import(test_dir(), in_dir("nothing"), NULL, NULL, NULL, &err));
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    CHECK(mkdir(in_dir("empty"), 0700) == 0);
    CHECK(!image_import(test_dir(), in_dir("empty"), NULL, NULL, NULL, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
}

/* An OCI layout as a directory, with a compressed layer, an index in the index, and a platform to choose. */
TEST(an_oci_layout_is_imported_from_a_directory)
{
    struct image image;
    struct error err;
    if (skip_without_root() || system("command -v python3 >/dev/null") != 0)
        return;
    char command[4300];
    snprintf(
        command, sizeof command,
        "cd %s && python3 - <<'END'\n"
        "import json,hashlib,gzip,tarfile,io,os\n"
        "os.makedirs('l/blobs/sha256')\n"
        "def put(b):\n"
        " d=hashlib.sha256(b).hexdigest(); open('l/blobs/sha256/'+d,'wb').write(b); return "
        "{'digest':'sha256:'+d,'size':len(b)}\n"
        "t=io.BytesIO(); f=tarfile.open(fileobj=t,mode='w'); i=tarfile.TarInfo('hello'); i.size=2; "
        "f.addfile(i,io.BytesIO(b'hi')); f.close()\n"
        "layer=put(gzip.compress(t.getvalue())); layer['mediaType']='application/vnd.oci.image.layer.v1.tar+gzip'\n"
        "config=put(json.dumps({'rootfs':{'type':'layers','diff_ids':['sha256:'+hashlib.sha256(t.getvalue()).hexdigest("
        ")]}}).encode())\n"
        "m=put(json.dumps({'schemaVersion':2,'config':config,'layers':[layer]}).encode()); "
        "m['platform']={'os':'linux','architecture':os.uname().machine.replace('x86_64','amd64').replace('aarch64','"
        "arm64')}\n"
        "other=dict(m,digest='sha256:'+'1'*64,platform={'os':'linux','architecture':'s390x'})\n"
        "inner=put(json.dumps({'manifests':[other,m]}).encode()); "
        "inner['mediaType']='application/vnd.oci.image.index.v1+json'; "
        "inner['annotations']={'org.opencontainers.image.ref.name':'hello:v1'}\n"
        "open('l/index.json','w').write(json.dumps({'schemaVersion':2,'manifests':[inner]}))\n"
        "END\n",
        test_dir());
    CHECK(system(command) == 0);
    CHECK_OK(image_import(test_dir(), in_dir("l"), NULL, NULL, NULL, &err), &err);
    CHECK_OK(image_find(test_dir(), BYTES_LITERAL("hello:v1"), &image, &err), &err);
    char name[512];
    snprintf(name, sizeof name, "hello@%s", image.digest);
    CHECK(access(in_dir("images/l/1/hello"), F_OK) == 0);
    image_deinit(&image);
    CHECK_OK(image_find(test_dir(), bytes_of_string(name), &image, &err), &err);
    image_deinit(&image);
}
