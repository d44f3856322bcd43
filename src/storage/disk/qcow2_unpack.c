/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <zlib.h>

#include "storage/disk/qcow2_private.h"

/* A sealed process may not be able to ask for memory: inflate() has its own piece. */
struct unpack_heap {
	uint8_t *data;
	size_t used;
};

static voidpf unpack_alloc(voidpf opaque, uInt n, uInt size)
{
	struct unpack_heap *heap = opaque;
	size_t len = ((size_t)n * size + 15) & ~(size_t)15;

	if (len > QCOW2_ZLIB_BYTES - heap->used)
		return Z_NULL;
	heap->used += len;
	return heap->data + heap->used - len;
}

static void unpack_free(voidpf opaque, voidpf ptr)
{
	(void)opaque; /* all at once, when the heap is used anew */
	(void)ptr;
}

/* Raw deflate with a window of 4 KiB; what follows the cluster's last byte is somebody else's. */
int qcow2_unpack(struct qcow2 *q, size_t packed_bytes, size_t plain_bytes)
{
	struct unpack_heap heap = { .data = q->zlib_data };
	z_stream z = { .next_in = q->packed_data,
		       .avail_in = (uInt)packed_bytes,
		       .next_out = q->plain_data,
		       .avail_out = (uInt)plain_bytes,
		       .zalloc = unpack_alloc,
		       .zfree = unpack_free,
		       .opaque = &heap };

	if (inflateInit2(&z, -12) != Z_OK)
		return -ENOMEM;
	int r = inflate(&z, Z_FINISH);
	(void)inflateEnd(&z);
	return z.avail_out == 0 && (r == Z_STREAM_END || r == Z_BUF_ERROR) ? 0 : -EIO;
}
