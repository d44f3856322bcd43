/* SPDX-License-Identifier: Apache-2.0 */
/* config-linux.md: "Block IO", weights; "Huge page limits", "Network", "RDMA": what few ask for, and fewer kernels have. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "oci/config.h"

#define SELDOM_NAME_MAX 64

static const char *seldom_text(const struct reader *rd, const char *key, const char *text)
{
	if (!text)
		reader_fail(rd, key, ENOMEM, "takes more memory than there is");
	return text;
}

/* 10 to 1000 of BFQ's to 1 to 10000 of the cost model's: config-linux.md of the specification leaves it open, this is runc's. */
static int64_t weight_of_io(int64_t bfq)
{
	return 1 + (bfq - 10) * 9999 / 990;
}

static void weight_of(const struct reader *rd, const char *key, const char *device, int64_t weight,
		      bool one, struct bundle *bundle)
{
	struct pool *pool = rd->all->pool;
	const char *bfq = pool_text(pool, "%s%" PRId64, device, weight);
	const char *io = pool_text(pool, "%s%" PRId64, device, weight_of_io(weight));

	config_add_setting(rd, key, bundle,
			   (struct cgroup_setting){
				   .controller = CGROUP_BLKIO,
				   .v1 = one ? "blkio.bfq.weight_device" : "blkio.bfq.weight",
				   .v2 = "io.bfq.weight",
				   .v1_value = seldom_text(rd, key, bfq),
				   .v2_value = bfq,
				   .v2_else = "io.weight",
				   .v2_else_value = seldom_text(rd, key, io),
			   });
}

void config_read_weights(const struct reader *rd, struct bundle *bundle)
{
	const int64_t weight = reader_int(rd, "weight", 0, 1000, 0);
	size_t n;
	const json_t *list = reader_list(rd, "weightDevice", &n);

	if (weight && weight < 10)
		reader_fail(rd, "weight", EINVAL, "must be from 10 to 1000");
	else if (weight)
		weight_of(rd, "weight", "", weight, false, bundle);
	reader_refuse(rd, "leafWeight", "no kernel since 5.0 has it");
	for (size_t i = 0; i < n && !rd->all->failed; i++) {
		const struct reader in = reader_item(rd, "weightDevice", list, i);
		const unsigned device_major = (unsigned)reader_int(&in, "major", 0, 4095, 0);
		const unsigned device_minor = (unsigned)reader_int(&in, "minor", 0, 1048575, 0);
		const int64_t own = reader_int(&in, "weight", 10, 1000, 0);
		const char *device = pool_text(rd->all->pool, "%u:%u ", device_major, device_minor);
		reader_refuse(&in, "leafWeight", "no kernel since 5.0 has it");
		if (own)
			weight_of(&in, "weight", seldom_text(&in, "major", device), own, true,
				  bundle);
	}
}

/* "2MB", "1GB": a part of a file's name. */
static bool seldom_is_size(const char *text)
{
	const size_t digits = strspn(text, "0123456789");

	return digits && digits < 12 &&
	       (!strcmp(text + digits, "KB") || !strcmp(text + digits, "MB") ||
		!strcmp(text + digits, "GB"));
}

