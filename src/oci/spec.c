/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "oci/oci.h"

static const struct opt spec_opts[] = {
	{ 'b', OPT_TEXT, "bundle", "DIR", "where to write config.json (.)" },
	{ 0, OPT_SWITCH, "rootless", NULL, "for an ordinary user: with a user namespace" },
	{ 0 },
};

/* A shell in rootfs/, with what nearly every image expects. */
static const char spec_text[] =
	"{\n"
	"\t\"ociVersion\": \"" CONFIG_VERSION "\",\n"
	"\t\"process\": {\n"
	"\t\t\"terminal\": true,\n"
	"\t\t\"user\": { \"uid\": 0, \"gid\": 0 },\n"
	"\t\t\"args\": [\"sh\"],\n"
	"\t\t\"env\": [\n"
	"\t\t\t\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\n"
	"\t\t\t\"TERM=xterm\"\n"
	"\t\t],\n"
	"\t\t\"cwd\": \"/\",\n"
	"\t\t\"capabilities\": {\n"
	"\t\t\t\"bounding\": [\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"],\n"
	"\t\t\t\"effective\": [\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"],\n"
	"\t\t\t\"permitted\": [\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"]\n"
	"\t\t},\n"
	"\t\t\"rlimits\": [{ \"type\": \"RLIMIT_NOFILE\", \"hard\": 1024, \"soft\": 1024 }],\n"
	"\t\t\"noNewPrivileges\": true\n"
	"\t},\n"
	"\t\"root\": { \"path\": \"rootfs\", \"readonly\": true },\n"
	"\t\"hostname\": \"strata\",\n"
	"\t\"mounts\": [\n"
	"\t\t{ \"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\" },\n"
	"\t\t{ \"destination\": \"/dev\", \"type\": \"tmpfs\", \"source\": \"tmpfs\",\n"
	"\t\t  \"options\": [\"nosuid\", \"strictatime\", \"mode=755\", \"size=65536k\"] },\n"
	"\t\t{ \"destination\": \"/dev/pts\", \"type\": \"devpts\", \"source\": \"devpts\",\n"
	"\t\t  \"options\": [\"nosuid\", \"noexec\", \"newinstance\", \"ptmxmode=0666\", "
	"\"mode=0620\", \"gid=5\"] },\n"
	"\t\t{ \"destination\": \"/dev/shm\", \"type\": \"tmpfs\", \"source\": \"shm\",\n"
	"\t\t  \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"mode=1777\", \"size=65536k\"] },\n"
	"\t\t{ \"destination\": \"/dev/mqueue\", \"type\": \"mqueue\", \"source\": \"mqueue\",\n"
	"\t\t  \"options\": [\"nosuid\", \"noexec\", \"nodev\"] },\n"
	"\t\t{ \"destination\": \"/sys\", \"type\": \"sysfs\", \"source\": \"sysfs\",\n"
	"\t\t  \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"ro\"] },\n"
	"\t\t{ \"destination\": \"/sys/fs/cgroup\", \"type\": \"cgroup\", \"source\": \"cgroup\",\n"
	"\t\t  \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"relatime\", \"ro\"] }\n"
	"\t],\n"
	"\t\"linux\": {\n"
	"\t\t\"resources\": { \"devices\": [{ \"allow\": false, \"access\": \"rwm\" }] },\n"
	"\t\t\"namespaces\": [\n"
	"\t\t\t{ \"type\": \"pid\" }, { \"type\": \"network\" }, { \"type\": \"ipc\" },\n"
	"\t\t\t{ \"type\": \"uts\" }, { \"type\": \"mount\" }, { \"type\": \"cgroup\" }\n"
	"\t\t],\n"
	"\t\t\"maskedPaths\": [\n"
	"\t\t\t\"/proc/acpi\", \"/proc/asound\", \"/proc/kcore\", \"/proc/keys\",\n"
	"\t\t\t\"/proc/latency_stats\", \"/proc/timer_list\", \"/proc/timer_stats\",\n"
	"\t\t\t\"/proc/sched_debug\", \"/sys/firmware\", \"/proc/scsi\"\n"
	"\t\t],\n"
	"\t\t\"readonlyPaths\": [\n"
	"\t\t\t\"/proc/bus\", \"/proc/fs\", \"/proc/irq\", \"/proc/sys\", \"/proc/sysrq-trigger\"\n"
	"\t\t]\n"
	"\t}\n"
	"}\n";

static json_t *spec_self(uint32_t id)
{
	return json_pack("[{s:i, s:I, s:i}]", "containerID", 0, "hostID", (json_int_t)id, "size",
			 1);
}

/* No limits, the host's network, and a user namespace in which the caller is root: what he needs nobody's leave for. */
static char *spec_rootless(void)
{
	AUTO(json_decref_p) json_t *json = json_loads(spec_text, 0, NULL);
	json_t *linux_part = json_object_get(json, "linux");
	json_t *namespaces = json_object_get(linux_part, "namespaces"), *item;
	size_t i;

	(void)json_object_del(linux_part, "resources");
	json_array_foreach(namespaces, i, item)
	{
		if (!strcmp(json_str(item, "type", ""), "network"))
			(void)json_object_set_new(item, "type", json_string("user"));
	}
	json_array_foreach(json_object_get(json, "mounts"), i, item)
	{
		if (!strcmp(json_str(item, "type", ""), "devpts")) /* without its gid=5 */
			(void)json_array_remove(json_object_get(item, "options"), 5);
	}
	if (json_object_set_new(linux_part, "uidMappings", spec_self(geteuid())) < 0 ||
	    json_object_set_new(linux_part, "gidMappings", spec_self(getegid())) < 0)
		return NULL;
	return json_dumps(json, JSON_INDENT(2));
}

static int spec(const struct oci *oci, const struct args *args, struct err *err)
{
	const char *dir = args_text(args, "bundle", ".");
	char path[PATH_MAX];

	(void)oci;
	int n = snprintf(path, sizeof(path), "%s/config.json", dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "--bundle %s", dir);
	AUTO(fd_close_p) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return err_set(err, errno, "make %s", path);
	char *rootless = args_on(args, "rootless") ? spec_rootless() : NULL;
	if (args_on(args, "rootless") && !rootless)
		return err_set(err, ENOMEM, "write %s", path);
	const char *text = rootless ? rootless : spec_text;
	int r = fd_write_all(fd, text, strlen(text));
	free(rootless);
	return r < 0 ? err_set(err, -r, "write %s", path) : 0;
}

const struct verb oci_verb_spec = {
	.name = "spec",
	.operands = "",
	.summary = "write a config.json to start from",
	.opts = spec_opts,
	.run = spec,
};
