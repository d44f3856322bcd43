/* SPDX-License-Identifier: Apache-2.0 */
/* Block I/O: how much of it a group may do on which disk, and its share where many want more than there is. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/core/buf.h"
#include "base/os/file.h"
#include "engines/cgroup/private.h"

/*
 * Sources: Linux Documentation/admin-guide/cgroup-v1/blkio-controller.rst, "Throttling/Upper limit policy files";
 * cgroup-v2.rst, "IO Interface Files", io.max.
 */
static const struct {
	const char *v1, *v2;
} io_rates[SPEC_IO_RATES] = {
	[SPEC_IO_READ_BPS] = { "blkio.throttle.read_bps_device", "rbps" },
	[SPEC_IO_WRITE_BPS] = { "blkio.throttle.write_bps_device", "wbps" },
	[SPEC_IO_READ_IOPS] = { "blkio.throttle.read_iops_device", "riops" },
	[SPEC_IO_WRITE_IOPS] = { "blkio.throttle.write_iops_device", "wiops" },
};

static int io_error(struct err *err, int r, const struct spec_io *io)
{
	if (r == -ENOENT)
		return err_say(err, ENOTSUP,
			       "limit I/O of %s: this kernel cannot (CONFIG_BLK_DEV_THROTTLING)",
			       io->device);
	if (r == -ENODEV || r == -ENXIO)
		return err_say(err, -r,
			       "limit I/O of %s: it is no whole disk, but maybe a part of one",
			       io->device);
	return err_set(err, -r, "limit I/O of %s", io->device);
}

static int io_device(const struct spec_io *io, dev_t *ret, struct err *err)
{
	struct stat st;

	if (stat(io->device, &st) < 0)
		return err_set(err, errno, "limit I/O of %s", io->device);
	if (!S_ISBLK(st.st_mode))
		return err_say(err, ENOTBLK, "limit I/O of %s: it is no block device", io->device);
	*ret = st.st_rdev;
	return 0;
}

static int io_v1(int fd, const struct spec_io *io, dev_t dev)
{
	char text[64];
	int r = 0;

	for (unsigned i = 0; i < SPEC_IO_RATES && r == 0; i++) {
		if (!io->rates[i])
			continue;
		(void)snprintf(text, sizeof(text), "%u:%u %" PRId64, major(dev), minor(dev),
			       io->rates[i] < 0 ? 0 : io->rates[i]); /* fits */
		r = file_write(fd, io_rates[i].v1, text);
	}
	return r;
}

static int io_v2(int fd, const struct spec_io *io, dev_t dev)
{
	AUTO(buf_fini) struct buf text = { 0 };
	int r = buf_printf(&text, "%u:%u", major(dev), minor(dev));

	for (unsigned i = 0; i < SPEC_IO_RATES && r == 0; i++) {
		if (io->rates[i] < 0)
			r = buf_printf(&text, " %s=max", io_rates[i].v2);
		else if (io->rates[i])
			r = buf_printf(&text, " %s=%" PRId64, io_rates[i].v2, io->rates[i]);
	}
	return r < 0 ? r : file_write(fd, "io.max", buf_str(&text));
}

/* v1 and BFQ count to 1000, v2 to 10000; both have 100 where nobody asked. */
static int io_weight(int fd, bool v2, int64_t weight, struct err *err)
{
	static const char *const files[2][2] = { { "blkio.weight", "blkio.bfq.weight" },
						 { "io.weight", "io.bfq.weight" } };
	char text[32];
	int r = -ENOENT;

	(void)snprintf(text, sizeof(text), "%" PRId64, weight); /* fits */
	for (unsigned i = 0; i < 2 && r == -ENOENT; i++)
		r = file_write(fd, files[v2][i], text);
	if (r == -ENOENT)
		return err_say(
			err, ENOTSUP,
			"limit blkio-weight: no I/O scheduler here knows weights (BFQ does)");
	return r < 0 ? err_set(err, -r, "limit blkio-weight to %s", text) : 0;
}

int cgroup_io_set(int fd, bool v2, const struct spec_limits *limits, struct err *err)
{
	int r = limits->io_weight ? io_weight(fd, v2, limits->io_weight, err) : 0;

	for (size_t i = 0; i < limits->n_io && r == 0; i++) {
		dev_t dev;
		r = io_device(&limits->io[i], &dev, err);
		if (r < 0)
			return r;
		r = v2 ? io_v2(fd, &limits->io[i], dev) : io_v1(fd, &limits->io[i], dev);
		if (r < 0)
			return io_error(err, r, &limits->io[i]);
	}
	return r;
}