static void seldom_pages(const struct reader *rd, struct bundle *bundle)
{
	/* What is reserved is limited too, or a fault would be the place where it shows. */
	static const char *const kinds[] = { "", "rsvd." };
	size_t n;
	const json_t *list = reader_list(rd, "hugepageLimits", &n);

	for (size_t i = 0; i < n && !rd->all->failed; i++) {
		const struct reader in = reader_item(rd, "hugepageLimits", list, i);
		const char *size = reader_str(&in, "pageSize", "");
		const uint64_t limit = reader_u64(&in, "limit", 0);
		if (!seldom_is_size(size))
			reader_fail(&in, "pageSize", EINVAL, "'%.20s' is no size, as 2MB", size);
		if (!reader_member(&in, "limit"))
			reader_fail(&in, "limit", EINVAL, "is missing");
		const char *value =
			limit > INT64_MAX ? "-1" : pool_text(rd->all->pool, "%" PRIu64, limit);
		for (size_t kind = 0; kind < ARRAY_SIZE(kinds) && !rd->all->failed; kind++) {
			const char *v1 = pool_text(rd->all->pool, "hugetlb.%s.%slimit_in_bytes",
						   size, kinds[kind]);
			const char *v2 =
				pool_text(rd->all->pool, "hugetlb.%s.%smax", size, kinds[kind]);
			config_add_setting(&in, "limit", bundle,
					   (struct cgroup_setting){
						   .controller = CGROUP_HUGETLB,
						   .v1 = seldom_text(&in, "limit", v1),
						   .v2 = seldom_text(&in, "limit", v2),
						   .v1_value = seldom_text(&in, "limit", value),
						   .v2_value = limit > INT64_MAX ? "max" : value,
					   });
		}
	}
}

static void seldom_network(const struct reader *rd, struct bundle *bundle)
{
	const struct reader in = reader_enter(rd, "network");
	const uint32_t class = reader_u32(&in, "classID", 0);
	size_t n;
	const json_t *list = reader_list(&in, "priorities", &n);

	if (class)
		config_add_setting(&in, "classID", bundle,
				   (struct cgroup_setting){
					   .controller = CGROUP_NET_CLS,
					   .v1 = "net_cls.classid",
					   .v1_value = seldom_text(
						   &in, "classID",
						   pool_text(rd->all->pool, "%" PRIu32, class)),
				   });
	for (size_t i = 0; i < n && !rd->all->failed; i++) {
		const struct reader item = reader_item(&in, "priorities", list, i);
		const char *name = reader_str(&item, "name", "");
		const uint32_t priority = reader_u32(&item, "priority", 0);
		if (!*name || strlen(name) > 15 || strpbrk(name, " \t\n/"))
			reader_fail(&item, "name", EINVAL, "'%.20s' is no interface", name);
		const char *text = pool_text(rd->all->pool, "%s %" PRIu32, name, priority);
		config_add_setting(&item, "name", bundle,
				   (struct cgroup_setting){
					   .controller = CGROUP_NET_PRIO,
					   .v1 = "net_prio.ifpriomap",
					   .v1_value = seldom_text(&item, "name", text),
				   });
	}
}

static void seldom_rdma(const struct reader *rd, struct bundle *bundle)
{
	const struct reader all = reader_enter(rd, "rdma");
	const char *device;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)all.obj, device, value)
	{
		const struct reader in = reader_enter(&all, device);
		const uint32_t handles = reader_u32(&in, "hcaHandles", 0);
		const uint32_t objects = reader_u32(&in, "hcaObjects", 0);
		char first[32] = "", second[32] = "";
		if (!*device || strlen(device) > SELDOM_NAME_MAX || strpbrk(device, " \t\n/"))
			reader_fail(&all, device, EINVAL, "is no device");
		if (reader_member(&in, "hcaHandles"))
			(void)snprintf(first, sizeof(first), " hca_handle=%" PRIu32,
				       handles); /* fits */
		if (reader_member(&in, "hcaObjects"))
			(void)snprintf(second, sizeof(second), " hca_object=%" PRIu32, objects);
		if (!*first && !*second)
			reader_fail(&all, device, EINVAL, "must have hcaHandles or hcaObjects");
		const char *text = pool_text(rd->all->pool, "%s%s%s", device, first, second);
		config_add_setting(&all, device, bundle,
				   (struct cgroup_setting){
					   .controller = CGROUP_RDMA,
					   .v1 = "rdma.max",
					   .v2 = "rdma.max",
					   .v1_value = seldom_text(&all, device, text),
					   .v2_value = text,
				   });
	}
}

void config_read_seldom(const struct reader *rd, struct bundle *bundle)
{
	seldom_pages(rd, bundle);
	seldom_network(rd, bundle);
	seldom_rdma(rd, bundle);
}
