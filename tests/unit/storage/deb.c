/* SPDX-License-Identifier: Apache-2.0 */
#include "deb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"

void deb_module(struct buf *ret, const char *info, size_t len)
{
	static const char names[] = "\0.modinfo\0.shstrtab";
	uint8_t head[64] = "\177ELF\2\1\1";
	uint8_t table[3][64] = { 0 };

	head[16] = 1; /* relocatable */
	le64_store(head + 0x28, sizeof(head) + len + sizeof(names));
	le16_store(head + 0x3a, 64);
	le16_store(head + 0x3c, 3);
	le16_store(head + 0x3e, 2);
	le32_store(table[1], 1);
	le64_store(table[1] + 0x18, sizeof(head));
	le64_store(table[1] + 0x20, len);
	le32_store(table[2], 10);
	le64_store(table[2] + 0x18, sizeof(head) + len);
	le64_store(table[2] + 0x20, sizeof(names));
	assert_int_equal(buf_add(ret, head, sizeof(head)), 0);
	assert_int_equal(buf_add(ret, info, len), 0);
	assert_int_equal(buf_add(ret, names, sizeof(names)), 0);
	assert_int_equal(buf_add(ret, table, sizeof(table)), 0);
}

void deb_vmlinuz(char ret[4096], char c)
{
	memset(ret, c, 4096);
	if (c != DEB_NO_KERNEL)
		memcpy(ret + 0x202, "HdrS", 4);
}

static void deb_member(struct archive *a, const char *name, const void *data, size_t len)
{
	struct archive_entry *e = tar_entry(name, AE_IFREG, 0644);

	archive_entry_set_size(e, (la_int64_t)len);
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, data, len), (la_ssize_t)len);
	archive_entry_free(e);
}

void deb_pack(struct scene *scene, const char *name, const char *member, struct tar *tar)
{
	static char out[1 << 20];
	struct archive *a = archive_write_new();
	size_t used = 0;

	struct buf data = tar_end(tar);
	assert_int_equal(archive_write_set_format_ar_svr4(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_memory(a, out, sizeof(out), &used), ARCHIVE_OK);
	deb_member(a, "debian-binary", "2.0\n", 4);
	deb_member(a, "control.tar", "none", 4);
	deb_member(a, member, data.data, data.len);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	(void)archive_write_free(a);
	scene_write(scene, name, out, used);
	buf_fini(&data);
}

static void deb_add(struct tar *tar, const char *path, const void *data, size_t len)
{
	tar_add(tar, tar_entry(path, AE_IFREG, 0644), data, len);
}

/* A stream without a format, packed. */
static void deb_xz(const struct buf *plain, char *ret, size_t room, size_t *ret_len)
{
	struct archive *a = archive_write_new();

	assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
	assert_int_equal(archive_write_add_filter_xz(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_memory(a, ret, room, ret_len), ARCHIVE_OK);
	deb_member(a, "x", plain->data, plain->len);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	(void)archive_write_free(a);
}

static void deb_add_module(struct tar *tar, const char *version, const char *where,
			   const char *info, size_t len)
{
	struct buf module = { 0 };
	char path[200], packed[4096];
	size_t n = strlen(where), packed_len = 0;

	(void)snprintf(path, sizeof(path), "./lib/modules/%s/kernel/%s", version, where);
	deb_module(&module, info, len);
	if (!strcmp(where + n - 3, ".xz")) {
		deb_xz(&module, packed, sizeof(packed), &packed_len);
		deb_add(tar, path, packed, packed_len);
	} else {
		deb_add(tar, path, module.data, module.len);
	}
	buf_fini(&module);
}

void deb_kernel(struct scene *scene, const char *name, const char *version, char c)
{
	static const char builtin[] = "kernel/fs/ext4/ext4.ko\nkernel/fs/overlayfs/overlay.ko\n";
	static const struct {
		const char *where, *info;
		size_t len;
	} modules[] = {
#define INFO(s) s, sizeof(s)
		{ "drivers/virtio/virtio.ko", INFO("license=GPL\0depends=") },
		{ "drivers/virtio/virtio_pci.ko", INFO("depends=virtio,virtio-ring") },
		{ "drivers/virtio/virtio_ring.ko", INFO("depends=") },
		{ "drivers/block/virtio_blk.ko.xz", INFO("depends=virtio_ring,virtio") },
		{ "drivers/net/virtio_net.ko", INFO("depends=virtio") },
		{ "drivers/char/virtio_console.ko", INFO("depends=virtio") },
		{ "drivers/char/virtio-rng.ko", INFO("depends=virtio") },
		{ "drivers/virtio/virtio_balloon.ko", INFO("depends=virtio") },
		{ "net/vmw_vsock_virtio_transport.ko", INFO("depends=vsock") },
		{ "net/vsock.ko", INFO("name=vsock") },
		{ "fs/erofs.ko", INFO("depends=libcrc32c\0softdep=pre: crc32c extra post: late") },
		{ "fs/fuse/virtiofs.ko", INFO("depends=fuse,virtio,virtio_ring") },
		{ "fs/fuse/fuse.ko", INFO("depends=") },
		{ "lib/libcrc32c.ko", INFO("depends=ext4") },
		{ "lib/extra.ko", INFO("depends=") },
		{ "lib/late.ko", INFO("depends=") },
		{ "sound/loud.ko", INFO("depends=virtio") },
	};
	char vmlinuz[4096], path[200];
	struct tar tar;

	tar_open(&tar, ARCHIVE_FILTER_ZSTD);
	tar_dir(&tar, "./boot");
	deb_vmlinuz(vmlinuz, c);
	(void)snprintf(path, sizeof(path), "./boot/vmlinuz-%s", version);
	deb_add(&tar, path, vmlinuz, sizeof(vmlinuz));
	(void)snprintf(path, sizeof(path), "./lib/modules/%s/modules.builtin", version);
	deb_add(&tar, path, builtin, sizeof(builtin) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
		deb_add_module(&tar, version, modules[i].where, modules[i].info, modules[i].len);
	deb_pack(scene, name, "data.tar.zst", &tar);
}
